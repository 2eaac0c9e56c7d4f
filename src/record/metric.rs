//! One metric: its identity, what one iteration does, its samples, and how far they can be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::vocabulary::{Cache, Direction, Origin, Part, State, Stop, Unit};

/// Fields that a newer hostdyno of the same schema may have written: kept, not understood.
pub type Unknown = BTreeMap<String, serde_json::Value>;

/// Name of a metric by role, so that it survives renumbering: `gemm/cpu/mxfp4/m1n7168k2048`,
/// `dram/read/all-cores`. Node, GPU and CPU indices are data, never part of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricId(String);

impl MetricId {
    /// The metric whose path is `segments` joined by `/`.
    pub fn new<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let parts: Vec<String> = segments.into_iter().map(|s| s.as_ref().to_owned()).collect();
        Self(parts.join("/"))
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for MetricId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one iteration does. Traffic is declared, not inferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Floating-point or integer operations.
    pub flops: u64,
    /// Bytes that the algorithm must read, each counted once.
    pub bytes_read: u64,
    /// Bytes that the algorithm must write, each counted once.
    pub bytes_written: u64,
    /// Bytes that cross the memory bus, write-allocate included, where they differ from read plus written.
    pub wire_bytes: Option<u64>,
    /// Dependent accesses, for latencies.
    pub accesses: u64,
}

impl Work {
    /// Bytes read plus written: the numerator of GB/s.
    pub const fn counted_bytes(&self) -> u64 {
        self.bytes_read + self.bytes_written
    }
}

/// The most that the part could do for this metric, in the metric's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// In the metric's unit.
    pub value: f64,
    /// Theoretical or measured.
    pub origin: Origin,
    /// The formula with its inputs, or the metric that measured it.
    pub source: String,
}

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The samples in the metric's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of samples.
    pub samples: usize,
    /// Median.
    pub median: f64,
    /// First quartile.
    pub q1: f64,
    /// Third quartile.
    pub q3: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// 95 % interval of the median from order statistics; absent below 6 samples, where none exists.
    pub median_ci95: Option<Interval>,
}

/// Where the threads ran and where the pages were, as the kernel told it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// CPUs that the threads reported while they ran, ascending.
    pub cpus: Vec<usize>,
    /// Pages per NUMA node (operating-system index as a string), counted after the run.
    pub pages_by_node: BTreeMap<String, u64>,
    /// What could not be proved, and why.
    pub unproved: Option<String>,
}

/// One metric as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRecord {
    /// Name by role.
    pub id: MetricId,
    /// The part it tells about.
    pub part: Part,
    /// Unit of `summary` and `ceiling`.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// What one iteration does; all zero when it was skipped.
    pub work: Work,
    /// Which code really ran: `cpu/avx2`, `io_uring/direct`; empty when it was skipped.
    pub kernel_path: String,
    /// Whether inputs were cached.
    pub cache: Cache,
    /// Whether the number can be trusted.
    pub state: State,
    /// Why, for every state but ok.
    pub reason: Option<String>,
    /// The most it could be.
    pub ceiling: Option<Ceiling>,
    /// Seconds of one iteration, one entry a sample, in the order taken.
    pub samples: Vec<f64>,
    /// Iterations timed together in each sample.
    pub batch: u64,
    /// Iterations before the first sample, until the last ones agreed.
    pub warm_up_iterations: u64,
    /// Why sampling ended.
    pub stop: Option<Stop>,
    /// The samples in `unit`.
    pub summary: Option<Summary>,
    /// Largest error over its tolerance seen in verification: at most 1 when the output is right.
    pub error_over_tolerance: Option<f64>,
    /// Where it ran.
    pub placement: Placement,
    /// What else was going on: load average, steal, clocks; before and after.
    pub conditions: BTreeMap<String, serde_json::Value>,
    /// Further figures of this metric that have no place above (stages of a load, percentiles).
    pub details: BTreeMap<String, serde_json::Value>,
    /// Fields of a newer writer.
    #[serde(flatten)]
    pub unknown: Unknown,
}
