//! A comparison as text: what differs, what moved, what explains it.

use comfy_table::{Cell, CellAlignment, Table};

use super::screen::{Screen, Tone, cell};
use super::table::{first_that_fits, fitted, table};
use crate::compare::explain::{Explanation, Suspect};
use crate::compare::settings::Relevance;
use crate::compare::verdict::Verdict;
use crate::compare::{Comparison, Row};
use crate::record::{Interval, MetricId};
use crate::report::quantity;

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

/// Metrics named in a sentence before the rest is only counted.
const NAMED: usize = 3;

/// How a verdict is to be seen.
const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Better => Tone::Good,
        Verdict::Worse => Tone::Bad,
        Verdict::Ambiguous | Verdict::Underpowered => Tone::Doubtful,
        Verdict::Same => Tone::Quiet,
    }
}

/// The whole comparison.
pub fn render(screen: Screen, comparison: &Comparison) -> String {
    let mut blocks = vec![
        head(screen, comparison),
        environment(screen, comparison),
        metrics(screen, comparison),
        reasons(screen, &comparison.metrics),
        not_compared(screen, comparison),
        explanation(screen, &comparison.explanation),
    ];
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn head(screen: Screen, comparison: &Comparison) -> String {
    let [a, b] = &comparison.groups;
    let mut text = screen.heading(&format!("B = {b} against A = {a}"));
    for (name, runs) in ["A", "B"].into_iter().zip(&comparison.runs) {
        text += &screen.paragraph(&format!("  {name}: "), &runs.join(", "));
    }
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| comparison.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", comparison.count(verdict), verdict.name()))
        .collect();
    text += &screen.paragraph("  ", &counts.join(" | "));
    for warning in &comparison.warnings {
        text +=
            &screen.paragraph(&format!("  {}: ", screen.paint(Tone::Doubtful, "note")), warning);
    }
    text
}

fn environment(screen: Screen, comparison: &Comparison) -> String {
    let of = |relevance: Relevance| {
        comparison.environment.differences.iter().filter(move |d| d.relevance == relevance)
    };
    let settings: Vec<_> = of(Relevance::Setting).collect();
    let mut text = screen.heading("what differs");
    if settings.is_empty() {
        text += "  no recorded setting\n";
    } else {
        let columns = [("setting", LEFT), ("A", LEFT), ("B", LEFT), ("read from", LEFT)];
        text += &fitted(screen, || {
            let rows = settings.iter().map(|d| {
                let quiet = |text: &str| cell(Tone::Quiet, super::printable(text));
                vec![plain(&d.field), plain(&short(&d.a)), plain(&short(&d.b)), quiet(&d.source)]
            });
            table(screen, &columns, rows.collect())
        });
    }
    for (relevance, what) in [
        (Relevance::Consequence, "follow from a setting"),
        (Relevance::Incidental, "not known to matter"),
    ] {
        let fields: Vec<&str> = of(relevance).map(|d| d.field.as_str()).collect();
        if !fields.is_empty() {
            text += &screen.paragraph(&format!("  {what}: "), &some(&fields));
        }
    }
    text
}

fn plain(text: &str) -> Cell {
    Cell::new(super::printable(text))
}

/// Long values (CPU flags, command lines) by their beginning.
fn short(value: &str) -> String {
    const MOST: usize = 48;
    if value.chars().count() <= MOST {
        return value.to_owned();
    }
    value.chars().take(MOST - 3).collect::<String>() + "..."
}

/// The first few of `names`, and how many more.
fn some(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn ids(ids: &[MetricId]) -> String {
    some(&ids.iter().map(MetricId::as_str).collect::<Vec<_>>())
}

/// Columns of the metrics' table, from the most telling to the tightest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Full,
    Interval,
    Tight,
}

fn metrics(screen: Screen, comparison: &Comparison) -> String {
    let layouts = [Layout::Full, Layout::Interval, Layout::Tight];
    let drawn =
        first_that_fits(screen, &layouts, |layout| draw(screen, &comparison.metrics, layout));
    screen.heading("what moved") + &drawn.map_or_else(String::new, |(text, _)| text)
}

fn draw(screen: Screen, rows: &[Row], layout: Layout) -> Table {
    let mut columns = vec![("metric", LEFT)];
    if layout == Layout::Full {
        columns.extend([("A", RIGHT), ("B", RIGHT)]);
    }
    columns.push(("change", RIGHT));
    if layout != Layout::Tight {
        columns.push(("95 % interval", RIGHT));
    }
    if layout == Layout::Full {
        columns.extend([("noise", RIGHT), ("P(better)", RIGHT), ("units", RIGHT)]);
    }
    columns.push(("verdict", LEFT));
    let cells = rows.iter().map(|row| {
        let mut cells = vec![plain(row.id.as_str())];
        if layout == Layout::Full {
            cells.extend([row.a, row.b].map(|value| Cell::new(quantity::plain(row.unit, value))));
        }
        cells.push(cell(tone(row.verdict), change(row.ratio)));
        if layout != Layout::Tight {
            cells.push(Cell::new(interval(row.ratio_ci95)));
        }
        if layout == Layout::Full {
            let noise = row.noise.map_or("unknown".into(), |n| format!("±{:.1} %", n * 100.0));
            let units = format!("{}+{}", row.processes[0], row.processes[1]);
            cells.extend([noise, format!("{:.2}", row.superiority), units].map(Cell::new));
        }
        cells.push(cell(tone(row.verdict), row.verdict.name()));
        cells
    });
    table(screen, &columns, cells.collect())
}

/// `1.031` as `+3.1 %`.
pub fn change(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

/// `+2.1 to +4.0 %`.
pub fn interval(interval: Option<Interval>) -> String {
    interval.map_or("unknown".to_owned(), |Interval { low, high }| {
        format!("{:+.1} to {:+.1} %", (low - 1.0) * 100.0, (high - 1.0) * 100.0)
    })
}

/// Why verdicts are what they are, where the table does not say it: each reason once.
fn reasons(screen: Screen, rows: &[Row]) -> String {
    let mut text = String::new();
    for verdict in [Verdict::Worse, Verdict::Better, Verdict::Ambiguous, Verdict::Underpowered] {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in rows.iter().filter(|row| row.verdict == verdict) {
            match groups.iter_mut().find(|(reason, _)| *reason == row.reason) {
                Some((_, ids)) => ids.push(row.id.as_str()),
                None => groups.push((&row.reason, vec![row.id.as_str()])),
            }
        }
        let label = format!("  {} ", screen.paint(tone(verdict), verdict.name()));
        for (reason, ids) in groups {
            text += &screen.paragraph(&label, &format!("{}: {reason}", some(&ids)));
        }
    }
    for row in rows.iter().filter(|row| !row.flags.is_empty()) {
        text += &screen.paragraph("  note ", &format!("{}: {}", row.id, row.flags.join("; ")));
    }
    text
}

fn not_compared(screen: Screen, comparison: &Comparison) -> String {
    if comparison.not_compared.is_empty() {
        return String::new();
    }
    let mut text = screen.heading("not compared");
    for metric in &comparison.not_compared {
        text += &screen.paragraph("  ", &format!("{}: {}", metric.id, metric.why));
    }
    text
}

fn explanation(screen: Screen, explanation: &Explanation) -> String {
    let mut text = screen.heading("what explains it");
    text += &screen.paragraph("  ", &explanation.text);
    for suspect in &explanation.suspects {
        text += &screen.paragraph("  - ", &of_suspect(suspect));
    }
    if !explanation.unexplained.is_empty() && !explanation.suspects.is_empty() {
        let what =
            format!("no setting that differs is known to move {}", ids(&explanation.unexplained));
        text += &screen.paragraph("  - ", &what);
    }
    let label = format!("  {}: ", screen.paint(Tone::Bad, "not in effect"));
    for missing in &explanation.not_in_effect {
        text += &screen.paragraph(&label, missing);
    }
    text
}

/// What a setting that differs could explain, as a sentence.
pub fn of_suspect(suspect: &Suspect) -> String {
    let mut text = format!("{} ({})", suspect.field, suspect.change);
    text += &match suspect.could_explain.as_slice() {
        [] => " could explain none of the changes".to_owned(),
        could => format!(" could explain {}", ids(could)),
    };
    if !suspect.against.is_empty() {
        text += &format!("; {} moved the other way than expected", ids(&suspect.against));
    }
    if !suspect.did_not_move.is_empty() {
        text += &format!("; {} should have moved and did not", ids(&suspect.did_not_move));
    }
    if let Some(expect) = suspect.expect {
        text += &format!(". Known effect: {expect}");
    }
    text
}
