//! Made-up records for the tests of reports.

use std::collections::BTreeMap;

use crate::record::bench::Tool;
use crate::record::store::Run;
use crate::record::{
    BenchRecord, Cache, Ceiling, Interval, MetricId, MetricRecord, Origin, Part, Placement, SCHEMA,
    State, Stop, Summary, Unit, Work,
};

/// An ok metric of `value` +- 1 %; part and unit follow from the first segment of its name.
pub fn ok(name: &str, value: f64) -> MetricRecord {
    let (part, unit) = match name.split('/').next().unwrap_or_default() {
        "dram" if name.contains("latency") => (Part::Dram, Unit::Nanoseconds),
        "dram" => (Part::Dram, Unit::GigaBytes),
        "storage" => (Part::Storage, Unit::GigaBytes),
        "vram" => (Part::Vram, Unit::GigaBytes),
        "pcie" => (Part::Pcie, Unit::GigaBytes),
        _ if name.contains("int8") => (Part::Compute, Unit::TeraOps),
        _ => (Part::Compute, Unit::TeraFlops),
    };
    let (low, high) = (value * 0.99, value * 1.01);
    MetricRecord {
        id: MetricId::new([name]),
        part,
        unit,
        direction: unit.direction(),
        work: Work { flops: 1_000_000_000, bytes_read: 1_000_000_000, ..Work::default() },
        kernel_path: "cpu/avx2".into(),
        cache: Cache::Cold,
        state: State::Ok,
        reason: None,
        ceiling: None,
        samples: vec![1e-3 / value; 20],
        batch: 1,
        warm_up_iterations: 3,
        stop: Some(Stop::NoiseTarget),
        summary: Some(Summary {
            samples: 20,
            median: value,
            q1: low,
            q3: high,
            min: low,
            max: high,
            median_ci95: Some(Interval { low, high }),
        }),
        error_over_tolerance: Some(0.2),
        placement: Placement::default(),
        conditions: BTreeMap::new(),
        details: BTreeMap::new(),
        unknown: BTreeMap::new(),
    }
}

/// `metric` with a ceiling.
pub fn below(metric: MetricRecord, value: f64, origin: Origin, source: &str) -> MetricRecord {
    MetricRecord { ceiling: Some(Ceiling { value, origin, source: source.into() }), ..metric }
}

/// `metric` in `state` for `reason`.
pub fn in_state(metric: MetricRecord, state: State, reason: &str) -> MetricRecord {
    MetricRecord { state, reason: Some(reason.into()), ..metric }
}

/// A metric that could not run.
pub fn skipped(name: &str, cause: &str) -> MetricRecord {
    let metric = in_state(ok(name, 1.0), State::Skipped, cause);
    MetricRecord {
        summary: None,
        samples: Vec::new(),
        kernel_path: String::new(),
        cache: Cache::NotApplicable,
        stop: None,
        error_over_tolerance: None,
        ..metric
    }
}

/// A bench that reached its end.
pub fn bench(name: &str, metrics: Vec<MetricRecord>) -> BenchRecord {
    BenchRecord {
        schema: SCHEMA,
        tool: Tool::current(),
        bench: name.into(),
        run: "2026-11-24T03-20-11Z-nps1".into(),
        label: Some("nps1".into()),
        profile: "standard".into(),
        boot_id: Some("b".into()),
        pid: 1,
        started: "2026-11-24T03:20:11Z".into(),
        updated: "2026-11-24T03:24:00Z".into(),
        complete: true,
        metrics,
        unknown: BTreeMap::new(),
    }
}

/// A run of `benches` without a host record.
pub fn run(benches: Vec<BenchRecord>) -> Run {
    Run {
        name: "2026-11-24T03-20-11Z-nps1".into(),
        path: "results/runs/2026-11-24T03-20-11Z-nps1".into(),
        host: None,
        benches,
        problems: Vec::new(),
    }
}
