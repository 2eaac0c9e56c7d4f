//! Axes: from values to a range with round ticks, linear or logarithmic.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures, with its unit.
    pub title: String,
    scale: Scale,
    /// Lower and upper end, as places (see [`Self::place`]).
    pub ends: [f64; 2],
    /// Values that get a label.
    pub ticks: Vec<f64>,
    labels: Labels,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Labels {
    Plain,
    Bytes,
}

/// Room beyond the outermost values of a logarithmic axis, in decades, and of a linear one, as a share.
const ROOM: f64 = 0.12;
/// More labels than this crowd an axis.
const MOST_TICKS: usize = 7;

impl Axis {
    /// A logarithmic axis around `values`; those that are not positive have no place on it.
    pub fn log(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let [low, high] = log_range(values);
        let ends = [low - ROOM, high + ROOM];
        let ticks = log_ticks(ends);
        Self { title: title.to_owned(), scale: Scale::Log, ends, ticks, labels: Labels::Plain }
    }

    /// A logarithmic axis of sizes in bytes, with ticks at powers of two.
    pub fn bytes(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let [low, high] = log_range(values);
        let ends = [low - ROOM, high + ROOM];
        let powers = |step: usize| {
            let [first, last] = ends.map(|end| end * std::f64::consts::LOG2_10);
            let all = (first.ceil() as i32..=last.floor() as i32).map(f64::from);
            all.filter(|power| (*power as usize).is_multiple_of(step))
                .map(f64::exp2)
                .collect::<Vec<_>>()
        };
        let fits = (1..=20).map(powers).find(|ticks| ticks.len() <= MOST_TICKS);
        let ticks = fits.unwrap_or_default();
        Self { title: title.to_owned(), scale: Scale::Log, ends, ticks, labels: Labels::Bytes }
    }

    /// A linear axis from zero to beyond the largest of `values`.
    pub fn from_zero(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite() && *v > 0.0);
        let high = match finite.fold(0.0, f64::max) {
            0.0 => 1.0,
            high => high * (1.0 + ROOM),
        };
        let step = round_step(high / (MOST_TICKS - 2) as f64);
        let ticks = (0..=MOST_TICKS * 2).map(|n| n as f64 * step).filter(|t| *t <= high).collect();
        let (title, scale) = (title.to_owned(), Scale::Linear);
        Self { title, scale, ends: [0.0, high], ticks, labels: Labels::Plain }
    }

    /// Where `value` lies on the axis: itself, or its logarithm; `None` where the axis has no place for it.
    pub fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        };
        place.is_finite().then(|| place.clamp(self.ends[0], self.ends[1]))
    }

    /// What lies at `place`: the reverse of [`Self::place`].
    pub fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => place,
            Scale::Log => 10f64.powf(place),
        }
    }

    /// The label of the tick at `place`.
    pub fn label(&self, place: f64) -> String {
        let value = self.value(place);
        match self.labels {
            Labels::Plain => plain(value),
            Labels::Bytes => bytes(value),
        }
    }
}

/// For `plotters`, an axis is linear in its places.
impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, limits: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(place, limits)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().filter_map(|tick| self.place(*tick)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.ends[0]..self.ends[1]
    }
}

/// Smallest and largest logarithm of `values`, at least a third of a decade apart.
fn log_range(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let places: Vec<f64> =
        values.into_iter().map(f64::log10).filter(|place| place.is_finite()).collect();
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low > high { [0.0, 1.0] } else { [low, high.max(low + 1.0 / 3.0)] }
}

/// Ones, twos and fives where few decades leave room for them, else powers of ten.
fn log_ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let within = |factors: &[f64], every: usize| -> Vec<f64> {
        (low.floor() as i32..=high.ceil() as i32)
            .filter(|decade| (decade.unsigned_abs() as usize).is_multiple_of(every))
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
            .filter(|tick| (low..=high).contains(&tick.log10()))
            .collect()
    };
    let choices: [(&[f64], usize); 8] = [
        (&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], 1),
        (&[1.0, 2.0, 3.0, 5.0, 7.0], 1),
        (&[1.0, 2.0, 5.0], 1),
        (&[1.0, 3.0], 1),
        (&[1.0], 1),
        (&[1.0], 2),
        (&[1.0], 5),
        (&[1.0], 20),
    ];
    let fits = choices.iter().map(|(f, every)| within(f, *every)).find(|t| t.len() <= MOST_TICKS);
    fits.unwrap_or_default()
}

/// The next of 1, 2, 5 times a power of ten above `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= step);
    factor.unwrap_or(10.0) * decade
}

/// `0.05`, `20`, `1500`: no more digits than a round number has.
fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 1 - value.abs().log10().floor() as i32;
    if !(-6..9).contains(&digits) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.0$}", digits.max(0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `32 KiB`, `1 GiB`.
fn bytes(value: f64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let unit = units.iter().find(|(_, power)| value >= 2f64.powi(*power) * 0.999);
    let (unit, power) = unit.unwrap_or(&units[3]);
    format!("{} {unit}", plain(value / 2f64.powi(*power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(axis.place(*tick).unwrap())).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(&Axis::log("x", [0.1, 1000.0])), ["0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels(&Axis::log("x", [80.0, 300.0])), ["70", "100", "150", "200", "300"]);
        let sizes = Axis::bytes("x", [16384.0, (1u64 << 30) as f64]);
        assert_eq!(labels(&sizes), ["32 KiB", "256 KiB", "2 MiB", "16 MiB", "128 MiB", "1 GiB"]);
        assert_eq!(labels(&Axis::from_zero("x", [61.0])), ["0", "20", "40", "60"]);
    }

    #[test]
    fn absurd_values_make_an_axis_all_the_same() {
        let absurd = [f64::NAN, f64::INFINITY, -1.0, 0.0];
        for axis in [Axis::log("x", absurd), Axis::bytes("x", absurd), Axis::from_zero("x", absurd)]
        {
            assert!(axis.ends.iter().all(|end| end.is_finite()) && axis.ends[0] < axis.ends[1]);
            assert!(axis.ticks.len() <= MOST_TICKS * 2 && !labels(&axis).is_empty(), "{axis:?}");
        }
        let huge = [1e-300, 1e300];
        for axis in [Axis::log("x", huge), Axis::bytes("x", huge), Axis::from_zero("x", huge)] {
            assert!(axis.ticks.len() <= MOST_TICKS * 2, "{axis:?}");
            assert!(labels(&axis).iter().all(|label| label.len() < 12), "{:?}", labels(&axis));
        }
        assert_eq!(Axis::log("x", [1.0]).place(f64::NAN), None);
    }
}
