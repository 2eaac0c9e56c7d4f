//! The table of one part.

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::{Cell, Table};

use super::screen::{Screen, Tone, cell, printable};
use super::table::{first_that_fits, table};
use super::{figure, notes};
use crate::report::model::{Ceilings, PartReport, Row, families, shared_path};
use crate::report::quantity::{self, noise, percent};

/// The table of `part` with its notes; empty when it has no rows.
pub fn render(screen: Screen, part: &PartReport) -> String {
    // What is in a matrix is shown there.
    let rows: Vec<Row> = part.rows.iter().filter(|row| !row.in_matrix).cloned().collect();
    if part.rows.is_empty() {
        return String::new();
    }
    let ceilings = Ceilings::of(&rows);
    let layouts = Layout::from_most_to_least();
    let mut text = screen.heading(part.part.name());
    let draw = |layout: Layout| layout.table(screen, &rows, &ceilings);
    let Some((table, layout)) = first_that_fits(screen, &layouts, draw) else { return text };
    text += &table;
    text += &notes::ceilings(screen, &ceilings);
    text += &notes::no_ceiling(screen, &rows);
    if !layout.kernel {
        text += &notes::kernel_paths(screen, &rows);
    }
    text += &notes::reasons(screen, &rows);
    text + &figure::render(screen, &part.figures)
}

/// How much a table tells.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Names without the path that a family of metrics shares, which gets a line of its own.
    short_names: bool,
    /// A column for the ceiling's value; its source is in the notes in any case.
    ceiling: bool,
    /// A column for the kernel path; without it, it is in the notes.
    kernel: bool,
    /// How the interval is shown.
    interval: Ends,
}

/// How an interval is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    /// `30.9 - 31.5`
    Both,
    /// `±1.0 %`: half the width over the median.
    Relative,
    /// Not: the digits of the median have to tell it.
    Hidden,
}

impl Layout {
    fn from_most_to_least() -> [Self; 8] {
        let full = Self { short_names: false, ceiling: true, kernel: true, interval: Ends::Both };
        let short = Self { short_names: true, ..full };
        let bare = Self { ceiling: false, kernel: false, ..short };
        [
            full,
            short,
            Self { ceiling: false, ..full },
            Self { ceiling: false, ..short },
            Self { short_names: false, ..bare },
            bare,
            Self { interval: Ends::Relative, ..bare },
            Self { interval: Ends::Hidden, ..bare },
        ]
    }

    fn table(self, screen: Screen, rows: &[Row], ceilings: &Ceilings) -> Table {
        let mut columns = vec![("metric", Left), ("median", Right)];
        match self.interval {
            Ends::Both => columns.push(("95 % interval", Right)),
            Ends::Relative => columns.push(("95 %", Right)),
            Ends::Hidden => {}
        }
        columns.push(("of ceiling", Right));
        if self.ceiling {
            columns.push(("ceiling", Right));
        }
        columns.push(("state", Left));
        if self.kernel {
            columns.push(("kernel path", Left));
        }
        let mut lines = Vec::new();
        for family in families(rows) {
            let prefix = shared_path(family).filter(|_| self.short_names && family.len() > 1);
            if let Some(prefix) = prefix {
                lines.push(vec![cell(Tone::Quiet, printable(prefix))]);
            }
            for row in family {
                let name = match prefix {
                    Some(prefix) => format!("  {}", &row.id.as_str()[prefix.len()..]),
                    None => row.id.as_str().to_owned(),
                };
                lines.push(self.line(&name, row, ceilings));
            }
        }
        table(screen, &columns, lines)
    }

    fn line(self, name: &str, row: &Row, ceilings: &Ceilings) -> Vec<Cell> {
        let none = || "-".to_owned();
        let summary = row.summary.as_ref().filter(|_| row.usable());
        let printed = summary.map(|summary| quantity::of_summary(row.unit, summary));
        let interval = match self.interval {
            Ends::Both => printed.as_ref().and_then(|printed| printed.interval.clone()),
            Ends::Relative => summary.and_then(noise).map(|noise| format!("±{}", percent(noise))),
            Ends::Hidden => None,
        };
        let share = match row.share.filter(|_| row.usable()) {
            Some(share) => format!("{} {}", percent(share), ceilings.mark(row)),
            None => none(),
        };
        let value = printed.map_or_else(none, |printed| printed.value);
        let mut line = vec![Cell::new(printable(name)), Cell::new(value)];
        if self.interval != Ends::Hidden {
            line.push(cell(Tone::Quiet, interval.unwrap_or_else(none)));
        }
        line.push(cell(Tone::Strong, share));
        if self.ceiling {
            let ceiling = row.ceiling.as_ref().map(|c| quantity::plain(row.unit, c.value));
            line.push(Cell::new(ceiling.unwrap_or_else(none)));
        }
        line.push(cell(row.state.into(), row.state_text()));
        if self.kernel {
            line.push(Cell::new(printable(&row.kernel_path)));
        }
        line
    }
}
