//! What a projection is: time by part, as a band, with what binds. Plain data for whoever draws it.

use serde::Serialize;

use super::figure::{Figure, Origin};

/// One place where a token's time can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Arithmetic on the GPUs, attention included.
    GpuCompute,
    /// Reading weights and cache from device memory.
    Vram,
    /// Kernel launches, crossings between host and device, barriers.
    Launch,
    /// Bytes between host and device.
    Pcie,
    /// Reading weights from host memory.
    Dram,
    /// Arithmetic on the host.
    CpuCompute,
    /// Reading experts from disk.
    Nvme,
    /// Between GPUs.
    Link,
}

impl Part {
    /// Every part, in the order in which they are drawn.
    pub const ALL: [Self; 8] = [
        Self::GpuCompute,
        Self::Vram,
        Self::Launch,
        Self::Pcie,
        Self::Dram,
        Self::CpuCompute,
        Self::Nvme,
        Self::Link,
    ];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GpuCompute => "GPU compute",
            Self::Vram => "VRAM",
            Self::Launch => "launch and latency",
            Self::Pcie => "PCIe",
            Self::Dram => "DRAM",
            Self::CpuCompute => "CPU compute",
            Self::Nvme => "NVMe",
            Self::Link => "GPU links",
        }
    }
}

/// A likely value between two that it will hardly leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Band {
    /// Smallest.
    pub low: f64,
    /// Likely.
    pub likely: f64,
    /// Largest.
    pub high: f64,
}

impl Band {
    /// `likely` times and over `factor`.
    pub fn around(likely: f64, factor: f64) -> Self {
        Self { low: likely / factor, likely, high: likely * factor }
    }

    /// Whether `value` is within it.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// `count` of something in this many seconds, as a rate.
    pub fn rate(&self, count: f64) -> Self {
        Self { low: count / self.high, likely: count / self.likely, high: count / self.low }
    }
}

/// One part of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartTime {
    /// Which.
    pub part: Part,
    /// Seconds that it adds to the step.
    pub seconds: Band,
    /// Seconds that it is busy, those included that another part hides.
    pub busy_s: f64,
    /// Seconds that it can't do without: its bytes or operations at the nominal rate.
    pub least_s: f64,
    /// What it does in them.
    pub what: String,
    /// The least certain of its inputs.
    pub origin: Origin,
    /// Its inputs: name, value, unit, origin.
    pub inputs: Vec<Input>,
}

/// A figure by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Its value and origin.
    #[serde(flatten)]
    pub figure: Figure,
}

/// Decode or prefill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// One token for each sequence of the batch.
    Decode,
    /// The prompt.
    Prefill,
}

/// Time of one step, by part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Projection {
    /// Which step.
    pub phase: Phase,
    /// Tokens that the step yields.
    pub tokens: usize,
    /// Sequences decoded together.
    pub batch: usize,
    /// Tokens in the cache of each, or of the prompt.
    pub context: usize,
    /// GPUs that share every layer.
    pub tensor_parallel: usize,
    /// Every part that takes time, in the order of [`Part::ALL`].
    pub parts: Vec<PartTime>,
    /// Seconds of the step: the sum of the parts' `seconds`.
    pub seconds: Band,
    /// Tokens a second, of all sequences together.
    pub tokens_per_second: Band,
    /// The part that takes most of the step.
    pub binding: Option<Part>,
    /// The part that takes most after it.
    pub second: Option<Part>,
    /// Time of the binding part over that of the second.
    pub gap: Option<f64>,
    /// Tokens a second that no measurement may exceed: every part at its nominal rate, all at the same time.
    pub bound_tokens_per_second: Option<f64>,
    /// The part that sets it.
    pub bound_by: Option<Part>,
    /// How parts overlap.
    pub overlap: &'static str,
    /// Inputs that are missing and what is left out for it.
    pub missing: Vec<String>,
    /// What was assumed besides the inputs' own origins.
    pub assumed: Vec<String>,
}

impl Projection {
    /// The part's time.
    pub fn part(&self, part: Part) -> Option<&PartTime> {
        self.parts.iter().find(|time| time.part == part)
    }
}
