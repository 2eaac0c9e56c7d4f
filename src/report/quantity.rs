//! Numbers as a person reads them: scaled to the unit that suits their size, and with no more digits
//! than their interval supports.

use crate::record::figure::{Axis, BYTES};
use crate::record::{Interval, MetricRecord, Summary, Unit};

/// A power of ten between a record's unit and a printed unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Record unit times this gives the printed unit.
    pub factor: f64,
    /// The printed unit.
    pub symbol: &'static str,
}

impl Scale {
    /// The scale at which `value`, given in `unit`, has one to three digits before the point.
    pub fn of(unit: Unit, value: f64) -> Self {
        let steps: &[(f64, &'static str)] = match unit {
            Unit::TeraFlops => &[(1.0, "TFLOP/s"), (1e3, "GFLOP/s"), (1e6, "MFLOP/s")],
            Unit::TeraOps => &[(1.0, "TOP/s"), (1e3, "GOP/s"), (1e6, "MOP/s")],
            Unit::GigaBytes => &[(1e-3, "TB/s"), (1.0, "GB/s"), (1e3, "MB/s"), (1e6, "kB/s")],
            Unit::Nanoseconds => &[(1e-9, "s"), (1e-6, "ms"), (1e-3, "us"), (1.0, "ns")],
            Unit::Seconds => &[(1.0, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns")],
        };
        let fits = steps.iter().find(|(factor, _)| value.abs() * factor >= 1.0);
        let native = (1.0, unit.symbol());
        let (factor, symbol) = *fits.or(steps.last()).unwrap_or(&native);
        Self { factor, symbol }
    }

    /// `value` in the printed unit to three significant digits, without the symbol.
    pub fn three_digits(self, value: f64) -> String {
        self.number(value, Digits::significant(value * self.factor, 3))
    }

    /// `value` in the printed unit with `digits`, without the symbol.
    fn number(self, value: f64, digits: Digits) -> String {
        digits.print(value * self.factor)
    }
}

/// A median with its interval, ready to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Printed {
    /// `118.0 GFLOP/s`.
    pub value: String,
    /// `117.4 - 118.6` in the same unit; absent where there are too few samples for an interval.
    pub interval: Option<String>,
}

/// The metric's median and interval; `None` where nothing was measured.
pub fn metric(record: &MetricRecord) -> Option<Printed> {
    record.summary.as_ref().map(|summary| of_summary(record.unit, summary))
}

/// A summary's median and interval.
pub fn of_summary(unit: Unit, summary: &Summary) -> Printed {
    let scale = Scale::of(unit, summary.median);
    let digits = Digits::supported(
        summary.median * scale.factor,
        uncertainty(summary).map(|u| u * scale.factor),
    );
    Printed {
        value: format!("{} {}", scale.number(summary.median, digits), scale.symbol),
        interval: summary.median_ci95.map(|Interval { low, high }| {
            format!("{} - {}", scale.number(low, digits), scale.number(high, digits))
        }),
    }
}

/// A figure without an interval, such as a ceiling: three significant digits.
pub fn plain(unit: Unit, value: f64) -> String {
    let scale = Scale::of(unit, value);
    let scaled = value * scale.factor;
    format!("{} {}", Digits::significant(scaled, 3).print(scaled), scale.symbol)
}

/// A value on an axis, without its unit: three significant digits; sizes in powers of two with their own.
pub fn on_axis(axis: &Axis, value: f64) -> String {
    if axis.unit == BYTES {
        return bytes(value);
    }
    let text = Digits::significant(value, 3).print(value);
    // `100.0` would claim more than it knows, and takes room.
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A value on an axis with its unit.
pub fn with_unit(axis: &Axis, value: f64) -> String {
    let text = on_axis(axis, value);
    let unit = match axis.unit.as_str() {
        // An axis without a unit counts what it is named after.
        "" => &axis.name,
        BYTES => return text,
        unit => unit,
    };
    format!("{text} {unit}")
}

fn bytes(value: f64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")];
    let (power, unit) =
        units.into_iter().find(|(power, _)| value >= f64::from(1u32 << power)).unwrap_or((0, "B"));
    let scaled = value / f64::from(1u32 << power);
    if scaled.fract() == 0.0 { format!("{scaled} {unit}") } else { format!("{scaled:.1} {unit}") }
}

/// `0.731` as `73 %`; one decimal below 10 %, where a whole percent would be too coarse.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if 0.0 < percent && percent < 0.05 {
        return "<0.1 %".to_owned();
    }
    if percent.abs() < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Half the width of the interval of the median over the median; `None` without an interval.
pub fn noise(summary: &Summary) -> Option<f64> {
    let Interval { low, high } = summary.median_ci95?;
    let noise = (high - low) / 2.0 / summary.median.abs();
    noise.is_finite().then_some(noise)
}

/// Half the width of the interval of the median; where there are too few samples for one, half the
/// range of the samples; `None` for a single sample, about whose spread nothing is known.
fn uncertainty(summary: &Summary) -> Option<f64> {
    match summary.median_ci95 {
        Some(Interval { low, high }) => Some((high - low) / 2.0),
        None if summary.samples > 1 => Some((summary.max - summary.min) / 2.0),
        None => None,
    }
}

/// Decimals after the point; negative rounds to tens, hundreds ...
#[derive(Debug, Clone, Copy, PartialEq)]
struct Digits(i32);

impl Digits {
    /// More than four significant digits of a benchmark result are never read.
    const MOST: i32 = 4;
    /// Fewer would round the ends of a wide interval to nothing. Also what a single sample is worth.
    const LEAST: i32 = 2;

    /// Ends at the first digit of the uncertainty, keeping at least [`Self::LEAST`] digits of the value.
    fn supported(value: f64, uncertainty: Option<f64>) -> Self {
        let Some(uncertainty) = uncertainty.filter(|u| u.is_finite()) else {
            return Self::significant(value, Self::LEAST);
        };
        let Self(most) = Self::significant(value, Self::MOST);
        if uncertainty <= 0.0 {
            return Self(most);
        }
        let Self(least) = Self::significant(value, Self::LEAST);
        Self((-exponent(uncertainty)).clamp(least, most))
    }

    /// As many decimals as give `count` significant digits.
    fn significant(value: f64, count: i32) -> Self {
        Self(count - 1 - exponent(value))
    }

    fn print(self, value: f64) -> String {
        if value != 0.0 && !(1e-6..1e7).contains(&value.abs()) {
            return format!("{value:.1e}");
        }
        let Self(decimals) = self;
        match usize::try_from(decimals) {
            Ok(decimals) => format!("{value:.0$}", decimals.min(9)),
            Err(_) => {
                let step = 10f64.powi(-decimals);
                format!("{:.0}", (value / step).round() * step)
            }
        }
    }
}

/// Position of the first significant digit: 2 for 118, -1 for 0.6; 0 for zero and the infinite.
fn exponent(value: f64) -> i32 {
    let log = value.abs().log10();
    if log.is_finite() { log.floor() as i32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(median: f64, half_width: f64) -> Summary {
        let (low, high) = (median - half_width, median + half_width);
        Summary {
            samples: 30,
            median,
            q1: low,
            q3: high,
            min: low,
            max: high,
            median_ci95: Some(Interval { low, high }),
        }
    }

    fn printed(unit: Unit, median: f64, half_width: f64) -> (String, String) {
        let printed = of_summary(unit, &summary(median, half_width));
        (printed.value, printed.interval.unwrap())
    }

    #[test]
    fn digits_end_where_the_interval_begins() {
        let p = |median, half| printed(Unit::GigaBytes, median, half);
        assert_eq!(p(31.2345, 0.6), ("31.2 GB/s".into(), "30.6 - 31.8".into()));
        assert_eq!(p(31.2345, 0.03), ("31.23 GB/s".into(), "31.20 - 31.26".into()));
        assert_eq!(p(31.2345, 4.0), ("31 GB/s".into(), "27 - 35".into()));
        assert_eq!(p(312.345, 40.0), ("310 GB/s".into(), "270 - 350".into()));
        assert_eq!(p(312.345, 400.0).0, "310 GB/s", "two digits are always kept");
        assert_eq!(p(10.4, 6.0), ("10 GB/s".into(), "4 - 16".into()), "not 0 - 20");
    }

    #[test]
    fn never_more_than_four_significant_digits() {
        assert_eq!(printed(Unit::GigaBytes, 31.234_567, 1e-9).0, "31.23 GB/s");
        assert_eq!(printed(Unit::GigaBytes, 31.234_567, 0.0).0, "31.23 GB/s");
    }

    #[test]
    fn few_samples_are_worth_few_digits() {
        let single = Summary { samples: 1, median_ci95: None, ..summary(31.2345, 0.0) };
        let printed = of_summary(Unit::GigaBytes, &single);
        assert_eq!(printed, Printed { value: "31 GB/s".into(), interval: None });
        let three = Summary { samples: 3, median_ci95: None, ..summary(31.2345, 0.4) };
        assert_eq!(of_summary(Unit::GigaBytes, &three).value, "31.2 GB/s");
    }

    #[test]
    fn units_follow_the_size() {
        assert_eq!(plain(Unit::TeraFlops, 0.1184), "118 GFLOP/s");
        assert_eq!(plain(Unit::TeraFlops, 989.4), "989 TFLOP/s");
        assert_eq!(plain(Unit::TeraOps, 0.0034), "3.40 GOP/s");
        assert_eq!(plain(Unit::GigaBytes, 3350.0), "3.35 TB/s");
        assert_eq!(plain(Unit::GigaBytes, 0.75), "750 MB/s");
        assert_eq!(plain(Unit::Nanoseconds, 98.44), "98.4 ns");
        assert_eq!(plain(Unit::Nanoseconds, 2_500.0), "2.50 us");
        assert_eq!(plain(Unit::Seconds, 0.0123), "12.3 ms");
        assert_eq!(plain(Unit::Seconds, 72.0), "72.0 s");
    }

    #[test]
    fn percent_has_a_decimal_only_where_it_counts() {
        assert_eq!(percent(0.731), "73 %");
        assert_eq!(percent(0.0312), "3.1 %");
        assert_eq!(percent(0.0997), "10 %");
        assert_eq!(percent(1.04), "104 %");
        assert_eq!(percent(0.0004), "<0.1 %");
    }

    #[test]
    fn absurd_values_print_something_short() {
        for value in [0.0, -3.0, 1e300, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN] {
            for half in [0.0, 1e-300, 1e300, f64::INFINITY, f64::NAN] {
                for unit in [Unit::TeraFlops, Unit::GigaBytes, Unit::Nanoseconds, Unit::Seconds] {
                    let (text, interval) = printed(unit, value, half);
                    assert!(text.len() < 24 && interval.len() < 40, "{text} | {interval}");
                }
            }
        }
    }
}
