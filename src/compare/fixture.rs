//! Made-up groups of runs for the tests of comparisons.

use serde_json::Value;

use super::group::Group;
use crate::record::MetricRecord;
use crate::record::fixture;
use crate::record::store::Run;

/// Samples of one process that scatter by a tenth of a percent, in no order.
pub fn steady(metric: MetricRecord) -> MetricRecord {
    let Some(&level) = metric.samples.first() else { return metric };
    let samples = (0..20).map(|i| level * (1.0 + 1e-4 * f64::from(i * 7 % 20 - 10))).collect();
    MetricRecord { samples, ..metric }
}

/// One run: its name (unique in a test), its boot, its environment and its metrics.
pub fn run(name: &str, boot: &str, fields: &[(&str, Value)], metrics: Vec<MetricRecord>) -> Run {
    Run { host: Some(fixture::host(fields)), ..bare(name, boot, metrics) }
}

/// As [`run`], of a host of which nothing is known.
pub fn bare(name: &str, boot: &str, metrics: Vec<MetricRecord>) -> Run {
    let mut bench = fixture::bench("dram", metrics.into_iter().map(steady).collect());
    bench.boot_id = Some(boot.into());
    bench.started = format!("2026-11-24T{name}");
    bench.label = None;
    Run { name: name.into(), path: name.into(), ..fixture::run(vec![bench]) }
}

/// A group of one metric, `name`: one run of one process for each of `values`, each a boot of its own.
pub fn boots(side: &str, name: &str, values: &[f64]) -> Group {
    let runs = values.iter().enumerate().map(|(i, value)| {
        let boot = format!("{side}-boot{i}");
        run(&format!("{side}{i}"), &boot, &[], vec![fixture::ok(name, *value)])
    });
    Group::new(side, runs.collect()).unwrap()
}

/// As [`boots`], all in one boot, which every such group shares.
pub fn processes(side: &str, name: &str, values: &[f64]) -> Group {
    let mut group = boots(side, name, values);
    for run in &mut group.runs {
        run.benches[0].boot_id = Some("the one boot".into());
    }
    group
}
