//! One side of a comparison: several runs, from which every process of every boot is one observation.
//!
//! Samples within a process are not independent of each other, and processes of one boot share whatever the boot
//! happened to get (page colouring, memory training, fabric clocks). So a process contributes one value, the median of
//! its samples, and remembers its boot.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::store::Run;
use crate::record::{MetricId, MetricRecord, State};
use crate::{Error, Result};

/// Runs that are compared as one side.
#[derive(Debug, Clone)]
pub struct Group {
    /// What the user called it: labels or names, joined.
    pub name: String,
    /// At least one.
    pub runs: Vec<Run>,
}

/// One metric as one process measured it.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The boot; runs that do not know theirs count as one.
    pub boot: &'a str,
    /// When the process started: orders the observations.
    pub started: &'a str,
    /// The metric.
    pub metric: &'a MetricRecord,
    /// Version of the hostdyno that measured it.
    pub version: &'a str,
    /// Its profile.
    pub profile: &'a str,
}

impl Observation<'_> {
    /// Natural logarithm of the median in the metric's unit; `None` where there is none to take.
    pub fn log(&self) -> Option<f64> {
        let log = self.metric.summary.as_ref()?.median.ln();
        log.is_finite().then_some(log)
    }
}

const UNKNOWN_BOOT: &str = "unknown boot";

impl Group {
    /// A side of `runs`.
    ///
    /// # Errors
    /// There are no runs, or none has measured anything.
    pub fn new(name: impl Into<String>, runs: Vec<Run>) -> Result<Self> {
        let name = name.into();
        if runs.iter().all(|run| run.benches.iter().all(|bench| bench.metrics.is_empty())) {
            return Err(Error::input(
                format!("the group {name:?} holds no measured run"),
                "Name runs, labels or directories on both sides of --: `hostdyno compare A1 A2 -- B1 B2`",
            ));
        }
        Ok(Self { name, runs })
    }

    /// Every usable observation of every metric, in the order in which they were measured, and per metric why others
    /// were not usable.
    pub fn observations(&self) -> (BTreeMap<&MetricId, Vec<Observation<'_>>>, Unusable<'_>) {
        let mut usable: BTreeMap<&MetricId, Vec<Observation<'_>>> = BTreeMap::new();
        let mut unusable: Unusable<'_> = BTreeMap::new();
        for run in &self.runs {
            let host_boot = run.host.as_ref().and_then(|host| host.boot_id.as_deref());
            for bench in &run.benches {
                let boot = bench.boot_id.as_deref().or(host_boot).unwrap_or(UNKNOWN_BOOT);
                for metric in &bench.metrics {
                    let observation = Observation {
                        boot,
                        started: &bench.started,
                        metric,
                        version: &bench.tool.version,
                        profile: &bench.profile,
                    };
                    match metric.state {
                        State::Ok | State::Noisy | State::Throttled
                            if observation.log().is_some() =>
                        {
                            usable.entry(&metric.id).or_default().push(observation);
                        }
                        _ => {
                            let reason = metric.reason.as_deref().unwrap_or("no reason recorded");
                            unusable
                                .entry(&metric.id)
                                .or_insert_with(|| format!("{}: {reason}", metric.state.name()));
                        }
                    }
                }
            }
        }
        for observations in usable.values_mut() {
            observations.sort_by(|a, b| a.started.cmp(b.started));
        }
        (usable, unusable)
    }

    /// Boots that its runs come from.
    pub fn boots(&self) -> BTreeSet<&str> {
        let (usable, _) = self.observations();
        usable.into_values().flatten().map(|observation| observation.boot).collect()
    }
}

/// Why a metric has no usable value.
pub type Unusable<'a> = BTreeMap<&'a MetricId, String>;

/// What identifies a host, strongest first; a value that differs in one of these means two machines.
const IDENTITY: [&str; 9] = [
    "machine.id_hash",
    "dmi.product_name",
    "dmi.board_name",
    "cpu.vendor",
    "cpu.family",
    "cpu.model",
    "cpu.stepping",
    "cpu.model_name",
    "cpu.packages",
];

/// How the hosts of two groups differ; `None` where nothing says that they do.
pub fn different_host(a: &Group, b: &Group) -> Option<String> {
    let values = |group: &Group, name: &str| -> BTreeSet<String> {
        let hosts = group.runs.iter().filter_map(|run| run.host.as_ref());
        hosts
            .filter_map(|host| host.environment.get(name).filter(|field| !field.value.is_null()))
            .map(|field| super::settings::shown(&field.value))
            .collect()
    };
    IDENTITY.iter().find_map(|name| {
        let (a, b) = (values(a, name), values(b, name));
        let all: BTreeSet<&String> = a.union(&b).collect();
        (all.len() > 1 && !a.is_empty() && !b.is_empty()).then(|| {
            format!("{name} is {}", all.into_iter().cloned().collect::<Vec<_>>().join(" and "))
        })
    })
}
