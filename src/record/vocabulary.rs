//! The words that records are written in: parts, units, states.

use serde::{Deserialize, Serialize};

use super::metric::Work;

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

impl Origin {
    /// As printed and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Theoretical => "theoretical",
            Self::Measured => "measured",
        }
    }
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
