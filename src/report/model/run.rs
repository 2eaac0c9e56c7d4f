//! What a run is: its name, its benches, how many of its metrics are in which state.

use serde::Serialize;

use crate::record::store::Run;
use crate::record::{MetricRecord, State};

/// A run without its metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunHead {
    /// Name of its directory.
    pub name: String,
    /// Its directory.
    pub path: String,
    /// The user's label.
    pub label: Option<String>,
    /// Profiles it was measured with, each once: more than one means that benches were run apart.
    pub profiles: Vec<String>,
    /// When the first bench started, RFC 3339 in UTC.
    pub started: Option<String>,
    /// When anything was last written, RFC 3339 in UTC.
    pub updated: Option<String>,
    /// Versions of hostdyno that wrote it, each once.
    pub versions: Vec<String>,
    /// Whether every bench reached its end and every file could be read.
    pub complete: bool,
    /// Its benches, by start time.
    pub benches: Vec<BenchHead>,
    /// Metrics in each state.
    pub states: States,
    /// Files that can't be read, and why.
    pub problems: Vec<String>,
}

/// A bench without its metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchHead {
    /// Name of the bench executable.
    pub bench: String,
    /// Whether it reached its end.
    pub complete: bool,
    /// Number of metrics, skipped ones included.
    pub metrics: usize,
}

/// Number of metrics in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct States {
    /// Trustworthy.
    pub ok: usize,
    /// Wider than the noise target.
    pub noisy: usize,
    /// Measured at lowered clocks.
    pub throttled: usize,
    /// Could not run here.
    pub skipped: usize,
    /// Wrong.
    pub invalid: usize,
}

impl States {
    /// Counts `metrics`.
    pub fn count<'a>(metrics: impl IntoIterator<Item = &'a MetricRecord>) -> Self {
        let mut states = Self::default();
        for metric in metrics {
            *match metric.state {
                State::Ok => &mut states.ok,
                State::Noisy => &mut states.noisy,
                State::Throttled => &mut states.throttled,
                State::Skipped => &mut states.skipped,
                State::Invalid => &mut states.invalid,
            } += 1;
        }
        states
    }

    /// Each state that occurs with its number, worst last.
    pub fn present(self) -> impl Iterator<Item = (State, usize)> {
        [
            (State::Ok, self.ok),
            (State::Noisy, self.noisy),
            (State::Throttled, self.throttled),
            (State::Skipped, self.skipped),
            (State::Invalid, self.invalid),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }
}

impl std::fmt::Display for States {
    /// `31 ok, 2 noisy`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let present: Vec<String> =
            self.present().map(|(state, count)| format!("{count} {}", state.name())).collect();
        f.write_str(if present.is_empty() { "none" } else { "" })?;
        f.write_str(&present.join(", "))
    }
}

impl RunHead {
    /// Why the run is not complete; empty when it is.
    pub fn why_incomplete(&self) -> String {
        let mut reasons = Vec::new();
        let cut: Vec<_> =
            self.benches.iter().filter(|b| !b.complete).map(|b| b.bench.as_str()).collect();
        if !cut.is_empty() {
            reasons.push(format!("{} did not reach the end", cut.join(" and ")));
        }
        if self.benches.is_empty() {
            reasons.push("no bench has saved anything".to_owned());
        }
        reasons.extend(self.problems.iter().cloned());
        reasons.join("; ")
    }

    /// The head of `run`.
    pub fn new(run: &Run) -> Self {
        let benches = &run.benches;
        Self {
            name: run.name.clone(),
            path: run.path.display().to_string(),
            label: run.label().map(str::to_owned),
            profiles: each_once(benches.iter().map(|b| b.profile.clone())),
            started: run.started().map(str::to_owned),
            updated: benches.iter().map(|b| b.updated.clone()).max(),
            versions: each_once(benches.iter().map(|b| b.tool.version.clone())),
            complete: run.problems.is_empty()
                && !benches.is_empty()
                && benches.iter().all(|b| b.complete),
            benches: benches
                .iter()
                .map(|b| BenchHead {
                    bench: b.bench.clone(),
                    complete: b.complete,
                    metrics: b.metrics.len(),
                })
                .collect(),
            states: States::count(benches.iter().flat_map(|b| &b.metrics)),
            problems: run.problems.clone(),
        }
    }
}

fn each_once(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}
