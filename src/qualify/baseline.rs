//! What one's own hosts reach: from several runs or hosts a centre and a spread that outliers do not move, and which
//! runs the outliers are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity;
use super::reference::Confidence;
use super::yardstick::{Expectation, Yardstick};
use crate::host::HostRecord;
use crate::record::store::Run;
use crate::record::{Direction, MetricId, MetricRecord, State, Unit};
use crate::{Error, Result};

/// Version of the file's schema.
pub const SCHEMA: u32 = 1;

/// A normal distribution's standard deviation over its median absolute deviation.
const MAD_TO_SD: f64 = 1.4826;
/// A value farther than this many (robust) deviations is an outlier (Iglewicz and Hoaglin).
const OUTLIER: f64 = 3.5;
/// Even where runs agree to the digit, less than this share is no outlier and no warning.
const LEAST: f64 = 0.03;
/// Deviations, and least share, below the centre at which a result is a warning and fails.
const WARN: (f64, f64) = (3.0, LEAST);
const FAIL: (f64, f64) = (5.0, 0.10);
/// A baseline of fewer values decides nothing.
const FEWEST: usize = 3;

/// One metric's baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Unit of `centre`.
    pub unit: Unit,
    /// Median of the runs.
    pub centre: f64,
    /// Robust standard deviation over the centre.
    pub spread: f64,
    /// Runs that have the metric in state ok.
    pub runs: usize,
    /// Runs far from the centre.
    pub outliers: Vec<String>,
}

/// Baselines by metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where it comes from.
    pub runs: Vec<String>,
    /// What the hosts are made of; a host of other parts is not held against it.
    pub parts: BTreeMap<String, String>,
    /// By metric.
    pub metrics: BTreeMap<MetricId, Level>,
}

/// Runs and their values, by metric.
type Values<'a> = BTreeMap<&'a MetricId, (Unit, Vec<(&'a str, f64)>)>;

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

impl Baseline {
    /// Makes a baseline of `runs`. Only metrics in state ok count.
    ///
    /// # Errors
    /// There is no such metric, or the hosts are made of different parts.
    pub fn make(runs: &[Run]) -> Result<Self> {
        let mut parts: Option<BTreeMap<String, String>> = None;
        for host in runs.iter().filter_map(|run| run.host.as_ref()) {
            let own = identity::parts(host);
            match &parts {
                None => parts = Some(own),
                Some(known) => {
                    if let Some(how) = differ(known, &own) {
                        return Err(Error::input(
                            format!("the runs are of hosts of different parts: {how}"),
                            "Make one baseline a kind of host",
                        ));
                    }
                }
            }
        }
        let mut values: Values<'_> = BTreeMap::new();
        for run in runs {
            for metric in run.benches.iter().flat_map(|bench| &bench.metrics) {
                let usable = metric.state == State::Ok;
                if let Some(summary) = metric.summary.as_ref().filter(|s| usable && s.median > 0.0)
                {
                    let entry = values.entry(&metric.id).or_insert((metric.unit, Vec::new()));
                    if entry.0 == metric.unit {
                        entry.1.push((&run.name, summary.median));
                    }
                }
            }
        }
        if values.is_empty() {
            return Err(Error::input(
                "no metric of these runs is in state ok",
                "Measure on an idle host; `hostdyno report RUN` shows the states and their reasons",
            ));
        }
        let metrics =
            values.into_iter().map(|(id, (unit, values))| (id.clone(), level(unit, &values)));
        let metrics = metrics.collect();
        Ok(Self {
            schema: SCHEMA,
            runs: runs.iter().map(|run| run.name.clone()).collect(),
            parts: parts.unwrap_or_default(),
            metrics,
        })
    }

    /// Reads a baseline file called `name`.
    ///
    /// # Errors
    /// It is no baseline, or one of another schema.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let next = "Name a file written by `hostdyno baseline make RUN... --save FILE`";
        let baseline: Self = serde_json::from_str(text)
            .map_err(|e| Error::input(format!("{name} is no baseline ({e})"), next))?;
        let sane = |level: &Level| level.centre > 0.0 && (0.0..10.0).contains(&level.spread);
        if baseline.schema != SCHEMA || !baseline.metrics.values().all(sane) {
            return Err(Error::input(format!("{name} is no baseline of schema {SCHEMA}"), next));
        }
        Ok(baseline)
    }

    /// What the baseline expects of `metric` on `host`.
    pub fn expect(&self, host: Option<&HostRecord>, metric: &MetricRecord) -> Option<Expectation> {
        let level = self.metrics.get(&metric.id)?;
        let own = host.map(identity::parts).unwrap_or_default();
        if let Some(how) = differ(&self.parts, &own) {
            return Some(Expectation::Unknown(format!(
                "the baseline is of another kind of host: {how}"
            )));
        }
        if level.unit != metric.unit {
            let why = format!("the baseline is in {}", level.unit.symbol());
            return Some(Expectation::Unknown(why));
        }
        let below = |(deviations, least): (f64, f64)| {
            let share = (deviations * level.spread).max(least);
            match metric.direction {
                Direction::Higher => (1.0 - share).max(0.0),
                Direction::Lower => 1.0 / (1.0 + share),
            }
        };
        let confidence = if level.runs < FEWEST { Confidence::Low } else { Confidence::High };
        let source = format!(
            "baseline of {} {}, ±{:.1} %",
            level.runs,
            if level.runs == 1 { "run" } else { "runs" },
            level.spread * 100.0
        );
        let yardstick = Yardstick {
            warn: below(WARN),
            fail: below(FAIL),
            ..Yardstick::new(level.centre, source, confidence)
        };
        Some(yardstick.into())
    }
}

/// The first part in which two hosts differ.
fn differ(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Option<String> {
    let shown = |value: Option<&String>| match value.map(String::as_str) {
        None => "unknown".to_owned(),
        Some("") => "none".to_owned(),
        Some(value) => value.to_owned(),
    };
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let name = names.into_iter().find(|name| a.get(*name) != b.get(*name))?;
    Some(format!("{name} is {} and {}", shown(a.get(name)), shown(b.get(name))))
}

fn level(unit: Unit, values: &[(&str, f64)]) -> Level {
    let centre = median(&mut values.iter().map(|v| v.1).collect::<Vec<_>>());
    let mut deviations: Vec<f64> = values.iter().map(|v| (v.1 - centre).abs()).collect();
    let spread = MAD_TO_SD * median(&mut deviations) / centre;
    let limit = (OUTLIER * spread).max(LEAST);
    let far = values.iter().filter(|(_, value)| (value / centre - 1.0).abs() > limit);
    let outliers = far.map(|(run, _)| (*run).to_owned()).collect();
    Level { unit, centre, spread, runs: values.len(), outliers }
}
