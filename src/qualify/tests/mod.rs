//! Made-up hosts in which every verdict and every finding fires.

mod findings;
mod standards;
mod verdicts;

use serde_json::{Value, json};

use super::baseline::Baseline;
use super::floors::Floors;
use super::reference::Reference;
use super::rules::{Judgement, Verdict};
use super::{Qualification, Standards};
use crate::host::HostRecord;
use crate::host::topology::{Device, Node, Package};
use crate::record::fixture::{bench, host, ok, run};
use crate::record::store::Run;
use crate::record::{Cache, MetricRecord};

const GPU: &str = "0000:c1:00.0";
const READ: &str = "vram/read/gpu0";

/// A GPU of this `vendor:device`.
fn gpu(id: &str) -> Device {
    Device {
        bdf: GPU.into(),
        kind: "gpu".into(),
        id: id.into(),
        name: None,
        os_names: Vec::new(),
        node: Some(0),
        cpus: vec![0],
        upstream: Vec::new(),
        link_gb_per_second: None,
    }
}

/// An NVMe drive on node `node`.
fn drive(node: usize) -> Device {
    Device {
        bdf: "0000:02:00.0".into(),
        kind: "nvme".into(),
        id: "144d:a80a".into(),
        os_names: vec!["nvme0n1".into()],
        node: Some(node),
        ..gpu("")
    }
}

fn link(speed: &str, width: u32) -> Value {
    json!({"bdf": GPU, "speed": format!("{speed} GT/s PCIe"), "width": width})
}

/// A sound host of one Sapphire Rapids, fully populated, and one H100 SXM5, with `fields` on top.
fn sound(fields: &[(&str, Value)]) -> HostRecord {
    let path = format!("pci.{GPU}.path_capability");
    let (current, bars) = (format!("pci.{GPU}.path_current"), format!("pci.{GPU}.bar_bytes"));
    let mut all = vec![
        ("cpu.vendor", json!("GenuineIntel")),
        ("cpu.family", json!(6)),
        ("cpu.model", json!(143)),
        (&path, link("32.0", 16)),
        (&current, link("2.5", 16)),
        (&bars, json!([16 << 20, 0, 1u64 << 37])),
    ];
    let dimms: Vec<(String, Value)> = (0..8)
        .flat_map(|i| {
            let at = |name: &str| format!("memory.dimm.{i}.{name}");
            [
                (at("locator"), json!(format!("A{i}"))),
                (at("bank_locator"), json!(format!("P0 CHANNEL {i}"))),
                (at("speed_mts"), json!(4800)),
                (at("configured_speed_mts"), json!(4800)),
            ]
        })
        .collect();
    all.extend(dimms.iter().map(|(name, value)| (name.as_str(), value.clone())));
    all.push(("memory.edac.channels", json!(8)));
    all.extend(fields.iter().cloned());
    let mut host = host(&all);
    host.topology.devices = vec![gpu("10de:2330")];
    host
}

/// What NVML tells of a sound GPU, with `state` and `under_load` on top.
fn on_gpu(
    mut metric: MetricRecord,
    state: &[(&str, Value)],
    under_load: &[(&str, Value)],
) -> MetricRecord {
    let range = |value: f64| json!({"min": value, "max": value});
    let mut gpu =
        json!({"power_limit_w": 700.0, "ecc_uncorrected_since_boot": 0, "remapped_rows_failed": 0});
    let mut load = json!({
        "pcie_generation": range(5.0), "pcie_lanes": range(16.0), "power_w": range(690.0),
        "utilization_percent": range(100.0), "throttle_reasons": ["power cap"],
    });
    state.iter().for_each(|(name, value)| gpu[*name] = value.clone());
    under_load.iter().for_each(|(name, value)| load[*name] = value.clone());
    metric.kernel_path = "cuda/sm_90a/test".into();
    metric.conditions.insert("after".into(), json!({"gpu": gpu}));
    metric.details.insert("gpu_under_load".into(), load);
    metric
}

/// One sound metric of every part that is judged, with `change` made to each.
fn metrics(change: impl Fn(MetricRecord) -> MetricRecord) -> Vec<MetricRecord> {
    let gpu = |name: &str, value: f64| on_gpu(ok(name, value), &[], &[]);
    let all = [
        ok("dram/read/all-cores", 260.0),
        gpu("compute/peak/gpu0/bf16", 890.0),
        gpu("gemm/gpu0/bf16/m8192n8192k8192", 790.0),
        gpu(READ, 3100.0),
        gpu("pcie/h2d/pinned/gpu0/node-local/256MiB", 54.0),
    ];
    all.into_iter().map(change).collect()
}

fn measured(host: HostRecord, metrics: Vec<MetricRecord>) -> Run {
    Run { host: Some(host), ..run(vec![bench("all", metrics)]) }
}

fn standards() -> Standards {
    Standards {
        reference: Reference::built_in().unwrap(),
        baseline: None,
        floors: Floors::default(),
    }
}

fn qualify(host: HostRecord, metrics: Vec<MetricRecord>) -> Qualification {
    Qualification::new(&[measured(host, metrics)], &standards()).unwrap()
}

/// The qualification of a sound host, of whose metric `id` this is made.
fn with(id: &str, change: impl Fn(MetricRecord) -> MetricRecord) -> Qualification {
    qualify(sound(&[]), metrics(|m| if m.id.as_str() == id { change(m) } else { m }))
}

/// What became of the metric `id`.
fn judged<'a>(qualification: &'a Qualification, id: &str) -> &'a Judgement {
    qualification.judgements.iter().find(|j| j.id.as_str() == id).unwrap()
}

/// `metric` with the median `value`.
fn of_value(mut metric: MetricRecord, value: f64) -> MetricRecord {
    if let Some(summary) = &mut metric.summary {
        summary.median = value;
    }
    metric
}

/// As [`with`]: the verdict of the metric and of the host, which must be the same, and the reason.
fn verdict(id: &str, change: impl Fn(MetricRecord) -> MetricRecord) -> (Verdict, String) {
    let qualification = with(id, change);
    let judgement = judged(&qualification, id);
    assert_eq!(qualification.verdict, judgement.verdict, "{qualification:?}");
    (judgement.verdict, judgement.reason.clone())
}
