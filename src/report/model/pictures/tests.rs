//! What is drawn of made-up runs, against figures worked out by hand.

use serde_json::json;

use super::*;
use crate::record::{MetricRecord, Origin, Unit, Work};
use crate::report::fixture::{below, bench, in_state, ok, run, skipped};

fn pictures(metrics: Vec<MetricRecord>) -> Pictures {
    Pictures::new(&run(vec![bench("x", metrics)]))
}

fn working(metric: MetricRecord, flops: u64, bytes: u64) -> MetricRecord {
    MetricRecord { work: Work { flops, bytes_read: bytes, ..Work::default() }, ..metric }
}

fn detailed(mut metric: MetricRecord, name: &str, value: serde_json::Value) -> MetricRecord {
    metric.details.insert(name.into(), value);
    metric
}

#[test]
fn a_kernel_lies_where_its_work_and_its_time_put_it() {
    let streaming = MetricRecord { unit: Unit::GigaBytes, ..ok("gemm/cpu/fp8/m1n8", 30.0) };
    let metrics = vec![
        working(ok("gemm/cpu/bf16/m64", 0.4), 6400, 100),
        working(streaming, 200, 100),
        working(ok("gemm/gpu1/int8/m64", 90.0), 6400, 100),
    ];
    let lines = pictures(metrics).rooflines;
    assert_eq!(lines.iter().map(|l| l.device).collect::<Vec<_>>(), [Device::Cpu, Device::Gpu(1)]);
    let spots: Vec<_> = lines[0].kernels.iter().map(|k| (k.format.as_str(), &k.spot)).collect();
    assert_eq!((spots[0].0, spots[0].1.x, spots[1].0, spots[1].1.x), ("fp8", 2.0, "bf16", 64.0));
    // 30 GB/s with two operations a byte are 60e9 operations a second; its interval scales alike.
    assert!((spots[0].1.y - 0.06).abs() < 1e-12 && (spots[1].1.y - 0.4).abs() < 1e-12);
    let interval = spots[0].1.interval.unwrap();
    assert!((interval.low - 0.0594).abs() < 1e-9 && (interval.high - 0.0606).abs() < 1e-9);
}

#[test]
fn roofs_are_the_best_that_this_run_measured() {
    let kernel = working(ok("gemm/cpu/bf16/m64", 0.4), 6400, 100);
    let metrics = vec![
        below(kernel.clone(), 0.5, Origin::Measured, "compute/peak/bf16/all-cores"),
        working(ok("compute/peak/bf16/all-cores", 0.45), 100, 0),
        working(ok("compute/peak/int8/all-cores", 0.9), 100, 0),
        in_state(working(ok("compute/peak/f32/all-cores", 9.0), 100, 0), State::Invalid, "wrong"),
        below(ok("dram/read/all-cores", 40.0), 80.0, Origin::Theoretical, "2 x 8 B x 5000 MT/s"),
        // 64 operations a byte: 3.2e12 operations a second are 50 GB/s.
        below(kernel, 3.2, Origin::Measured, "dram/read/all-cores: best of 9 passes"),
    ];
    let line = &pictures(metrics).rooflines[0];
    let compute: Vec<_> = line.compute.iter().map(|r| (r.name.as_str(), r.value)).collect();
    assert_eq!(compute, [("int8", 0.9), ("bf16", 0.5)]);
    let memory: Vec<_> = line.memory.iter().map(|r| (r.origin, r.value.round())).collect();
    assert_eq!(memory, [(Origin::Measured, 50.0), (Origin::Theoretical, 80.0)]);
}

#[test]
fn what_has_no_figure_is_named_and_not_drawn() {
    let wrong = in_state(ok("gemm/cpu/bf16/m1", 7.0), State::Invalid, "differs at 7");
    let metrics = vec![
        working(wrong, 10, 10),
        working(ok("gemm/cpu/int8/m1", f64::NAN), 10, 10),
        working(ok("gemm/cpu/mxfp4/m1", -3.0), 10, 10),
        skipped("gemm/gpu0/bf16/m1", "no NVIDIA GPU"),
    ];
    let lines = pictures(metrics).rooflines;
    assert_eq!(lines.len(), 1, "a GPU without figures has no roofline");
    assert!(lines[0].kernels.is_empty());
    let why: Vec<&str> = lines[0].left_out.iter().map(|left| left.why.as_str()).collect();
    let absurd = "its figures make no sense";
    assert_eq!(why, ["invalid: differs at 7", absurd, absurd]);
}

#[test]
fn latency_is_a_curve_for_each_kind_of_page() {
    let at = |name: &str, ns, bytes: u64| detailed(ok(name, ns), "bytes", json!(bytes));
    let metrics = vec![
        at("dram/latency/random/thp", 110.0, 1 << 28),
        at("dram/latency/random/4k", 190.0, 1 << 28),
        at("dram/latency/cached/l1", 1.2, 1 << 14),
        detailed(ok("dram/latency/random/2m", 1.0), "bytes", json!("many")),
    ];
    let plot = pictures(metrics).latency;
    let curves: Vec<_> = plot
        .curves
        .iter()
        .map(|c| (c.name.as_str(), c.spots.iter().map(|s| s.y).collect::<Vec<_>>()))
        .collect();
    assert_eq!(curves, [("host, huge pages", vec![1.2, 110.0]), ("host, 4k pages", vec![190.0])]);
}

#[test]
fn a_figure_that_is_missing_says_why() {
    let none = pictures(vec![]);
    assert_eq!(none.copies.missing, "Copies by size: not measured in this run.");
    let cause = skipped("pcie/h2d/pinned/gpu0/first-touch/4KiB", "no NVIDIA GPU");
    assert_eq!(pictures(vec![cause]).copies.missing, "Copies by size: no NVIDIA GPU.");
}

#[test]
fn copies_are_a_curve_for_all_that_is_alike_but_the_size() {
    let copy = |name: &str, gb, bytes| working(ok(name, gb), 0, bytes);
    let metrics = vec![
        copy("pcie/h2d/pinned/gpu0/first-touch/256MiB", 54.0, 1 << 28),
        copy("pcie/h2d/pinned/gpu0/first-touch/4KiB", 2.0, 1 << 12),
        copy("pcie/d2h/pinned/gpu0/first-touch/256MiB", 55.0, 1 << 28),
    ];
    let curves = pictures(metrics).copies.curves;
    assert_eq!(curves[0].name, "h2d/pinned/gpu0/first-touch");
    assert_eq!(curves[0].spots.iter().map(|s| s.y).collect::<Vec<_>>(), [2.0, 54.0]);
    assert_eq!(curves.len(), 2);
}

#[test]
fn a_load_has_its_stages_and_its_median_time() {
    let load = detailed(ok("storage/load/pipelined", 2.0), "stage_read_s", json!(0.4));
    let load = detailed(load, "stage_copy_s", json!(0.1));
    let load = MetricRecord { samples: vec![0.5, 0.3, 0.4, f64::NAN], ..load };
    let loads = pictures(vec![load, ok("storage/load/mmap", 2.0)]).loads;
    assert_eq!(loads.len(), 1, "without stages there is nothing to draw");
    assert_eq!(loads[0].seconds, 0.4);
    let stages: Vec<_> = loads[0].stages.iter().map(|s| (s.name, s.seconds)).collect();
    assert_eq!(stages, [("read", 0.4), ("copy into place", 0.1)]);
}
