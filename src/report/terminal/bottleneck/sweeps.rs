//! One quantity varied, as a table.

use comfy_table::Cell;

use super::super::screen::{Screen, Tone, cell};
use super::super::table::{first_that_fits, table};
use super::{LEFT, RIGHT, band, short};
use crate::bottleneck::Part;
use crate::bottleneck::sweep::{Row, Sweep};
use crate::report::quantity::percent;

/// The table and what to read from it.
pub fn render(screen: Screen, sweep: &Sweep) -> String {
    let mut text = screen.heading(&format!("by {}", sweep.axis.name()));
    if sweep.rows.is_empty() {
        return text + "  nothing to vary on this host\n";
    }
    let draw = |wide: bool| {
        let mut columns = vec![
            (sweep.axis.name(), RIGHT),
            ("tokens/s", RIGHT),
            ("a sequence", RIGHT),
            ("binds", LEFT),
            ("experts in", LEFT),
        ];
        if wide {
            columns.push(("ms by part", LEFT));
        }
        columns.push(("fits", LEFT));
        table(screen, &columns, sweep.rows.iter().map(|row| cells(row, sweep, wide)).collect())
    };
    text +=
        &first_that_fits(screen, &[true, false], draw).map_or_else(String::new, |(text, _)| text);
    let said = [("best", &sweep.best), ("knee", &sweep.knee), ("last that fits", &sweep.boundary)];
    let said = said.iter().filter_map(|(what, label)| Some(format!("{what}: {}", label.as_ref()?)));
    text += &screen.paragraph("  ", &said.collect::<Vec<_>>().join("; "));
    text
}

fn cells(row: &Row, sweep: &Sweep, wide: bool) -> Vec<Cell> {
    let tone = if sweep.best.as_ref() == Some(&row.label) { Tone::Strong } else { Tone::Quiet };
    let partial = if row.missing.iter().any(|note| super::essential(note)) { "<= " } else { "" };
    let places = ["VRAM", "DRAM", "NVMe"].iter().zip(row.experts).filter(|(_, share)| *share > 0.0);
    let places: Vec<String> =
        places.map(|(name, share)| format!("{name} {}", percent(share))).collect();
    let mut cells = vec![
        cell(tone, row.label.clone()),
        Cell::new(format!("{partial}{}", band(row.tokens_per_second, 1.0))),
        Cell::new(short(row.per_sequence)),
        Cell::new(row.binding.map_or("", Part::name)),
        Cell::new(places.join(", ")),
    ];
    if wide {
        let parts = row.parts.iter().filter(|(_, s)| *s > 0.0);
        let parts: Vec<String> =
            parts.map(|(part, s)| format!("{} {}", part.name(), short(s * 1e3))).collect();
        cells.push(cell(Tone::Quiet, parts.join(", ")));
    }
    cells.push(match &row.does_not_fit {
        None => cell(Tone::Good, "yes"),
        Some(why) => cell(Tone::Bad, why.clone()),
    });
    cells
}
