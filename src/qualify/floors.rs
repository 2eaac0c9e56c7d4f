//! Floors that a person writes:
//!
//! ```toml
//! ["dram/read/all-cores"]     # a metric; * stands for anything
//! pass = 400                  # in the metric's unit (at least; for times at most)
//! fail = 350                  # beyond this it fails; between the two it is a warning
//! why = "purchase order 17"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::reference::{Confidence, toml_problem};
use super::yardstick::{Expectation, FAIL, WARN, Yardstick};
use crate::record::pattern::matches;
use crate::record::{Direction, MetricRecord};
use crate::{Error, Result};

/// One floor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// From here on it passes.
    pub pass: f64,
    /// Beyond this it fails; as the usual shares where it is left out.
    pub fail: Option<f64>,
    /// Who asks for it.
    pub why: Option<String>,
}

/// Floors by metric or pattern.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Floors(BTreeMap<String, Floor>);

impl Floors {
    /// Reads a file of floors called `name`.
    ///
    /// # Errors
    /// It is no such file, or a floor is no positive number.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let form = "Write `[\"dram/read/all-cores\"]`, then `pass = 400` and perhaps `fail = 350`";
        let floors: BTreeMap<String, Floor> = toml::from_str(text).map_err(|e| {
            let what = toml_problem(text, &e);
            Error::input(format!("{name} holds no floors: {what}"), form)
        })?;
        let good = |value: f64| value.is_finite() && value > 0.0;
        match floors.iter().find(|(_, f)| !good(f.pass) || f.fail.is_some_and(|fail| !good(fail))) {
            Some((metric, _)) => Err(Error::input(
                format!("{name}: the floor of {metric} is no positive number"),
                form,
            )),
            None => Ok(Self(floors)),
        }
    }

    /// Floors that stand for none of `metrics`: perhaps mistyped, for a floor that nothing meets judges nothing.
    pub fn unmet<'a>(&self, metrics: impl Iterator<Item = &'a MetricRecord> + Clone) -> Vec<&str> {
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| !metrics.clone().any(|m| matches(name, m.id.as_str()))).collect()
    }

    /// What the floors expect of `metric`: the exact name before the longest pattern.
    pub fn expect(&self, metric: &MetricRecord) -> Option<Expectation> {
        let id = metric.id.as_str();
        let pattern = || {
            let fitting = self.0.iter().filter(|(pattern, _)| matches(pattern, id));
            fitting.max_by_key(|(pattern, _)| pattern.len()).map(|(_, floor)| floor)
        };
        let floor = self.0.get(id).or_else(pattern)?;
        let fail = match (floor.fail, metric.direction) {
            (None, _) => FAIL / WARN,
            (Some(fail), Direction::Higher) => fail / floor.pass,
            (Some(fail), Direction::Lower) => floor.pass / fail,
        };
        let why = floor.why.as_deref().map_or(String::new(), |why| format!(": {why}"));
        let yardstick = Yardstick {
            warn: 1.0,
            fail: fail.min(1.0),
            ..Yardstick::new(floor.pass, format!("floor{why}"), Confidence::High)
        };
        Some(yardstick.into())
    }
}
