//! Rows of metrics: a table for each part, with the interval drawn where the share of the ceiling is.

use maud::{Markup, html};

use crate::record::{Direction, State};
use crate::report::model::{
    Ceilings, Headline, PartReport, Row, families, shared_path, unknown_ceilings,
};
use crate::report::quantity::{self, percent};

/// A state as a word with a sign, so that it does not hang on colour.
pub fn state(state: State, text: &str) -> Markup {
    let sign = match state {
        State::Ok => "●",
        State::Noisy => "◐",
        State::Throttled => "▼",
        State::Skipped => "○",
        State::Invalid => "✕",
    };
    html! { span.state.(state.name()) { span aria-hidden="true" { (sign) " " } (text) } }
}

/// A name that may break where a slash ends one of its segments.
pub fn name(path: &str) -> Markup {
    html! { span.id { @for segment in path.split_inclusive('/') { (segment) wbr; } } }
}

/// How much of the ceiling is reached, with the interval of the median as a line over it.
pub fn bar(row: &Row) -> Markup {
    let (Some(share), Some(ceiling)) = (row.share, &row.ceiling) else { return html! {} };
    let of_ceiling = |value: f64| match row.unit.direction() {
        Direction::Higher => value / ceiling.value,
        Direction::Lower => ceiling.value / value,
    };
    let width = |share: f64| (share * 100.0).clamp(0.0, 100.0);
    let ends = row.summary.as_ref().and_then(|summary| summary.median_ci95).map(|interval| {
        let (a, b) = (width(of_ceiling(interval.low)), width(of_ceiling(interval.high)));
        (a.min(b), a.max(b))
    });
    html! {
        span.bar role="img" aria-label=(format!("{} of the ceiling", percent(share))) {
            i.doubt[row.state != State::Ok] style=(format!("width:{:.2}%", width(share))) {}
            @if let Some((low, high)) = ends.filter(|(low, high)| low.is_finite() && high.is_finite()) {
                u style=(format!("left:{low:.2}%;width:{:.2}%", high - low)) {}
            }
        }
    }
}

/// Every part's table, or why it has none.
pub fn parts(parts: &[PartReport]) -> Markup {
    html! {
        p.lead { "Median of all samples with its 95 % interval; the letter after a percentage names the ceiling below the table." }
        @for part in parts {
            h3 id=(format!("part-{}", part.part.name())) { (part.part.name()) }
            @match (&part.headline, part.rows.as_slice()) {
                (Headline::None(why), []) => p.none { (why) },
                (_, rows) => (table(part.part.name(), &outside_matrices(rows))),
            }
        }
    }
}

/// Rows that are no value of a matrix: those are in its picture.
fn outside_matrices(rows: &[Row]) -> Vec<Row> {
    rows.iter().filter(|row| !row.in_matrix).cloned().collect()
}

fn table(part: &str, rows: &[Row]) -> Markup {
    let ceilings = Ceilings::of(rows);
    html! {
        table.stack.metrics role="table" aria-labelledby=(format!("part-{part}")) {
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { "metric, kernel path" }
                    th.number role="columnheader" scope="col" { "median" }
                    th.number role="columnheader" scope="col" { "95 % interval" }
                    th role="columnheader" scope="col" { "of its ceiling" }
                    th role="columnheader" scope="col" { "state" }
                }
            }
            tbody role="rowgroup" { @for family in families(rows) { (group(family, &ceilings)) } }
        }
        ul.notes {
            @for (mark, note) in ceilings.notes() { li { b { (mark) } span { (note) } } }
            @for why in unknown_ceilings(rows) { li { b { "–" } span { "ceiling unknown: " (why) } } }
        }
    }
}

/// Metrics of one family, below the path that their names share.
fn group(family: &[Row], ceilings: &Ceilings) -> Markup {
    let path = shared_path(family).filter(|_| family.len() > 1);
    html! {
        @if let Some(path) = path {
            tr.family role="row" { th.wide role="rowheader" scope="rowgroup" colspan="5" { (name(path)) } }
        }
        @for row in family { (line(row, path.map_or(0, str::len), ceilings)) }
    }
}

fn line(row: &Row, shared: usize, ceilings: &Ceilings) -> Markup {
    let summary = row.summary.as_ref().filter(|_| row.usable());
    let printed = summary.map(|summary| quantity::of_summary(row.unit, summary));
    let (value, interval) = printed.map_or((None, None), |p| (Some(p.value), p.interval));
    let share = row.share.filter(|_| row.usable());
    html! {
        tr.(row.state.name()) role="row" {
            td.wide role="cell" {
                (name(&row.id.as_str()[shared..]))
                @if !row.kernel_path.is_empty() { span.path { (name(&row.kernel_path)) } }
                @if row.state != State::Ok {
                    span.reason { (row.state.name()) ": " (row.reason.as_deref().unwrap_or("no reason recorded")) }
                }
            }
            td.number role="cell" { b { (value.as_deref().unwrap_or("–")) } }
            td.number.quiet role="cell" { (interval.as_deref().unwrap_or("")) }
            td.share.wide role="cell" {
                @if let Some(share) = share { span { (bar(row)) span.number { (percent(share)) " " (ceilings.mark(row)) } } }
                @else { span.quiet { "–" } }
            }
            td role="cell" { (state(row.state, &row.state_text())) }
        }
    }
}
