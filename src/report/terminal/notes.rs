//! What stands below a table: where its ceilings come from, which code ran, why a state is not ok.

use super::screen::{Screen, Tone};
use crate::record::{Ceiling, MetricId, Origin, State, Unit};
use crate::report::model::Row;
use crate::report::quantity;

/// Reasons spelled out for each state before the rest is only counted.
const REASONS: usize = 3;

/// The ceilings of a table, each source once, in order of appearance; a letter stands for each.
pub struct Ceilings(Vec<Source>);

struct Source {
    origin: Origin,
    source: String,
    unit: Unit,
    /// The value, while all metrics of this source have the same.
    value: Option<f64>,
}

impl Source {
    fn is_of(&self, row: &Row, ceiling: &Ceiling) -> bool {
        (self.origin, self.unit, &self.source) == (ceiling.origin, row.unit, &ceiling.source)
    }
}

impl Ceilings {
    /// The ceilings of `rows`.
    pub fn of(rows: &[Row]) -> Self {
        let mut sources: Vec<Source> = Vec::new();
        for row in rows {
            let Some(ceiling) = &row.ceiling else { continue };
            let value = Some(ceiling.value);
            match sources.iter_mut().find(|source| source.is_of(row, ceiling)) {
                Some(known) if known.value == value => {}
                Some(known) => known.value = None,
                None => sources.push(Source {
                    origin: ceiling.origin,
                    source: ceiling.source.clone(),
                    unit: row.unit,
                    value,
                }),
            }
        }
        Self(sources)
    }

    /// The letter of the ceiling of `row`; empty when it has none.
    pub fn mark(&self, row: &Row) -> String {
        let Some(ceiling) = &row.ceiling else { return String::new() };
        let known = self.0.iter().position(|source| source.is_of(row, ceiling));
        known.map_or_else(String::new, letters)
    }

    /// One line a source.
    pub fn notes(&self, screen: Screen) -> String {
        let mut text = String::new();
        for (index, source) in self.0.iter().enumerate() {
            let origin = match source.origin {
                Origin::Theoretical => "theoretical",
                Origin::Measured => "measured",
            };
            let value = match source.value {
                Some(value) => format!("{}, ", quantity::plain(source.unit, value)),
                None => String::new(),
            };
            let note = format!("{origin} ceiling: {value}{}", source.source);
            text += &screen.paragraph(&format!("  {} ", letters(index)), &note);
        }
        text
    }
}

/// Why metrics have no ceiling, each reason once.
pub fn no_ceiling(screen: Screen, rows: &[Row]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in rows.iter().filter_map(|row| row.ceiling_unknown.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.iter().map(|why| screen.paragraph("  - ceiling unknown: ", why)).collect()
}

/// `a` to `z`, then `aa`, `ab` ...
fn letters(index: usize) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    if index < 26 { last.to_string() } else { letters(index / 26 - 1) + &last.to_string() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 51, 52].map(letters), ["a", "z", "aa", "az", "ba"]);
    }
}
