//! Comparisons, and tables of peers, as Markdown: for an issue, a wiki, or a repository.

use crate::compare::Comparison;
use crate::compare::settings::Relevance;
use crate::qualify::Qualification;
use crate::report::model::Peers;
use crate::report::quantity;
use crate::report::terminal::compare::{change, interval, of_suspect};
use crate::report::terminal::peers as beside;

/// `text` so that Markdown shows it as it is in a table's cell.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in crate::report::terminal::printable(text).chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

/// A table of `rows` below `columns`.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        text += &line(&row.iter().map(|cell| escape(cell)).collect::<Vec<_>>());
    }
    text
}

/// A comparison.
pub fn comparison(comparison: &Comparison) -> String {
    let [a, b] = &comparison.groups;
    let mut text = format!("# {} against {}\n\n", escape(b), escape(a));
    for warning in &comparison.warnings {
        text += &format!("> {}\n\n", escape(warning));
    }
    text += "## What differs\n\n";
    let settings = comparison.environment.differences.iter();
    let settings: Vec<Vec<String>> = settings
        .filter(|d| d.relevance == Relevance::Setting)
        .map(|d| vec![d.field.clone(), d.a.clone(), d.b.clone(), d.source.clone()])
        .collect();
    text += &match settings.is_empty() {
        true => "No recorded setting.\n".to_owned(),
        false => table(&["setting", "A", "B", "read from"], settings),
    };
    text += "\n## What moved\n\n";
    text += &table(
        &["metric", "A", "B", "change", "95 % interval", "verdict", "why"],
        comparison.metrics.iter().map(|row| {
            vec![
                row.id.to_string(),
                quantity::plain(row.unit, row.a),
                quantity::plain(row.unit, row.b),
                change(row.ratio),
                interval(row.ratio_ci95),
                row.verdict.name().to_owned(),
                row.reason.clone(),
            ]
        }),
    );
    if !comparison.not_compared.is_empty() {
        text += "\n## Not compared\n\n";
        let rows = comparison.not_compared.iter().map(|n| vec![n.id.to_string(), n.why.clone()]);
        text += &table(&["metric", "why"], rows);
    }
    text += &format!("\n## What explains it\n\n{}\n\n", escape(&comparison.explanation.text));
    for suspect in &comparison.explanation.suspects {
        text += &format!("- {}\n", escape(&of_suspect(suspect)));
    }
    for missing in &comparison.explanation.not_in_effect {
        text += &format!("- not in effect: {}\n", escape(missing));
    }
    text
}

/// A qualification.
pub fn qualification(qualification: &Qualification) -> String {
    let mut text = format!(
        "# {}: {}\n\n",
        qualification.verdict.name(),
        escape(&qualification.runs.join(", "))
    );
    for part in &qualification.identified {
        text += &format!("- {}\n", escape(part));
    }
    if !qualification.judgements.is_empty() {
        text += "\n## Against the reference\n\n";
        let rows = qualification.judgements.iter().map(|judgement| {
            let value = |value: Option<f64>| {
                value.map_or_else(String::new, |value| quantity::plain(judgement.unit, value))
            };
            let share = |share: Option<f64>| share.map_or_else(String::new, quantity::percent);
            let yardstick = judgement.yardstick.as_ref();
            vec![
                judgement.id.to_string(),
                value(judgement.value),
                value(yardstick.map(|yardstick| yardstick.value)),
                share(judgement.share),
                share(judgement.share_at_clock),
                judgement.verdict.name().to_owned(),
                judgement.reason.clone(),
                yardstick.map_or_else(String::new, |yardstick| yardstick.source.clone()),
            ]
        });
        let columns = [
            "metric",
            "measured",
            "reference",
            "share",
            "at its clock",
            "verdict",
            "why",
            "source",
        ];
        text += &table(&columns, rows);
    }
    if !qualification.findings.is_empty() {
        text += "\n## Beyond numbers\n\n";
        let rows = qualification.findings.iter().map(|finding| {
            vec![
                finding.rule.to_owned(),
                finding.severity.name().to_owned(),
                finding.what.clone(),
                finding.command.clone(),
                finding.next.clone(),
            ]
        });
        text += &table(&["rule", "verdict", "what", "see", "what to do"], rows);
    }
    if !qualification.not_judged.is_empty() {
        text += "\n## Measured, not judged\n\n";
        let rows = qualification.not_judged.iter().map(|m| vec![m.id.to_string(), m.why.clone()]);
        text += &table(&["metric", "why"], rows);
    }
    text
}

/// Our products beside others', with the host that both were measured on.
pub fn peers(peers: &Peers) -> String {
    let mut text = format!("# Beside others' products: run {}\n\n", escape(&peers.run));
    for line in &peers.host {
        text += &format!("- {}: {}\n", escape(line.label), escape(&line.text));
    }
    let formats = beside::formats(peers);
    let columns: Vec<&str> =
        ["shape", "peer", "its rate"].into_iter().chain(formats.iter().copied()).collect();
    let rows = peers.rows.iter().map(|row| {
        let mut cells = vec![row.shape.clone(), row.peer.clone(), beside::rate(row)];
        cells.extend(formats.iter().map(|format| beside::ratio(row, format)));
        cells
    });
    text + &format!("\n{}\n{}.\n", table(&columns, rows), escape(beside::NOTE))
}
