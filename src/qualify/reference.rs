//! What parts of hosts should reach, as others published it: `results/reference/*.toml`, built into the binary.
//!
//! Every figure says where it comes from, when, under which conditions, how sure it is, and between which values
//! sources disagree. [`super::physics`] holds the figures against each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::host::environment::link_gb_per_second;
use crate::{Error, Result};

const GPUS: &str = include_str!("../../results/reference/gpus.toml");
const PLATFORMS: &str = include_str!("../../results/reference/platforms.toml");

/// Version of the files' schema.
const SCHEMA: u32 = 1;

/// How far a figure can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// No source of its own, or one of another part: it is shown and decides nothing.
    Low,
    /// One source, or several that do not quite agree.
    Medium,
    /// A specification, or several sources that agree.
    High,
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What the vendor says at the rated clock.
    Specification,
    /// What somebody reached for longer than a burst.
    Sustained,
}

/// One published figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// `memory` or a format (specification); the beginning of a metric's name without the device (sustained).
    pub quantity: String,
    /// Specification or sustained.
    pub kind: Kind,
    /// GB/s, TFLOP/s or TOP/s.
    pub value: f64,
    /// Who says so: in the file a key of `sources`, here its title.
    pub source: String,
    /// Where in the source.
    pub at: Option<String>,
    /// When that was read, as `2026-08-16`; in the file the source has it.
    #[serde(default)]
    pub date: String,
    /// Under which conditions; of a specification, dense products at the rated clock.
    #[serde(default)]
    pub conditions: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// The lowest and the highest of the values that sources give.
    pub between: Option<[f64; 2]>,
    /// How sources disagree.
    pub disputed: Option<String>,
    /// Share below which a result is a warning, where it is not the usual one.
    pub warn: Option<f64>,
    /// Share below which a result fails, where it is not the usual one.
    pub fail: Option<f64>,
}

/// Operations that a multiprocessor does a clock, by format.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Name that GPUs refer to.
    pub name: String,
    /// What the rates follow from.
    pub source: String,
    /// Dense, FP32 or INT32 accumulation.
    pub rates: BTreeMap<String, f64>,
}

/// One GPU at one power limit. What no source has is absent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// What people call it.
    pub name: String,
    /// `vendor:device` in hexadecimal.
    pub pci: Vec<String>,
    /// A [`Family`].
    pub family: String,
    /// Streaming multiprocessors.
    pub multiprocessors: Option<u32>,
    /// The clock at which the specification holds.
    pub clock_mhz: Option<f64>,
    /// The highest clock that the driver allows.
    pub max_clock_mhz: Option<f64>,
    /// Memory clock, of which both edges count.
    pub memory_mhz: Option<f64>,
    /// Memory bus.
    pub memory_bits: Option<u32>,
    /// Marketed memory, in GB.
    pub memory_gb: u32,
    /// Of its own link.
    pub pcie_generation: u32,
    /// The power limit at which the figures hold.
    pub power_w: f64,
    /// Who says what of the above, by the field's name.
    pub sources: BTreeMap<String, String>,
    /// What was published.
    pub figures: Vec<Figure>,
}

impl Gpu {
    /// Memory clock x 2 x bus width, in GB/s: more is not possible.
    pub fn memory_roof(&self) -> Option<f64> {
        Some(self.memory_mhz? * 1e6 * 2.0 * f64::from(self.memory_bits?) / 8.0 / 1e9)
    }

    /// What the vendor specifies: `memory`, or a format.
    pub fn specified(&self, quantity: &str) -> Option<&Figure> {
        self.figure(Kind::Specification, quantity)
    }

    /// The sustained figure for a metric called `quantity`.
    pub fn sustained(&self, quantity: &str) -> Option<&Figure> {
        self.figure(Kind::Sustained, quantity)
    }

    fn figure(&self, kind: Kind, quantity: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.kind == kind && f.quantity == quantity)
    }
}

/// A server CPU's memory, one socket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// What people call it.
    pub name: String,
    /// As `/proc/cpuinfo` gives it.
    pub vendor: String,
    /// Family.
    pub family: u32,
    /// Models.
    pub models: Vec<u32>,
    /// Memory channels.
    pub channels: u32,
    /// Rated speed, 1e6 transfers a second.
    pub mts: u32,
    /// Generation of its PCIe lanes.
    pub pcie_generation: u32,
    /// Share of the theoretical bandwidth that reads reach.
    pub read_share: f64,
    /// Who says so.
    pub source: String,
    /// When that was read.
    pub date: String,
    /// Under which conditions.
    pub conditions: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// How sources disagree.
    pub disputed: Option<String>,
}

