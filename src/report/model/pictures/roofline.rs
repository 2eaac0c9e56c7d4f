//! The roofline of a device (Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009): the kernels of
//! a run over the arithmetic that they do for each byte they declare, below what the device's arithmetic and its
//! memory reached in the same run.

use super::{Device, Spot};
use crate::number::{BlockFormat, Format};
use crate::record::{Interval, MetricRecord, Origin, State, Unit};
use crate::report::model::Row;

/// One device's kernels below its ceilings.
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// The device.
    pub device: Device,
    /// Arithmetic, 1e12 operations a second: the best of each format.
    pub compute: Vec<Roof>,
    /// Memory, 1e9 bytes a second: the best that was measured, and the theoretical one where it is known.
    pub memory: Vec<Roof>,
    /// The kernels, by intensity.
    pub kernels: Vec<Kernel>,
    /// Kernels that can't be drawn.
    pub left_out: Vec<LeftOut>,
}

/// One ceiling of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Roof {
    /// Format of the operands, or the kind of memory.
    pub name: String,
    /// 1e12 operations a second, or 1e9 bytes a second.
    pub value: f64,
    /// Measured or theoretical.
    pub origin: Origin,
    /// The metric or formula behind it.
    pub source: String,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// Where it lies: operations a declared byte, 1e12 operations a second.
    pub spot: Spot,
    /// Format of its operands; empty when its name tells none.
    pub format: String,
    /// Its row in the tables.
    pub row: Row,
}

/// A kernel that can't be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The metric.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Roofline {
    /// One roofline for each device of `metrics` that has kernels.
    pub fn all(metrics: &[&MetricRecord]) -> Vec<Self> {
        let mut devices: Vec<Device> =
            metrics.iter().filter(|m| m.work.flops > 0).filter_map(|m| Device::of(m)).collect();
        devices.sort();
        devices.dedup();
        let lines = devices.into_iter().map(|device| {
            let own: Vec<&MetricRecord> =
                metrics.iter().copied().filter(|m| Device::of(m) == Some(device)).collect();
            Self::of(device, &own)
        });
        lines.filter(|line| !line.kernels.is_empty() || !line.left_out.is_empty()).collect()
    }

    fn of(device: Device, metrics: &[&MetricRecord]) -> Self {
        let (mut kernels, mut left_out) = (Vec::new(), Vec::new());
        for metric in metrics.iter().filter(|m| is_kernel(m)) {
            match place(metric) {
                Ok(kernel) => kernels.push(kernel),
                Err(why) => left_out.push(LeftOut { name: metric.id.to_string(), why }),
            }
        }
        kernels.sort_by(|a, b| a.spot.x.total_cmp(&b.spot.x));
        Self {
            device,
            compute: compute(metrics),
            memory: memory(device, metrics),
            kernels,
            left_out,
        }
    }
}

/// Arithmetic on declared bytes that is not a loop of registers alone.
fn is_kernel(metric: &MetricRecord) -> bool {
    let (flops, bytes) = (metric.work.flops, metric.work.counted_bytes());
    flops > 0 && bytes > 0 && !is_peak(metric) && metric.state != State::Skipped
}

fn is_peak(metric: &MetricRecord) -> bool {
    metric.id.as_str().starts_with("compute/peak/")
}

fn place(metric: &MetricRecord) -> Result<Kernel, String> {
    let row = Row::new(metric);
    let reason = || metric.reason.clone().unwrap_or_else(|| "no reason recorded".into());
    if metric.state == State::Invalid {
        return Err(format!("invalid: {}", reason()));
    }
    let summary = row.summary.as_ref().filter(|_| row.usable()).ok_or("no samples")?;
    let y = operations(metric, summary.median).ok_or("its figures make no sense")?;
    let interval = summary.median_ci95.and_then(|Interval { low, high }| {
        let (a, b) = (operations(metric, low)?, operations(metric, high)?);
        Some(Interval { low: a.min(b), high: a.max(b) })
    });
    let x = metric.work.flops as f64 / metric.work.counted_bytes() as f64;
    let spot = Spot { name: metric.id.to_string(), x, y, interval, state: metric.state };
    Ok(Kernel { spot, format: format(metric.id.as_str()).unwrap_or_default().to_owned(), row })
}

