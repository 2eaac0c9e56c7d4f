//! A qualification as text: the verdict, the metrics that were judged, what else was found, what was not judged.

use comfy_table::{Cell, CellAlignment, Table};

use super::screen::{Screen, Tone, cell};
use super::table::{first_that_fits, fitted, table};
use crate::qualify::Qualification;
use crate::qualify::baseline::Baseline;
use crate::qualify::rules::{Judgement, Verdict};
use crate::report::quantity::{self, percent};

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

/// Metrics of one reason named before the rest is only counted.
const NAMED: usize = 3;

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Warn | Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
    }
}

/// The whole qualification.
pub fn render(screen: Screen, qualification: &Qualification) -> String {
    let mut blocks = vec![
        head(screen, qualification),
        judgements(screen, &qualification.judgements),
        findings(screen, qualification),
        not_judged(screen, qualification),
    ];
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn head(screen: Screen, qualification: &Qualification) -> String {
    let verdict = qualification.verdict;
    let mut text = format!("{}\n", screen.paint(tone(verdict), verdict.name()));
    text += &screen.paragraph("  run ", &qualification.runs.join(", "));
    for part in &qualification.identified {
        text += &screen.paragraph("  ", part);
    }
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| qualification.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", qualification.count(verdict), verdict.name()))
        .chain(match qualification.findings.len() {
            0 => None,
            1 => Some("1 finding".to_owned()),
            n => Some(format!("{n} findings")),
        })
        .collect();
    text + &screen.paragraph("  ", &counts.join(" | "))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Full,
    Tight,
}

fn judgements(screen: Screen, judgements: &[Judgement]) -> String {
    if judgements.is_empty() {
        return String::new();
    }
    let drawn = first_that_fits(screen, &[Layout::Full, Layout::Tight], |layout| {
        draw(screen, judgements, layout)
    });
    let mut text = screen.heading("against the reference");
    text += &drawn.map_or_else(String::new, |(text, _)| text);
    for judgement in judgements {
        let label =
            format!("  {} ", screen.paint(tone(judgement.verdict), judgement.verdict.name()));
        if judgement.verdict != Verdict::Pass {
            text += &screen.paragraph(&label, &format!("{}: {}", judgement.id, judgement.reason));
        }
    }
    text + &sources(screen, judgements)
}

fn draw(screen: Screen, judgements: &[Judgement], layout: Layout) -> Table {
    let mut columns =
        vec![("metric", LEFT), ("measured", RIGHT), ("reference", RIGHT), ("share", RIGHT)];
    if layout == Layout::Full {
        columns.push(("at its clock", RIGHT));
    }
    columns.push(("verdict", LEFT));
    let rows = judgements.iter().map(|judgement| {
        let value = |value: Option<f64>| {
            value.map_or("-".to_owned(), |value| quantity::plain(judgement.unit, value))
        };
        let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
        let mut cells = vec![Cell::new(super::printable(judgement.id.as_str()))];
        let reference = judgement.yardstick.as_ref().map(|yardstick| yardstick.value);
        cells.extend(
            [value(judgement.value), value(reference), share(judgement.share)].map(Cell::new),
        );
        if layout == Layout::Full {
            cells.push(cell(Tone::Quiet, share(judgement.share_at_clock)));
        }
        cells.push(cell(tone(judgement.verdict), judgement.verdict.name()));
        cells
    });
    table(screen, &columns, rows.collect())
}

/// Where the references come from, each once.
fn sources(screen: Screen, judgements: &[Judgement]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for judgement in judgements {
        let Some(yardstick) = &judgement.yardstick else { continue };
        match groups.iter_mut().find(|(source, _)| *source == yardstick.source) {
            Some((_, ids)) => ids.push(judgement.id.as_str()),
            None => groups.push((&yardstick.source, vec![judgement.id.as_str()])),
        }
    }
    let lines = groups.into_iter().map(|(source, ids)| {
        let more = match ids.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = ids.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        screen.paragraph("  ", &format!("{named}{more}: {source}"))
    });
    lines.collect()
}

fn findings(screen: Screen, qualification: &Qualification) -> String {
    if qualification.findings.is_empty() {
        return String::new();
    }
    let mut text = screen.heading("beyond numbers");
    for finding in &qualification.findings {
        let label = format!("  {} ", screen.paint(tone(finding.severity), finding.severity.name()));
        text += &screen.paragraph(&label, &format!("{}: {}", finding.rule, finding.what));
        text += &screen.paragraph("     see ", &finding.command);
        text += &screen.paragraph("     -> ", &finding.next);
    }
    text
}

fn not_judged(screen: Screen, qualification: &Qualification) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for metric in &qualification.not_judged {
        match groups.iter_mut().find(|(why, _)| *why == metric.why) {
            Some((_, ids)) => ids.push(metric.id.as_str()),
            None => groups.push((&metric.why, vec![metric.id.as_str()])),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let mut text = screen.heading("measured, not judged");
    for (why, ids) in groups {
        let count =
            if ids.len() == 1 { ids[0].to_owned() } else { format!("{} metrics", ids.len()) };
        text += &screen.paragraph("  ", &format!("{count}: {why}"));
    }
    text
}

/// A baseline: centre, spread and outliers, metric by metric.
pub fn baseline(screen: Screen, baseline: &Baseline) -> String {
    let columns = [
        ("metric", LEFT),
        ("centre", RIGHT),
        ("spread", RIGHT),
        ("runs", RIGHT),
        ("outliers", LEFT),
    ];
    let text = fitted(screen, || {
        let rows = baseline.metrics.iter().map(|(id, level)| {
            let id = super::printable(id.as_str()).into_owned();
            let spread = format!("±{:.1} %", level.spread * 100.0);
            let outliers = super::printable(&level.outliers.join(", ")).into_owned();
            let centre = quantity::plain(level.unit, level.centre);
            [id, centre, spread, level.runs.to_string(), outliers].map(Cell::new).to_vec()
        });
        table(screen, &columns, rows.collect())
    });
    screen.heading(&format!("baseline of {} runs", baseline.runs.len())) + &text
}
