//! Runs: the head of a report, and the list of all.

use comfy_table::Cell;
use comfy_table::CellAlignment::Left;

use super::screen::{Screen, Tone, cell, printable};
use super::table::{first_that_fits, table};
use crate::report::model::RunHead;

/// Which run a report is about, and what it lacks.
pub fn head(screen: Screen, run: &RunHead) -> String {
    let label = run.label.as_ref().map(|label| format!(", label {label}")).unwrap_or_default();
    let title = format!("run {}{label}", run.name);
    let mut text = screen.heading(&printable(&title));
    let benches: Vec<_> = run.benches.iter().map(|bench| bench.bench.as_str()).collect();
    let about = [
        format!("profile {}", none_or(&run.profiles, " and ")),
        format!("started {}", run.started.as_deref().unwrap_or("at an unknown time")),
        format!("benches {}", none_or(&benches, ", ")),
        format!("metrics {}", run.states),
    ];
    text += &screen.paragraph("  ", &about.join(" | "));
    if !run.complete {
        let label = screen.paint(Tone::Bad, "incomplete");
        text += &screen.paragraph(&format!("  {label}: "), &run.why_incomplete());
    }
    text
}

/// How much the list of runs tells.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// Names and states; the name begins with the start time.
    Least,
    /// And profiles and benches.
    Benches,
    /// And start times.
    Most,
}

/// All runs, oldest first.
pub fn list(screen: Screen, runs: &[RunHead]) -> String {
    let line = |run: &RunHead, detail: Detail| {
        let mut line = vec![
            cell(Tone::Strong, printable(&run.name)),
            Cell::new(printable(run.label.as_deref().unwrap_or("-"))),
        ];
        if detail == Detail::Most {
            line.push(Cell::new(printable(run.started.as_deref().unwrap_or("-"))));
        }
        if detail >= Detail::Benches {
            let names: Vec<_> = run.benches.iter().map(|bench| bench.bench.as_str()).collect();
            line.push(Cell::new(printable(&none_or(&run.profiles, ", "))));
            line.push(Cell::new(printable(&none_or(&names, " "))));
        }
        line.push(Cell::new(run.states.to_string()));
        line.push(if run.complete { Cell::new("") } else { cell(Tone::Bad, "incomplete") });
        line
    };
    let draw = |detail| {
        let names = match detail {
            Detail::Most => &["name", "label", "started", "profile", "benches", "metrics", ""][..],
            Detail::Benches => &["name", "label", "profile", "benches", "metrics", ""],
            Detail::Least => &["name", "label", "metrics", ""],
        };
        let columns: Vec<_> = names.iter().map(|name| (*name, Left)).collect();
        table(screen, &columns, runs.iter().map(|run| line(run, detail)).collect())
    };
    first_that_fits(screen, &[Detail::Most, Detail::Benches, Detail::Least], draw)
        .map_or_else(String::new, |(text, _)| text)
}

fn none_or(names: &[impl AsRef<str>], separator: &str) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(separator)
}
