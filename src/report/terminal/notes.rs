//! What stands below a table: where its ceilings come from, which code ran, why a state is not ok.

use super::screen::{Screen, Tone};
use crate::record::{MetricId, State};
use crate::report::model::{Ceilings, Row, unknown_ceilings};

/// Reasons spelled out for each state before the rest is only counted.
const REASONS: usize = 3;

/// Where the ceilings come from, one line a source.
pub fn ceilings(screen: Screen, ceilings: &Ceilings) -> String {
    ceilings.notes().map(|(mark, note)| screen.paragraph(&format!("  {mark} "), &note)).collect()
}

/// Why metrics have no ceiling, each reason once.
pub fn no_ceiling(screen: Screen, rows: &[Row]) -> String {
    let reasons = unknown_ceilings(rows);
    reasons.iter().map(|why| screen.paragraph("  - ceiling unknown: ", why)).collect()
}

/// Which code ran, for which metrics.
pub fn kernel_paths(screen: Screen, rows: &[Row]) -> String {
    let mut paths: Vec<(&str, Vec<&MetricId>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.kernel_path.is_empty()) {
        match paths.iter_mut().find(|(path, _)| *path == row.kernel_path) {
            Some((_, ids)) => ids.push(&row.id),
            None => paths.push((&row.kernel_path, vec![&row.id])),
        }
    }
    let named: Vec<String> = match paths.as_slice() {
        [(path, _)] => vec![(*path).to_owned()],
        paths => paths
            .iter()
            .map(|(path, ids)| match ids.as_slice() {
                [one] => format!("{path} ({one})"),
                [first, rest @ ..] => format!("{path} ({first} and {} more)", rest.len()),
                [] => String::new(),
            })
            .collect(),
    };
    if named.is_empty() {
        return String::new();
    }
    screen.paragraph("  kernel path: ", &named.join("; "))
}

/// Why metrics are not ok: the first few of each state, then how many more.
pub fn reasons(screen: Screen, rows: &[Row]) -> String {
    let mut text = String::new();
    for state in [State::Invalid, State::Throttled, State::Noisy] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.state == state).collect();
        let label = format!("  {}: ", screen.paint(state.into(), state.name()));
        for row in rows.iter().take(REASONS) {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            text += &screen.paragraph(&label, &format!("{}: {reason}", row.id));
        }
        if rows.len() > REASONS {
            let more = format!("and {} more", rows.len() - REASONS);
            text += &format!("{label}{}\n", screen.paint(Tone::Quiet, &more));
        }
    }
    text
}
