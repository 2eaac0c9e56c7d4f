//! Where an axis has its marks, and how they read.

use crate::record::figure::{Axis, BYTES, Division};
use crate::report::quantity;

/// Marks that an axis has about.
const MARKS: f64 = 6.0;

/// An axis with its range: from data to a share of its length.
pub struct Ruler<'a> {
    axis: &'a Axis,
    low: f64,
    high: f64,
}

impl<'a> Ruler<'a> {
    /// The ruler for `values`; a linear one begins at zero where the data are above it. `None` when no value can be drawn.
    pub fn new(axis: &'a Axis, values: impl Iterator<Item = f64>) -> Option<Self> {
        let usable = values.filter(|&value| drawable(axis, value));
        let (low, high) =
            usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low > high {
            return None;
        }
        let (low, high) = match axis.division {
            Division::Linear => (low.min(0.0), if high > 0.0 { high * 1.05 } else { 0.0 }),
            Division::Logarithmic => (low, high),
        };
        let flat = high - low <= 0.0;
        Some(match (axis.division, flat) {
            (_, false) => Self { axis, low, high },
            (Division::Linear, true) => Self { axis, low, high: low + 1.0 },
            (Division::Logarithmic, true) => Self { axis, low: low / 2.0, high: high * 2.0 },
        })
    }

    /// Where `value` is: 0 at the beginning, 1 at the end. `None` when it can't be drawn.
    pub fn place(&self, value: f64) -> Option<f64> {
        let share = match self.axis.division {
            Division::Linear => (value - self.low) / (self.high - self.low),
            Division::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        (drawable(self.axis, value) && share.is_finite()).then(|| share.clamp(0.0, 1.0))
    }

    /// The marks, and how each reads.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.axis.division {
            Division::Linear => linear(self.low, self.high),
            Division::Logarithmic if self.axis.unit == BYTES => powers(self.low, self.high, 2.0),
            Division::Logarithmic => {
                let decades = powers(self.low, self.high, 10.0);
                // Less than two decades are better divided in twos.
                if decades.len() < 3 { powers(self.low, self.high, 2.0) } else { decades }
            }
        };
        values.into_iter().map(|value| (value, quantity::on_axis(self.axis, value))).collect()
    }
}

/// Whether a logarithm is not in the way.
fn drawable(axis: &Axis, value: f64) -> bool {
    value.is_finite() && (axis.division == Division::Linear || value > 0.0)
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / MARKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&step| step >= rough);
    let Some(step) = step.filter(|step| step.is_normal()) else { return vec![low] };
    let first = (low / step).ceil();
    let count = ((high / step).floor() - first) as usize;
    (0..=count.min(20)).map(|i| (first + i as f64) * step).collect()
}

/// Powers of `base` in the range, thinned out to about [`MARKS`].
fn powers(low: f64, high: f64, base: f64) -> Vec<f64> {
    let (first, last) = (low.log(base).ceil() as i32, high.log(base).floor() as i32);
    let every = (f64::from((last - first).max(1)) / MARKS).ceil().max(1.0) as usize;
    (first..=last).step_by(every).map(|power| base.powi(power)).collect()
}
