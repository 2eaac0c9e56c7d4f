//! A host's noise as text.

use comfy_table::{Cell, CellAlignment};

use super::screen::Screen;
use super::table::{fitted, table};
use crate::compare::estimate::Spread;
use crate::compare::noise_floor::NoiseFloor;

/// Standard deviations, metric by metric.
pub fn render(screen: Screen, floor: &NoiseFloor) -> String {
    const RIGHT: CellAlignment = CellAlignment::Right;
    let columns =
        [("metric", CellAlignment::Left), ("between boots", RIGHT), ("between processes", RIGHT)];
    let shown = |spread: Option<Spread>| match spread {
        Some(Spread { sd, df }) => format!("±{:.1} % ({df:.0})", sd.exp_m1() * 100.0),
        None => "unknown".to_owned(),
    };
    let text = fitted(screen, || {
        let rows = floor.metrics.iter().map(|(id, floor)| {
            let id = super::printable(id.as_str()).into_owned();
            [id, shown(floor.boots), shown(floor.processes)].map(Cell::new).to_vec()
        });
        table(screen, &columns, rows.collect())
    });
    let note = "standard deviation of one boot or process, and the degrees of freedom behind it";
    screen.heading("noise of this host") + &text + &screen.paragraph("  ", note)
}
