//! What a metric is held against, and which metrics there is something to hold against.

use serde::Serialize;

use super::platform;
use super::reference::{Confidence, Figure, Gpu, Kind, Reference};
use super::{identity, seen};
use crate::host::HostRecord;
use crate::record::clock::under_load;
use crate::record::{MetricRecord, Unit};

/// A result below this share of the reference is a warning ...
pub const WARN: f64 = 0.85;
/// ... and below this one it fails (the ratio of NVIDIA's DCGM).
pub const FAIL: f64 = 0.75;

/// The same against a specification, which holds at the rated clock: under sustained load the best public products
/// reach 71 to 87 % of theirs (stas00/ml-engineering, its tables of achievable FLOPS), so nobody reaches all of it.
const OF_SPECIFICATION: [f64; 2] = [0.70, 0.60];

/// What a metric is held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Yardstick {
    /// The figure, in the metric's unit.
    pub value: f64,
    /// The lowest and the highest value that sources give, where they disagree.
    pub between: Option<[f64; 2]>,
    /// How they disagree.
    pub disputed: Option<String>,
    /// Whose it is, with date and conditions.
    pub source: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// Share (of the figure over the result, for times) below which a result is a warning.
    pub warn: f64,
    /// Share below which it fails.
    pub fail: f64,
    /// What no result can beat.
    pub roof: Option<f64>,
    /// Clock at which the figure was taken, in MHz.
    pub clock_mhz: Option<f64>,
    /// Why a result below may be no fault of the part: then it is not called one.
    pub excuse: Option<String>,
}

impl Yardstick {
    /// `value` as `source` says, undisputed and with the usual shares.
    pub fn new(value: f64, source: String, confidence: Confidence) -> Self {
        Self {
            value,
            between: None,
            disputed: None,
            source,
            confidence,
            warn: WARN,
            fail: FAIL,
            roof: None,
            clock_mhz: None,
            excuse: None,
        }
    }

    fn of_figure(figure: &Figure) -> Self {
        let [warn, fail] = match figure.kind {
            Kind::Specification => OF_SPECIFICATION,
            Kind::Sustained => [WARN, FAIL],
        };
        let source = format!("{} ({}; {})", figure.source, figure.date, figure.conditions);
        Self {
            between: figure.between,
            disputed: figure.disputed.clone(),
            warn: figure.warn.unwrap_or(warn),
            fail: figure.fail.unwrap_or(fail),
            ..Self::new(figure.value, source, figure.confidence)
        }
    }
}

/// Whether there is something to hold a metric against.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// There is.
    Known(Box<Yardstick>),
    /// There should be, but the part is unknown.
    Unknown(String),
    /// No one publishes a figure of this kind: the metric is shown, not judged.
    None(String),
}

impl From<Yardstick> for Expectation {
    fn from(yardstick: Yardstick) -> Self {
        Self::Known(Box::new(yardstick))
    }
}

/// Smallest side of a GEMM that public figures stand for: they are of large problems.
const LARGE: u64 = 4096;

/// What the reference expects of `metric` on `host`.
pub fn expect(
    reference: &Reference,
    host: Option<&HostRecord>,
    metric: &MetricRecord,
) -> Expectation {
    let Some(host) = host else {
        return Expectation::Unknown(
            "the run has no readable host.json: its parts are unknown".into(),
        );
    };
    let segments: Vec<&str> = metric.id.as_str().split('/').collect();
    let on_gpu = identity::on_gpu(metric);
    match segments.as_slice() {
        ["pcie", "h2d" | "d2h", "pinned", _, "first-touch" | "node-local", size] if on_gpu => {
            platform::pcie(reference, host, metric, size)
        }
        ["vram", operation @ ("read" | "write" | "copy" | "triad"), _] if on_gpu => {
            of_gpu(reference, host, metric, |gpu| memory(gpu, operation))
        }
        ["gemm", _, format, shape] if on_gpu && large(shape) && metric.unit != Unit::GigaBytes => {
            of_gpu(reference, host, metric, |gpu| {
                let figure = gpu.sustained(&format!("gemm/{format}"));
                let none = || format!("no sustained {format} figure of {} is published", gpu.name);
                compute(reference, gpu, metric, format, figure.ok_or_else(none)?)
            })
        }
        ["compute", "peak", _, format] if on_gpu => of_gpu(reference, host, metric, |gpu| {
            let none = || format!("no specified {format} rate of {} is known", gpu.name);
            compute(reference, gpu, metric, format, gpu.specified(format).ok_or_else(none)?)
        }),
        ["dram", "read", "all-cores"] => platform::dram(reference, host, metric),
        ["storage", "load", "direct" | "pipelined"] => platform::storage(reference, host, metric),
        _ => Expectation::None("no published figure of this kind".into()),
    }
}

/// Whether `m4096n4096k4096` and the like is large on every side.
fn large(shape: &str) -> bool {
    let sides: Vec<u64> =
        shape.split(|c: char| c.is_ascii_alphabetic()).filter_map(|n| n.parse().ok()).collect();
    sides.len() == 3 && sides.iter().all(|side| *side >= LARGE)
}

fn of_gpu(
    reference: &Reference,
    host: &HostRecord,
    metric: &MetricRecord,
    look: impl Fn(&Gpu) -> Result<Yardstick, String>,
) -> Expectation {
    let found = identity::device(host, metric).and_then(|device| identity::gpu(reference, device));
    match found.map(look) {
        Ok(Ok(yardstick)) => yardstick.into(),
        Ok(Err(why)) => Expectation::None(why),
        Err(why) => Expectation::Unknown(why),
    }
}

fn memory(gpu: &Gpu, operation: &str) -> Result<Yardstick, String> {
    let figure = gpu.sustained(&format!("vram/{operation}"));
    let figure =
        figure.ok_or_else(|| format!("no {operation} rate of {} is published", gpu.name))?;
    Ok(Yardstick { roof: gpu.memory_roof(), ..Yardstick::of_figure(figure) })
}

/// Arithmetic, which a power limit slows and no clock beats.
fn compute(
    reference: &Reference,
    gpu: &Gpu,
    metric: &MetricRecord,
    format: &str,
    figure: &Figure,
) -> Result<Yardstick, String> {
    let clock = seen::highest_clock(metric).or(gpu.max_clock_mhz);
    Ok(Yardstick {
        roof: clock.and_then(|mhz| reference.compute_roof(gpu, format, mhz)),
        clock_mhz: gpu.clock_mhz,
        excuse: identity::limited(gpu, metric),
        ..Yardstick::of_figure(figure)
    })
}

/// The share that the result would have at the reference's clock: explains, never decides.
pub fn scaled(share: f64, yardstick: &Yardstick, metric: &MetricRecord) -> Option<f64> {
    Some(share * yardstick.clock_mhz? / under_load(metric)?)
}
