//! Curves of metrics that differ in a size: latency over the bytes walked, bandwidth over the bytes copied.

use serde_json::Value;

use super::Spot;
use crate::record::{Interval, MetricRecord, Unit};
use crate::report::model::Row;

/// Curves that share their axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// The curves; none when the run has nothing to draw.
    pub curves: Vec<Curve>,
    /// Why there is none.
    pub missing: String,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it is.
    pub name: String,
    /// Its places, by `x`.
    pub spots: Vec<Spot>,
}

impl Plot {
    fn new(
        curves: Vec<Curve>,
        metrics: &[&MetricRecord],
        what: &str,
        like: fn(&str) -> bool,
    ) -> Self {
        let missing = if curves.is_empty() {
            let of_it: Vec<_> = metrics.iter().filter(|m| like(m.id.as_str())).collect();
            match of_it.iter().find_map(|m| m.reason.as_deref()) {
                Some(cause) => format!("{what}: {cause}."),
                None => format!("{what}: not measured in this run."),
            }
        } else {
            String::new()
        };
        Self { curves, missing }
    }

    /// Latency of dependent loads over the bytes that they wander through, host and device apart by name.
    pub fn latency(metrics: &[&MetricRecord]) -> Self {
        let mut curves: Vec<Curve> = Vec::new();
        for metric in metrics.iter().filter(|m| m.unit == Unit::Nanoseconds) {
            let Some(bytes) = number(metric.details.get("bytes")).filter(|b| *b > 0.0) else {
                continue;
            };
            let Some(spot) = spot(metric, bytes) else { continue };
            add(&mut curves, walk(metric.id.as_str()), spot);
        }
        Self::new(sorted(curves), metrics, "Latency by size", |id| id.contains("/latency/"))
    }

    /// Bandwidth of copies between host and device over their size.
    pub fn copies(metrics: &[&MetricRecord]) -> Self {
        let mut curves = Vec::new();
        let rates = metrics.iter().filter(|m| m.unit == Unit::GigaBytes);
        for metric in rates.filter(|m| m.id.as_str().starts_with("pcie/")) {
            let bytes = metric.work.counted_bytes() as f64;
            let Some(spot) = spot(metric, bytes).filter(|spot| spot.x > 0.0) else { continue };
            let name = metric.id.as_str().trim_start_matches("pcie/");
            let name = name.rsplit_once('/').map_or(name, |(path, _size)| path);
            add(&mut curves, name.to_owned(), spot);
        }
        Self::new(sorted(curves), metrics, "Copies by size", |id| id.starts_with("pcie/"))
    }
}

/// What walks alike: the caches and memory in huge pages are one curve; other page sizes are curves of their own.
fn walk(id: &str) -> String {
    match id.split('/').collect::<Vec<_>>().as_slice() {
        ["dram", "latency", "cached", _] | ["dram", "latency", "random", "thp"] => {
            "host, huge pages".to_owned()
        }
        ["dram", "latency", "random", pages] => format!("host, {pages} pages"),
        ["dram", "latency", role] => format!("host, {role}"),
        _ => id.rsplit_once('/').map_or(id, |(path, _)| path).to_owned(),
    }
}

/// The place of a metric at `x`; `None` where its median must not be used.
fn spot(metric: &MetricRecord, x: f64) -> Option<Spot> {
    let row = Row::new(metric);
    let summary = row.summary.as_ref().filter(|_| row.usable())?;
    let (y, interval): (f64, Option<Interval>) = (summary.median, summary.median_ci95);
    let name = metric.id.to_string();
    (y.is_finite() && y > 0.0).then_some(Spot { name, x, y, interval, state: metric.state })
}

fn number(value: Option<&Value>) -> Option<f64> {
    value?.as_f64().filter(|number| number.is_finite())
}

fn add(curves: &mut Vec<Curve>, name: String, spot: Spot) {
    match curves.iter_mut().find(|curve| curve.name == name) {
        Some(curve) => curve.spots.push(spot),
        None => curves.push(Curve { name, spots: vec![spot] }),
    }
}

fn sorted(mut curves: Vec<Curve>) -> Vec<Curve> {
    for curve in &mut curves {
        curve.spots.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    curves
}
