//! A number for each part of the bottleneck: one line a part.

use comfy_table::Cell;
use comfy_table::CellAlignment::{Left, Right};

use super::part::state;
use super::screen::{Screen, Tone, cell, printable};
use super::table::{fitted, table};
use crate::record::Origin;
use crate::report::model::{Headline, PartReport};
use crate::report::quantity::{self, percent};

/// Cells of the bar that shows the share of the ceiling.
const BAR: usize = 10;

/// The best figure of each part, or why there is none.
pub fn render(screen: Screen, parts: &[PartReport]) -> String {
    let columns = [
        ("part", Left),
        ("best", Right),
        ("of ceiling", Right),
        ("", Left),
        ("state", Left),
        ("metric", Left),
    ];
    let (mut rows, mut without) = (Vec::new(), String::new());
    for part in parts {
        match &part.headline {
            Headline::Figure(row) => {
                let best = row.summary.as_ref().map(|s| quantity::of_summary(row.unit, s).value);
                let (share, bar) = match (row.share, &row.ceiling) {
                    (Some(share), Some(ceiling)) => {
                        (format!("{} {}", percent(share), short(ceiling.origin)), bar(share))
                    }
                    _ => ("ceiling unknown".to_owned(), String::new()),
                };
                rows.push(vec![
                    Cell::new(part.part.name()),
                    cell(Tone::Strong, best.unwrap_or_default()),
                    cell(Tone::Strong, share),
                    Cell::new(bar),
                    cell(row.state.into(), state(row)),
                    Cell::new(printable(row.id.as_str())),
                ]);
            }
            Headline::None(why) => {
                without += &screen.paragraph(&format!("  {:8} ", part.part.name()), why);
            }
        }
    }
    let mut text = screen.heading("a number for each part");
    if !rows.is_empty() {
        text += &fitted(screen, || table(screen, &columns, rows.clone()));
    }
    text + &without
}

fn short(origin: Origin) -> &'static str {
    match origin {
        Origin::Theoretical => "theoretical",
        Origin::Measured => "measured",
    }
}

/// Full cells for the share reached, light ones for the rest.
fn bar(share: f64) -> String {
    let full = ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}
