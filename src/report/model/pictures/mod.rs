//! What can be drawn of several metrics together, before anyone draws it: rooflines, curves over sizes, stages of loads.
//! What one metric holds to draw is its [`super::Figure`]. Pure.
//!
//! Everything is found by what a record holds (declared work, details, names by role), never by the name of one bench,
//! so that a metric which appears in a later version finds its figure.

mod curve;
mod device;
mod roofline;
mod stages;

#[cfg(test)]
mod tests;

use crate::record::store::Run;
use crate::record::{Interval, State};

pub use curve::{Curve, Plot};
pub use device::Device;
pub use roofline::{Kernel, LeftOut, Roof, Roofline};
pub use stages::{Load, Stage};

/// Everything of a run that can be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// One for each device that has kernels with declared work.
    pub rooflines: Vec<Roofline>,
    /// Latency over the bytes that are walked.
    pub latency: Plot,
    /// Bandwidth over the size of a copy between host and device.
    pub copies: Plot,
    /// Model loads, with the stages that each took.
    pub loads: Vec<Load>,
}

impl Pictures {
    /// The figures of `run`.
    pub fn new(run: &Run) -> Self {
        let metrics: Vec<_> = run.benches.iter().flat_map(|bench| &bench.metrics).collect();
        Self {
            rooflines: Roofline::all(&metrics),
            latency: Plot::latency(&metrics),
            copies: Plot::copies(&metrics),
            loads: Load::all(&metrics),
        }
    }
}

/// One measured place in a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// The metric, or the place on a curve, in words.
    pub name: String,
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// 95 % interval of `y`; absent where the record has none.
    pub interval: Option<Interval>,
    /// Whether `y` can be trusted.
    pub state: State,
}
