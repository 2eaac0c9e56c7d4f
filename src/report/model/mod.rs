//! What a report says, before anyone draws it. Pure: from a run to values.

mod ceilings;
mod environment;
mod family;
mod figure;
mod host;
mod part;
mod peers;
pub mod pictures;
mod run;
mod skipped;

use serde::Serialize;

use super::findings::{Finding, findings};
use crate::record::Part;
use crate::record::store::Run;

pub use ceilings::{Ceilings, unknown_ceilings};
pub use environment::CLASSES;
pub use family::{families, shared_path};
pub use figure::{Figure, Shape};
pub use host::{HostLine, cpu_quota, host_block, memory_nodes, online_cpus, value_text};
pub use part::{Headline, PartReport, Row, cause, share_of_ceiling};
pub use peers::{Beside, PeerRow, Peers};
pub use run::{BenchHead, RunHead, States};
pub use skipped::Skipped;

/// All that a report says about a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which run.
    pub run: RunHead,
    /// Which host, in the order in which it is read; empty when its record is missing.
    pub host: Vec<HostLine>,
    /// One entry a part, all parts, in the order of [`Part::ALL`].
    pub parts: Vec<PartReport>,
    /// What could not run, by cause.
    pub skipped: Vec<Skipped>,
    /// What is worth looking at, most important first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The report on `run`.
    pub fn new(run: &Run) -> Self {
        let metrics = || run.benches.iter().flat_map(|bench| &bench.metrics);
        Self {
            run: RunHead::new(run),
            host: run.host.as_ref().map(host_block).unwrap_or_default(),
            parts: Part::ALL.into_iter().map(|part| PartReport::new(part, metrics())).collect(),
            skipped: Skipped::group(metrics()),
            findings: findings(run),
        }
    }
}
