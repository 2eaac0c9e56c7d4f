//! A number for each part of the bottleneck: one line a part.

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::{Cell, Table};

use super::screen::{Screen, Tone, cell, printable};
use super::table::{first_that_fits, table};
use crate::report::model::{Headline, PartReport, Row};
use crate::report::quantity::{self, percent};

/// Cells of the bar that shows the share of the ceiling.
const BAR: usize = 10;

/// The best figure of each part, or why there is none.
pub fn render(screen: Screen, parts: &[PartReport]) -> String {
    let mut text = screen.heading("a number for each part");
    let figures: Vec<(&str, &Row)> = parts
        .iter()
        .filter_map(|part| match &part.headline {
            Headline::Figure(row) => Some((part.part.name(), row.as_ref())),
            Headline::None(_) => None,
        })
        .collect();
    if !figures.is_empty() {
        let draw = |detail| draw(screen, &figures, detail);
        let details = [Detail::Bar, Detail::Origin, Detail::Share];
        let fitting = first_that_fits(screen, &details, draw);
        text += &fitting.map_or_else(String::new, |(text, _)| text);
    }
    for part in parts {
        if let Headline::None(why) = &part.headline {
            text += &screen.paragraph(&format!("  {:8} ", part.part.name()), why);
        }
    }
    text
}

/// How much the line of a part tells about its ceiling.
#[derive(Clone, Copy, PartialEq)]
enum Detail {
    /// Share, origin and a bar.
    Bar,
    /// Share and origin.
    Origin,
    /// The share.
    Share,
}

fn draw(screen: Screen, figures: &[(&str, &Row)], detail: Detail) -> Table {
    let mut columns = vec![("part", Left), ("best", Right), ("of ceiling", Right)];
    if detail == Detail::Bar {
        columns.push(("", Left));
    }
    columns.extend([("state", Left), ("metric", Left)]);
    let rows = figures.iter().map(|(part, row)| {
        let best = row.summary.as_ref().map(|s| quantity::of_summary(row.unit, s).value);
        let (share, bar) = match (row.share, &row.ceiling) {
            (Some(share), _) if detail == Detail::Share => (percent(share), String::new()),
            (Some(share), Some(ceiling)) => {
                (format!("{} {}", percent(share), ceiling.origin.name()), bar(share))
            }
            _ => ("unknown".to_owned(), String::new()),
        };
        let mut line = vec![
            Cell::new(part),
            cell(Tone::Strong, best.unwrap_or_default()),
            cell(Tone::Strong, share),
        ];
        if detail == Detail::Bar {
            line.push(Cell::new(bar));
        }
        line.push(cell(row.state.into(), row.state_text()));
        line.push(Cell::new(printable(row.id.as_str())));
        line
    });
    table(screen, &columns, rows.collect())
}

/// Full cells for the share reached, light ones for the rest.
fn bar(share: f64) -> String {
    let full = ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}
