//! Criterion as the face of a measurement: its command line, baselines and plots, our samples and units.
//!
//! The samples are taken by [`super::sampling`] and then replayed: Criterion is asked for as many samples as there
//! are, and `iter_custom` answers with one recorded sample after the other. So what Criterion prints, compares and
//! saves is what the record keeps.

use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, SamplingMode, Throughput};

use super::profile::MIN_SAMPLES;
use crate::record::{MetricId, Unit, Work};

/// Nanoseconds of some device's clock, printed as TFLOP/s, TOP/s or GB/s.
struct DeviceTime(Unit);

impl Measurement for DeviceTime {
    type Intermediate = ();
    type Value = f64;

    // Only `iter_custom` is used: time comes from the subject, never from here.
    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, nanoseconds: &f64) -> f64 {
        *nanoseconds
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for DeviceTime {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, _: f64, work: &Throughput, values: &mut [f64]) -> &'static str {
        let amount = match *work {
            Throughput::Elements(n) | Throughput::Bytes(n) | Throughput::BytesDecimal(n) => n,
            Throughput::Bits(bits) => bits / 8,
            Throughput::ElementsAndBytes { elements, .. } => elements,
        };
        let tera = matches!(self.0, Unit::TeraFlops | Unit::TeraOps);
        for value in values {
            // Amount a nanosecond is 1e9 amounts a second.
            *value = amount as f64 / *value / if tera { 1e3 } else { 1.0 };
        }
        self.0.symbol()
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}

/// How Criterion is asked to run a metric.
struct Request {
    samples: usize,
    warm_up: Duration,
    measurement: Duration,
}

/// A Criterion with this process's command line runs the metric `id`; `sample` takes iterations and returns
/// nanoseconds.
fn bench(
    id: &MetricId,
    unit: Unit,
    work: &Work,
    request: &Request,
    mut sample: impl FnMut(u64) -> f64,
) {
    let mut criterion: Criterion<DeviceTime> =
        Criterion::default().with_measurement(DeviceTime(unit)).configure_from_args();
    let (group, function) = id.as_str().split_once('/').unwrap_or((id.as_str(), ""));
    let mut group = criterion.benchmark_group(group);
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(request.warm_up)
        .measurement_time(request.measurement)
        .sample_size(request.samples);
    match unit {
        Unit::TeraFlops | Unit::TeraOps => {
            group.throughput(Throughput::Elements(work.flops));
        }
        Unit::GigaBytes => {
            group.throughput(Throughput::BytesDecimal(work.counted_bytes()));
        }
        Unit::Nanoseconds | Unit::Seconds => {}
    }
    group.bench_function(function, |bencher| bencher.iter_custom(&mut sample));
    group.finish();
}

/// Shows `samples` (seconds of one iteration, `batch` iterations each) as Criterion's own measurement of `id`. Nothing
/// is shown when there are fewer than Criterion accepts.
///
/// Criterion plans from the wall-clock time of the first call, which it takes for the warm-up. That call lasts as long
/// as an iteration did, so that the plan it prints is what was really done; half as long for samples of one iteration,
/// since Criterion warns of those.
pub fn show(id: &MetricId, unit: Unit, work: &Work, samples: &[f64], batch: u64) {
    if samples.len() < MIN_SAMPLES {
        eprintln!("{id}: {} samples, Criterion shows no fewer than {MIN_SAMPLES}", samples.len());
        return;
    }
    let iteration = samples.iter().sum::<f64>() / samples.len() as f64;
    let first_call = Duration::from_secs_f64(if batch == 1 { iteration / 2.0 } else { iteration });
    let request = Request {
        samples: samples.len(),
        warm_up: (first_call / 2).max(Duration::from_nanos(1)),
        // A little less than the whole, since Criterion rounds iterations up.
        measurement: Duration::from_secs_f64(
            0.99 * iteration * batch as f64 * samples.len() as f64,
        ),
    };
    let mut calls = 0;
    bench(id, unit, work, &request, |iterations| {
        if calls == 0 {
            wait(first_call);
        }
        let sample = samples[usize::saturating_sub(calls, 1) % samples.len()];
        calls += 1;
        sample * 1e9 * iterations as f64
    });
}

/// Lets `duration` pass: asleep where that is exact enough, spinning where it is not.
fn wait(duration: Duration) {
    let start = Instant::now();
    if duration > Duration::from_millis(5) {
        std::thread::sleep(duration);
    }
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Hands the metric to Criterion to run as its command line says (list, test, profile): `run` takes iterations and
/// returns seconds.
pub fn delegate(id: &MetricId, unit: Unit, work: &Work, mut run: impl FnMut(u64) -> f64) {
    let shortest = Duration::from_nanos(1);
    let request = Request { samples: MIN_SAMPLES, warm_up: shortest, measurement: shortest };
    bench(id, unit, work, &request, |iterations| run(iterations) * 1e9);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(unit: Unit, throughput: Throughput, nanoseconds: f64) -> (f64, &'static str) {
        let mut values = [nanoseconds];
        let symbol = DeviceTime(unit).scale_throughputs(nanoseconds, &throughput, &mut values);
        (values[0], symbol)
    }

    #[test]
    fn rates_have_the_units_of_the_field() {
        // 2 x 2048^3 operations in 10 ms.
        let flops = Throughput::Elements(17_179_869_184);
        let (value, symbol) = rate(Unit::TeraFlops, flops.clone(), 1e7);
        assert!((value - 1.717_986_918_4).abs() < 1e-9);
        assert_eq!(symbol, "TFLOP/s");
        assert_eq!(rate(Unit::TeraOps, flops, 1e7).1, "TOP/s");
        // 1 GiB in 100 ms.
        let (value, symbol) = rate(Unit::GigaBytes, Throughput::BytesDecimal(1 << 30), 1e8);
        assert!((value - 10.737_418_24).abs() < 1e-9);
        assert_eq!(symbol, "GB/s");
    }
}
