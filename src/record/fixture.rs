//! Made-up records for tests.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::host::{HostRecord, Root};
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

/// A host of 8 CPUs, one node, idle, with nothing wrong, and `fields` on top.
pub fn host(fields: &[(&str, Value)]) -> HostRecord {
    let mut environment: Map<String, Value> = Map::new();
    let usual = [
        ("cpu.online", json!("0-7")),
        ("cpu.model_name", json!("AMD EPYC 9354 32-Core Processor")),
        ("cpu.packages", json!(1)),
        ("cpu.cores", json!(8)),
        ("cpu.smt.active", json!(false)),
        ("memory.total_kib", json!(24 << 20)),
        ("numa.has_memory", json!("0")),
        ("kernel.release", json!("6.8.0")),
        ("kernel.thp.enabled", json!("madvise")),
        ("kernel.clocksource.current", json!("tsc")),
        ("vm.cpu_flag", json!(false)),
        ("numa.balancing", json!(1)),
        ("vm.zone_reclaim_mode", json!(0)),
        ("load.average", json!([0.2, 0.1, 0.1])),
    ];
    for (name, value) in usual.iter().chain(fields) {
        let status = if value.is_null() { "absent" } else { "ok" };
        let field = json!({"value": value, "source": "test", "status": status, "class": "kernel"});
        environment.insert((*name).to_owned(), field);
    }
    let mut record = serde_json::to_value(HostRecord::read(&Root::at("/nonexistent"))).unwrap();
    record["environment"] = environment.into();
    serde_json::from_value(record).unwrap()
}
