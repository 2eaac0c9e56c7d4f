//! A comparison as one page: an interval plot and the tables.

use maud::{Markup, html};

use super::page;
use crate::compare::{Comparison, Row};
use crate::report::quantity;
use crate::report::terminal::compare::{change, interval, of_suspect};

/// Units of the plot's area, of a row, and of the names at its left.
const WIDTH: f64 = 420.0;
const ROW: f64 = 22.0;
const LABEL: f64 = 420.0;

/// A comparison.
pub fn comparison(comparison: &Comparison) -> String {
    let [a, b] = &comparison.groups;
    let title = format!("{b} against {a}");
    let body = html! {
        header { p.over { "hostdyno comparison" } h1 { (title) } }
        main {
            @for warning in &comparison.warnings { p.alert role="note" { b { "Note: " } (warning) } }
            h2 { "What explains it" }
            p { (comparison.explanation.text) }
            ul {
                @for suspect in &comparison.explanation.suspects { li { (of_suspect(suspect)) } }
                @for missing in &comparison.explanation.not_in_effect { li { b { "not in effect: " } (missing) } }
            }
            h2 { "What moved" }
            (plot(&comparison.metrics))
            (moved(&comparison.metrics))
            h2 { "What differs" }
            (differences(comparison))
            @if !comparison.not_compared.is_empty() {
                h2 { "Not compared" }
                (table(&["metric", "why"], comparison.not_compared.iter().map(|n| [n.id.to_string(), n.why.clone()])))
            }
        }
    };
    page(&format!("{title} - hostdyno"), &comparison.explanation.text, &body)
}

fn moved(rows: &[Row]) -> Markup {
    html! {
        table {
            (head(&["metric", "A", "B", "change", "95 % interval", "verdict", "why"]))
            tbody {
                @for row in rows {
                    tr {
                        td { span.id { (row.id) } }
                        td.number { (quantity::plain(row.unit, row.a)) }
                        td.number { (quantity::plain(row.unit, row.b)) }
                        td.number { (change(row.ratio)) }
                        td.number { (interval(row.ratio_ci95)) }
                        td class=(row.verdict.name()) { (row.verdict.name()) }
                        td.quiet { (row.reason) }
                    }
                }
            }
        }
    }
}

fn differences(comparison: &Comparison) -> Markup {
    let differences = comparison.environment.differences.iter().map(|d| {
        let relevance = format!("{:?}", d.relevance).to_lowercase();
        [d.field.clone(), d.a.clone(), d.b.clone(), d.source.clone(), relevance]
    });
    table(&["field", "A", "B", "read from", "relevance"], differences)
}

fn table<const N: usize>(columns: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> Markup {
    html! {
        table {
            (head(columns))
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        }
    }
}

fn head(columns: &[&str]) -> Markup {
    html! { thead { tr { @for column in columns { th scope="col" { (column) } } } } }
}

/// Each metric's change as a point on its interval, around a line at no change.
fn plot(rows: &[Row]) -> Markup {
    let ends = |row: &Row| row.ratio_ci95.map_or([row.ratio, row.ratio], |ci| [ci.low, ci.high]);
    let finite = rows.iter().flat_map(ends).filter(|end| end.is_finite() && *end > 0.0);
    // At least 5 % either way, so that nothing looks dramatic; at most a factor of four.
    let span = finite.map(|end| end.ln().abs()).fold(0.05, f64::max).min(4f64.ln());
    let x = |ratio: f64| LABEL + WIDTH / 2.0 * (1.0 + (ratio.ln() / span).clamp(-1.0, 1.0));
    let height = ROW * (rows.len() as f64 + 1.5);
    let (width, middle) = (LABEL + WIDTH + 20.0, x(1.0));
    html! {
        svg.chart.forest viewBox=(format!("0 0 {width} {height}")) role="img"
            aria-label="Change of each metric with its 95 % interval"
        {
            line.frame x1=(middle) x2=(middle) y1="0" y2=(height - ROW) stroke="currentColor" {}
            @for (index, row) in rows.iter().enumerate() {
                @let y = ROW * (index as f64 + 0.8);
                @let [low, high] = ends(row).map(x);
                g class=(row.verdict.name()) fill="currentColor" stroke="currentColor" {
                    text stroke="none" x=(LABEL - 10.0) y=(y + 4.0) text-anchor="end" font-size="12" { (row.id) }
                    line x1=(format!("{low:.1}")) x2=(format!("{high:.1}")) y1=(y) y2=(y) stroke-width="2" {}
                    circle cx=(format!("{:.1}", x(row.ratio))) cy=(y) r="4" {}
                }
            }
            @for share in [-span, 0.0, span] {
                text.axis-title x=(x(share.exp())) y=(height - 4.0) text-anchor="middle" font-size="12" {
                    (format!("{:+.0} %", share.exp_m1() * 100.0))
                }
            }
        }
    }
}
