//! One metric: its identity, what one iteration does, its samples, and how far they can be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// One place where time can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Arithmetic: GEMM, attention, peaks.
    Compute,
    /// Device memory.
    Vram,
    /// Host to device and back.
    Pcie,
    /// Host memory.
    Dram,
    /// Model load from disk.
    Storage,
    /// Between hosts.
    Network,
}

impl Part {
    /// Every part, in the order in which they are reported.
    pub const ALL: [Self; 6] =
        [Self::Compute, Self::Vram, Self::Pcie, Self::Dram, Self::Storage, Self::Network];

    /// Name in records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Vram => "vram",
            Self::Pcie => "pcie",
            Self::Dram => "dram",
            Self::Storage => "storage",
            Self::Network => "network",
        }
    }
}

/// What a metric is expressed in. 1 GB = 1e9 B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// 1e12 floating-point operations a second.
    #[serde(rename = "TFLOP/s")]
    TeraFlops,
    /// 1e12 integer operations a second.
    #[serde(rename = "TOP/s")]
    TeraOps,
    /// 1e9 counted bytes a second.
    #[serde(rename = "GB/s")]
    GigaBytes,
    /// Nanoseconds an access.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Seconds an iteration.
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    /// As printed and stored.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::TeraFlops => "TFLOP/s",
            Self::TeraOps => "TOP/s",
            Self::GigaBytes => "GB/s",
            Self::Nanoseconds => "ns",
            Self::Seconds => "s",
        }
    }

    /// Which way is better.
    pub const fn direction(self) -> Direction {
        match self {
            Self::TeraFlops | Self::TeraOps | Self::GigaBytes => Direction::Higher,
            Self::Nanoseconds | Self::Seconds => Direction::Lower,
        }
    }

    /// The metric's value for an iteration that did `work` in `seconds`.
    pub fn value(self, work: &Work, seconds: f64) -> f64 {
        match self {
            Self::TeraFlops | Self::TeraOps => work.flops as f64 / seconds / 1e12,
            Self::GigaBytes => work.counted_bytes() as f64 / seconds / 1e9,
            Self::Nanoseconds => seconds * 1e9 / work.accesses.max(1) as f64,
            Self::Seconds => seconds,
        }
    }
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A rate.
    Higher,
    /// A time.
    Lower,
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

/// Whether the inputs were in a cache when the clock started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cache {
    /// Inputs rotate over at least twice the last-level cache, or the page cache was proved empty.
    #[serde(rename = "cold")]
    Cold,
    /// The working set stays in the cache on purpose.
    #[serde(rename = "hot")]
    Hot,
    /// Coldness could not be proved.
    #[serde(rename = "warm/unknown")]
    Unknown,
    /// The working set is in registers, or caches play no role.
    #[serde(rename = "n/a")]
    NotApplicable,
}

/// Whether the number can be trusted. Only [`State::Ok`] can pass a qualification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Verified before and after, steady, below its ceiling.
    Ok,
    /// The interval of the median stayed wider than the target within the time budget.
    Noisy,
    /// The device lowered its clocks while it was timed.
    Throttled,
    /// This host can't run it; see the reason.
    Skipped,
    /// Wrong output, or faster than its ceiling: the number must not be used.
    Invalid,
}

impl State {
    /// As printed and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Noisy => "noisy",
            Self::Throttled => "throttled",
            Self::Skipped => "skipped",
            Self::Invalid => "invalid",
        }
    }
}

/// Where a ceiling comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From clocks and widths.
    Theoretical,
    /// The best micro-kernel on this host, in the same process.
    Measured,
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

/// Why sampling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// The interval of the median became narrower than the target.
    NoiseTarget,
    /// The time budget was used up.
    TimeBudget,
    /// As many samples as asked for were taken.
    SampleCount,
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
