//! The ceilings of a table of rows: each source once, so that a row needs only its mark.

use super::part::Row;
use crate::record::{Ceiling, Origin, Unit};
use crate::report::quantity;

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

    /// One line a source: its letter, and `measured ceiling: 200 GFLOP/s, compute/peak/f32`.
    pub fn notes(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().enumerate().map(|(index, source)| {
            let value = match source.value {
                Some(value) => format!("{}, ", quantity::plain(source.unit, value)),
                None => String::new(),
            };
            let origin = source.origin.name();
            (letters(index), format!("{origin} ceiling: {value}{}", source.source))
        })
    }
}

/// Why rows have no ceiling, each reason once.
pub fn unknown_ceilings(rows: &[Row]) -> Vec<&str> {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in rows.iter().filter_map(|row| row.ceiling_unknown.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// `a` to `z`, then `aa`, `ab` ...
fn letters(index: usize) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    if index < 26 { last.to_string() } else { letters(index / 26 - 1) + &last.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 51, 52].map(letters), ["a", "z", "aa", "az", "ba"]);
    }
}