/// Transfers over 16 lanes of one PCIe generation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Generation.
    pub generation: u32,
    /// Transfers a lane, 1e9 a second.
    pub gt_s: f64,
    /// GB/s, one direction.
    pub value: f64,
    /// Who says so.
    pub source: String,
    /// When that was read.
    pub date: String,
    /// Under which conditions.
    pub conditions: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
}

/// Drives on four lanes of one PCIe generation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drive {
    /// What it is.
    pub name: String,
    /// Transfers a lane, 1e9 a second.
    pub gt_s: f64,
    /// GB/s of sequential reads.
    pub value: f64,
    /// Who says so.
    pub source: String,
    /// When that was read.
    pub date: String,
    /// Under which conditions.
    pub conditions: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
}

impl Link {
    /// GB/s of 16 lanes, one direction, after line coding.
    pub fn raw(&self) -> f64 {
        link_gb_per_second(self.gt_s, 16.0)
    }
}

impl Drive {
    /// GB/s of its 4 lanes after line coding.
    pub fn raw(&self) -> f64 {
        link_gb_per_second(self.gt_s, 4.0)
    }
}

/// A document that figures refer to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    title: String,
    read: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    schema: u32,
    sources: BTreeMap<String, Source>,
    family: Vec<Family>,
    gpu: Vec<Gpu>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformFile {
    schema: u32,
    cpu: Vec<Cpu>,
    pcie: Vec<Link>,
    nvme: Vec<Drive>,
}

/// Everything published.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// GPU families.
    pub families: Vec<Family>,
    /// GPUs.
    pub gpus: Vec<Gpu>,
    /// Server CPUs.
    pub cpus: Vec<Cpu>,
    /// PCIe generations.
    pub links: Vec<Link>,
    /// NVMe drives.
    pub drives: Vec<Drive>,
}

impl Reference {
    /// The one built into this binary.
    ///
    /// # Errors
    /// Never in a binary whose tests passed.
    pub fn built_in() -> Result<Self> {
        Self::parse(GPUS, PLATFORMS)
    }

    /// Reads the two files.
    ///
    /// # Errors
    /// One is no such file: the place and what is wrong there.
    pub fn parse(gpus: &str, platforms: &str) -> Result<Self> {
        let mut gpus: GpuFile = parse(gpus, "gpus.toml")?;
        let platforms: PlatformFile = parse(platforms, "platforms.toml")?;
        for (file, schema) in [("gpus.toml", gpus.schema), ("platforms.toml", platforms.schema)] {
            if schema != SCHEMA {
                return Err(Error::input(
                    format!("{file} has schema {schema}, this hostdyno reads {SCHEMA}"),
                    "Use the reference files that came with it",
                ));
            }
        }
        for gpu in &mut gpus.gpu {
            for figure in &mut gpu.figures {
                let source = gpus.sources.get(&figure.source).ok_or_else(|| {
                    Error::input(
                        format!("gpus.toml: {} refers to no source {:?}", gpu.name, figure.source),
                        "Add it under [sources]",
                    )
                })?;
                let at = figure.at.as_deref().map_or(String::new(), |at| format!(", {at}"));
                figure.source = source.title.clone() + &at;
                figure.date.clone_from(&source.read);
                if figure.conditions.is_empty() && figure.kind == Kind::Specification {
                    figure.conditions = "specification, dense".into();
                }
            }
        }
        Ok(Self {
            families: gpus.family,
            gpus: gpus.gpu,
            cpus: platforms.cpu,
            links: platforms.pcie,
            drives: platforms.nvme,
        })
    }

    /// The GPU with this `vendor:device`.
    pub fn gpu(&self, pci: &str) -> Option<&Gpu> {
        self.gpus.iter().find(|gpu| gpu.pci.iter().any(|id| id == pci))
    }

    /// Operations that `gpu`'s multiprocessors do a clock in `format`.
    pub fn rate(&self, gpu: &Gpu, format: &str) -> Option<f64> {
        self.families.iter().find(|f| f.name == gpu.family)?.rates.get(format).copied()
    }

    /// Multiprocessors x rate x `mhz`, in 1e12 operations a second.
    pub fn compute_roof(&self, gpu: &Gpu, format: &str, mhz: f64) -> Option<f64> {
        Some(f64::from(gpu.multiprocessors?) * self.rate(gpu, format)? * mhz * 1e6 / 1e12)
    }

    /// The CPU with this vendor, family and model.
    pub fn cpu(&self, vendor: &str, family: f64, model: f64) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| {
            cpu.vendor == vendor
                && f64::from(cpu.family) == family
                && cpu.models.iter().any(|m| f64::from(*m) == model)
        })
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, file: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        Error::input(
            format!("{file} is no reference file: {}", toml_problem(text, &e)),
            "See the committed ones for the form",
        )
    })
}

/// What is wrong with `text`, and in which line, as one line.
pub(super) fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}