/// 1e12 operations a second of a kernel whose value, in its own unit, is `value`.
fn operations(metric: &MetricRecord, value: f64) -> Option<f64> {
    let (flops, bytes) = (metric.work.flops as f64, metric.work.counted_bytes() as f64);
    let operations = match metric.unit {
        Unit::TeraFlops | Unit::TeraOps => value,
        Unit::GigaBytes => value / bytes * flops * 1e-3,
        Unit::Seconds => flops / value * 1e-12,
        Unit::Nanoseconds => flops / (value * metric.work.accesses as f64) * 1e-3,
    };
    (operations.is_finite() && operations > 0.0).then_some(operations)
}

/// The format that the path `name` has as a segment; `f32` is none of the suite's formats but a peak's.
fn format(name: &str) -> Option<&'static str> {
    let known = |segment: &str| {
        let blocked = BlockFormat::ALL.map(BlockFormat::name);
        let formats = Format::ALL.map(Format::name).into_iter().chain(blocked).chain(["f32"]);
        formats.into_iter().find(|format| *format == segment)
    };
    name.split('/').find_map(known)
}

/// Adds `roof`, or puts it in the place of a lower one with its name and origin.
fn keep_best(roofs: &mut Vec<Roof>, roof: Roof) {
    if !roof.value.is_finite() || roof.value <= 0.0 {
        return;
    }
    match roofs.iter_mut().find(|known| (&known.name, known.origin) == (&roof.name, roof.origin)) {
        Some(known) if known.value >= roof.value => {}
        Some(known) => *known = roof,
        None => roofs.push(roof),
    }
}

/// The best of each format: peaks that the run measured, and those that its kernels were held against.
fn compute(metrics: &[&MetricRecord]) -> Vec<Roof> {
    let mut roofs = Vec::new();
    for metric in metrics {
        let row = Row::new(metric);
        let own =
            row.summary.as_ref().filter(|_| row.usable() && is_peak(metric)).map(|s| s.median);
        if let (Some(value), Some(name)) = (own, format(metric.id.as_str())) {
            let (name, source) = (name.to_owned(), metric.id.to_string());
            keep_best(&mut roofs, Roof { name, value, origin: Origin::Measured, source });
        }
        let Some(ceiling) = metric.ceiling.as_ref().filter(|_| is_kernel(metric)) else { continue };
        let measured = ceiling.origin == Origin::Measured;
        let peak = ceiling.source.starts_with("compute/peak/") && measured;
        let named = format(ceiling.source.split([':', ' ']).next().unwrap_or_default());
        if let (true, Some(name), Some(value)) = (peak, named, operations(metric, ceiling.value)) {
            let source = format!("{}, as measured for {}", ceiling.source, metric.id);
            let (name, origin) = (name.to_owned(), Origin::Measured);
            keep_best(&mut roofs, Roof { name, value, origin, source });
        }
    }
    roofs.sort_by(|a, b| b.value.total_cmp(&a.value));
    roofs
}

/// The best read of the device's memory.
fn memory(device: Device, metrics: &[&MetricRecord]) -> Vec<Roof> {
    let (kind, prefix) = match device {
        Device::Cpu => ("DRAM", "dram/read/"),
        Device::Gpu(_) => ("VRAM", "vram/read/"),
    };
    let mut roofs = Vec::new();
    let mut keep = |value, origin, source| {
        keep_best(&mut roofs, Roof { name: kind.to_owned(), value, origin, source });
    };
    for metric in metrics {
        let row = Row::new(metric);
        let is_read = metric.id.as_str().starts_with(prefix) && metric.unit == Unit::GigaBytes;
        if let Some(summary) = row.summary.as_ref().filter(|_| is_read && row.usable()) {
            keep(summary.median, Origin::Measured, metric.id.to_string());
        }
        let Some(ceiling) = &metric.ceiling else { continue };
        let bytes = metric.work.counted_bytes() as f64;
        let rate = match (is_read, operations(metric, ceiling.value)) {
            (true, _) => ceiling.value,
            (false, Some(operations)) if is_kernel(metric) => {
                operations / metric.work.flops as f64 * bytes * 1e3
            }
            _ => continue,
        };
        match ceiling.origin {
            Origin::Measured if ceiling.source.starts_with(prefix) => {
                let source = format!("{}, as measured for {}", ceiling.source, metric.id);
                keep(rate, Origin::Measured, source);
            }
            Origin::Theoretical if is_read => {
                keep(rate, Origin::Theoretical, ceiling.source.clone());
            }
            // A GPU kernel that memory bounds is held against the same formula.
            Origin::Theoretical if ceiling.source.contains("bit") && is_kernel(metric) => {
                keep(rate, Origin::Theoretical, ceiling.source.clone());
            }
            _ => {}
        }
    }
    roofs
}
