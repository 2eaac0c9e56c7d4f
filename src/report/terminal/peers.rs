//! Our products beside others', as a table.

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::{Cell, Table};

use super::screen::{Screen, Tone, cell, printable};
use super::table::{fitted, table};
use crate::record::{State, Unit};
use crate::report::model::{Beside, PeerRow, Peers};
use crate::report::quantity;

/// One line a peer and shape, one column a format.
pub fn render(screen: Screen, peers: &Peers) -> String {
    let mut text = screen.heading("beside others' products");
    text += &fitted(screen, || draw(screen, peers));
    text + &screen.paragraph("  ", NOTE)
}

/// What the figures mean.
pub const NOTE: &str = "ours over theirs, operations a second: ratio of the medians, and the bounds that both 95 % \
                        intervals leave; ~ where a figure is not ok. The CPU's peers multiply f32; cuBLASLt's mxfp8 and \
                        nvfp4 stand beside our formats of as many bits";

/// Column headings: the formats that any row has, in the order met.
pub fn formats(peers: &Peers) -> Vec<&str> {
    let mut formats: Vec<&str> = Vec::new();
    for ours in peers.rows.iter().flat_map(|row| &row.ours) {
        if !formats.contains(&ours.format.as_str()) {
            formats.push(&ours.format);
        }
    }
    formats
}

/// What a row says for `format`.
pub fn ratio(row: &PeerRow, format: &str) -> String {
    let Some(ours) = row.ours.iter().find(|ours| ours.format == format) else { return "-".into() };
    let Beside { ratio, bounds, .. } = ours;
    let doubt = if ours.state == State::Ok && row.state == State::Ok { "" } else { "~" };
    match bounds {
        Some(bounds) => format!("{doubt}{ratio:.2} ({:.2} - {:.2})", bounds.low, bounds.high),
        None => format!("{doubt}{ratio:.2}"),
    }
}

/// The peer's rate.
pub fn rate(row: &PeerRow) -> String {
    quantity::plain(Unit::TeraFlops, row.tera_flops)
}

fn draw(screen: Screen, peers: &Peers) -> Table {
    let formats = formats(peers);
    let mut columns = vec![("shape", Left), ("peer", Left), ("its rate", Right)];
    columns.extend(formats.iter().map(|&format| (format, Right)));
    let rows = peers.rows.iter().map(|row| {
        let mut cells = vec![
            Cell::new(printable(&row.shape)),
            cell(Tone::Quiet, printable(&row.peer)),
            Cell::new(rate(row)),
        ];
        cells.extend(formats.iter().map(|&format| Cell::new(ratio(row, format))));
        cells
    });
    table(screen, &columns, rows.collect())
}
