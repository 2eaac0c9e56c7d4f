//! A comparison as one HTML page without scripts or outside resources: an interval plot and the tables.

use std::fmt::Write;

use crate::compare::verdict::Verdict;
use crate::compare::{Comparison, Row};
use crate::report::quantity;
use crate::report::terminal::compare::{change, interval, of_suspect};
use crate::report::terminal::printable;

/// Pixels of the plot's area and of a row.
const WIDTH: f64 = 420.0;
const ROW: f64 = 22.0;
const LABEL: f64 = 420.0;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;color:#222}\
table{border-collapse:collapse}td,th{padding:.15em .7em;border-bottom:1px solid #ddd;text-align:left}\
.BETTER{color:#0a7d2c}.WORSE{color:#c1121f}.AMBIGUOUS,.UNDERPOWERED{color:#9a6700}.SAME{color:#666}\
svg text{font:12px system-ui,sans-serif}";

/// `text` as HTML shows it as it is.
pub fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A comparison.
pub fn comparison(comparison: &Comparison) -> String {
    let [a, b] = comparison.groups.each_ref().map(|name| escape(name));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{b} against {a}</title>\
         <style>{STYLE}</style>\n<h1>{b} against {a}</h1>\n"
    );
    for warning in &comparison.warnings {
        page += &format!("<p><b>Note:</b> {}</p>\n", escape(warning));
    }
    page += &format!(
        "<h2>What explains it</h2>\n<p>{}</p>\n<ul>\n",
        escape(&comparison.explanation.text)
    );
    for suspect in &comparison.explanation.suspects {
        page += &format!("<li>{}</li>\n", escape(&of_suspect(suspect)));
    }
    for missing in &comparison.explanation.not_in_effect {
        page += &format!("<li><b>not in effect:</b> {}</li>\n", escape(missing));
    }
    page += "</ul>\n<h2>What moved</h2>\n";
    page += &plot(&comparison.metrics);
    page += &table(
        &["metric", "A", "B", "change", "95 % interval", "verdict", "why"],
        comparison.metrics.iter().map(|row| {
            let (a, b) = (quantity::plain(row.unit, row.a), quantity::plain(row.unit, row.b));
            let reason = row.reason.clone();
            let verdict = row.verdict.name().to_owned();
            vec![
                row.id.to_string(),
                a,
                b,
                change(row.ratio),
                interval(row.ratio_ci95),
                verdict,
                reason,
            ]
        }),
    );
    page += "<h2>What differs</h2>\n";
    page += &table(
        &["field", "A", "B", "read from", "relevance"],
        comparison.environment.differences.iter().map(|d| {
            let relevance = format!("{:?}", d.relevance).to_lowercase();
            vec![d.field.clone(), d.a.clone(), d.b.clone(), d.source.clone(), relevance]
        }),
    );
    if !comparison.not_compared.is_empty() {
        page += "<h2>Not compared</h2>\n";
        let rows = comparison.not_compared.iter().map(|n| vec![n.id.to_string(), n.why.clone()]);
        page += &table(&["metric", "why"], rows);
    }
    page + "</html>\n"
}

fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("<table><tr><th>{}</th></tr>\n", columns.join("</th><th>"));
    for row in rows {
        let cells: String = row
            .iter()
            .map(|cell| match Verdict::ALL.iter().any(|verdict| verdict.name() == cell) {
                true => format!("<td class=\"{cell}\">{cell}</td>"),
                false => format!("<td>{}</td>", escape(cell)),
            })
            .collect();
        text += &format!("<tr>{cells}</tr>\n");
    }
    text + "</table>\n"
}

/// Each metric's change as a point on its interval, around a line at no change.
fn plot(rows: &[Row]) -> String {
    let ends = |row: &Row| row.ratio_ci95.map_or([row.ratio, row.ratio], |ci| [ci.low, ci.high]);
    let finite = rows.iter().flat_map(ends).filter(|end| end.is_finite() && *end > 0.0);
    // At least 5 % either way, so that nothing looks dramatic; at most a factor of four.
    let span = finite.map(|end| end.ln().abs()).fold(0.05, f64::max).min(4f64.ln());
    let x = |ratio: f64| LABEL + WIDTH / 2.0 * (1.0 + (ratio.ln() / span).clamp(-1.0, 1.0));
    let height = ROW * (rows.len() as f64 + 1.5);
    let (width, middle) = (LABEL + WIDTH + 20.0, x(1.0));
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"change of each metric with its 95 % \
         interval\"><line x1=\"{middle}\" x2=\"{middle}\" y1=\"0\" y2=\"{height}\" stroke=\"#999\"/>\n"
    );
    for (index, row) in rows.iter().enumerate() {
        let y = ROW * (index as f64 + 0.8);
        let [low, high] = ends(row).map(x);
        // Writing to a String can't fail.
        let _ = writeln!(
            svg,
            "<g class=\"{class}\" fill=\"currentColor\" stroke=\"currentColor\"><text stroke=\"none\" x=\"{text}\" y=\"{below}\" \
             text-anchor=\"end\">{id}</text><line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
             stroke-width=\"2\"/><circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>",
            class = row.verdict.name(),
            id = escape(row.id.as_str()),
            text = LABEL - 10.0,
            below = y + 4.0,
            at = x(row.ratio),
        );
    }
    for share in [-span, 0.0, span] {
        let label = format!("{:+.0} %", share.exp_m1() * 100.0);
        let (at, y) = (x(share.exp()), height - 4.0);
        svg += &format!("<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>\n");
    }
    svg + "</svg>\n"
}
