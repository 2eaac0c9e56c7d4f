//! The things most worth looking at in a run, as a ranked list of rules.
//!
//! A rule looks at the facts of a run and says at most one thing, with the figure and what to do next;
//! many metrics with one fault make one finding. The order of [`RULES`] is the ranking: what makes
//! numbers wrong comes before what makes them doubtful, that before what makes the host slow, and what
//! is merely missing comes last. Pure.

mod busy;
mod completeness;
mod environment;
mod speed;
mod trust;

#[cfg(test)]
mod environment_tests;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::host::HostRecord;
use crate::record::store::Run;
use crate::record::{BenchRecord, MetricId, MetricRecord};

/// One thing worth looking at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the rule that found it; stable, for scripts.
    pub rule: &'static str,
    /// What was seen, with its figure.
    pub what: String,
    /// What to do next.
    pub next: String,
    /// The metrics concerned; empty for findings about the host or the run.
    pub metrics: Vec<MetricId>,
}

/// What a rule may look at.
struct Facts<'a> {
    benches: &'a [BenchRecord],
    host: Option<&'a HostRecord>,
    problems: &'a [String],
}

impl<'a> Facts<'a> {
    fn metrics(&self) -> impl Iterator<Item = &'a MetricRecord> + use<'a> {
        self.benches.iter().flat_map(|bench| &bench.metrics)
    }
}

/// What a rule found, before it gets its name.
struct Found {
    what: String,
    next: String,
    metrics: Vec<MetricId>,
}

type Rule = fn(&Facts<'_>) -> Option<Found>;

/// Every rule, most important first.
const RULES: &[(&str, Rule)] = &[
    ("invalid", trust::invalid),
    ("incomplete", completeness::incomplete),
    ("memory-errors", environment::memory_errors),
    ("throttled", trust::throttled),
    ("noisy", trust::noisy),
    ("not-cold", trust::not_cold),
    ("busy-host", busy::busy),
    ("busy-gpu", busy::gpu),
    ("cpu-quota", environment::cpu_quota),
    ("below-ceiling", speed::below_ceiling),
    ("narrow-format-slower", speed::narrow_format_slower),
    ("governor", environment::governor),
    ("boost-off", environment::boost_off),
    ("clock-source", environment::clocksource),
    ("huge-pages", environment::huge_pages),
    ("numa-balancing", environment::numa_balancing),
    ("zone-reclaim", environment::zone_reclaim),
    ("io-scheduler", environment::io_scheduler),
    ("io-uring-disabled", environment::io_uring_disabled),
    ("no-ceiling", speed::no_ceiling),
    ("missing-part", completeness::missing_part),
    ("quick-profile", completeness::quick_profile),
    ("largest-gap", speed::largest_gap),
];

/// Everything worth looking at in `run`, most important first.
pub fn findings(run: &Run) -> Vec<Finding> {
    let facts = Facts { benches: &run.benches, host: run.host.as_ref(), problems: &run.problems };
    RULES
        .iter()
        .filter_map(|(rule, look)| {
            let Found { what, next, metrics } = look(&facts)?;
            Some(Finding { rule, what, next, metrics })
        })
        .collect()
}

/// `cargo bench` narrowed to the metrics whose names begin as all of `ids` do.
fn again(ids: &[MetricId]) -> String {
    match common_prefix(ids) {
        Some(prefix) => format!("`cargo bench -- '{prefix}'`"),
        None => "`cargo bench`".to_owned(),
    }
}

/// The leading path segments that all of `ids` share.
fn common_prefix(ids: &[MetricId]) -> Option<String> {
    let (first, rest) = ids.split_first()?;
    let mut shared: Vec<&str> = first.as_str().split('/').collect();
    for id in rest {
        let same = shared.iter().zip(id.as_str().split('/')).take_while(|(a, b)| *a == b).count();
        shared.truncate(same);
    }
    (!shared.is_empty()).then(|| shared.join("/"))
}

/// `1 metric is`, `3 metrics are`.
fn metrics_are(count: usize) -> String {
    if count == 1 { "1 metric is".to_owned() } else { format!("{count} metrics are") }
}

fn ids(metrics: &[&MetricRecord]) -> Vec<MetricId> {
    metrics.iter().map(|m| m.id.clone()).collect()
}
