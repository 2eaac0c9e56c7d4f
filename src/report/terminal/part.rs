//! The table of one part.

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::{Cell, Table};

use super::figure;
use super::notes::{self, Ceilings};
use super::screen::{Screen, Tone, cell, printable};
use super::table::{first_that_fits, table};
use crate::record::{Cache, MetricId};
use crate::report::model::{PartReport, Row};
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
    text += &ceilings.notes(screen);
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
        line.push(cell(row.state.into(), state(row)));
        if self.kernel {
            line.push(Cell::new(printable(&row.kernel_path)));
        }
        line
    }
}

/// The state, with the word that a reader must not miss when the inputs were not cold.
pub fn state(row: &Row) -> String {
    match row.cache {
        Cache::Cold | Cache::NotApplicable => row.state.name().to_owned(),
        Cache::Hot => format!("{}, hot", row.state.name()),
        Cache::Unknown => format!("{}, warm?", row.state.name()),
    }
}

/// Runs of neighbours whose names begin with the same segment.
fn families(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let first = |id: &MetricId| id.as_str().split('/').next().map(str::to_owned);
    rows.chunk_by(move |a, b| first(&a.id) == first(&b.id))
}

/// The leading path that all names share, with its last slash; `None` when they share none.
fn shared_path(rows: &[Row]) -> Option<&str> {
    let (first, rest) = rows.split_first()?;
    let first = first.id.as_str();
    let mut shared = first.rfind('/').map_or(0, |slash| slash + 1);
    for row in rest {
        while !row.id.as_str().starts_with(&first[..shared]) {
            shared = first[..shared.saturating_sub(1)].rfind('/').map_or(0, |slash| slash + 1);
        }
    }
    (shared > 0).then_some(&first[..shared])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn rows(names: &[&str]) -> Vec<Row> {
        names.iter().map(|name| Row::new(&fixture::ok(name, 1.0))).collect()
    }

    #[test]
    fn families_keep_what_tells_their_members_apart() {
        let rows = rows(&["gemm/cpu/bf16/m1", "gemm/cpu/bf16/m1n2", "gemm/cpu/int8/m1", "peak/x"]);
        let families: Vec<_> = families(&rows).collect();
        assert_eq!(families.len(), 2);
        assert_eq!(shared_path(families[0]), Some("gemm/cpu/"));
        assert_eq!(shared_path(&families[0][..2]), Some("gemm/cpu/bf16/"));
        assert_eq!(shared_path(&self::rows(&["a", "b"])), None);
        assert_eq!(shared_path(&self::rows(&["", ""])), None);
    }
}
