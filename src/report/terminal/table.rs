//! Tables that fit: of several layouts of the same rows, from the most telling to the tightest, the first
//! that the screen is wide enough for.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};

use super::screen::{Screen, Tone, cell};

/// Columns from a heading and its alignment.
pub type Columns<'a> = &'a [(&'a str, CellAlignment)];

/// A table with a rule below its header and nothing else drawn.
pub fn table(screen: Screen, columns: Columns<'_>, rows: Vec<Vec<Cell>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '─');
    table.set_style(TableComponent::MiddleHeaderIntersections, '─');
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(heading, _)| cell(Tone::Quiet, *heading)));
    table.add_rows(rows);
    for (index, (_, alignment)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((if index == 0 { 2 } else { 0 }, 1));
            column.set_cell_alignment(*alignment);
        }
    }
    if screen.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// The text of the first of `layouts` whose `draw`n table fits `screen`, and that layout; the last one, wrapped,
/// when none does.
pub fn first_that_fits<L: Copy>(
    screen: Screen,
    layouts: &[L],
    draw: impl Fn(L) -> Table,
) -> Option<(String, L)> {
    for &layout in layouts {
        let table = draw(layout);
        if widest(&table) <= screen.width {
            return Some((print(&table), layout));
        }
    }
    let tightest = *layouts.last()?;
    let mut table = draw(tightest);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(screen.width).unwrap_or(u16::MAX));
    Some((print(&table), tightest))
}

/// The only layout of a table, wrapped where it does not fit.
pub fn fitted(screen: Screen, draw: impl Fn() -> Table) -> String {
    first_that_fits(screen, &[()], |()| draw()).map_or_else(String::new, |(text, ())| text)
}

/// Columns that `table` takes.
pub fn widest(table: &Table) -> usize {
    table.lines().map(|line| console::measure_text_width(line.trim_end())).max().unwrap_or(0)
}

/// The lines of `table`, without blanks at their ends.
pub fn print(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
