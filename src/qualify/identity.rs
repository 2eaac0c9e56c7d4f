//! What the parts of a host are, by what the bus and the CPU say of themselves: PCI ids, family and model, power limit.
//! Marketing names are for people.

use std::collections::BTreeMap;

use super::reference::{Cpu, Gpu, Reference};
use super::seen;
use crate::host::topology::Device;
use crate::host::{Environment, HostRecord};
use crate::record::MetricRecord;

/// PCI vendor id of NVIDIA, as the topology writes it.
const NVIDIA: &str = "10de:";

/// Why the reference can't be used for a part.
pub type Unknown = String;

/// The host's NVIDIA GPUs.
pub fn gpus(host: &HostRecord) -> Vec<&Device> {
    host.topology.devices.iter().filter(|d| d.kind == "gpu" && d.id.starts_with(NVIDIA)).collect()
}

/// Whether a metric was taken on a GPU: one of its segments is `gpuN`.
pub fn on_gpu(metric: &MetricRecord) -> bool {
    let mut segments = metric.id.as_str().split('/');
    segments.any(|s| s.strip_prefix("gpu").is_some_and(|n| n.parse::<u32>().is_ok()))
}

/// The device behind `gpuN` in a metric's name. CUDA numbers GPUs in an order of its own, so the address that was
/// recorded decides; without one, and with several models on the host, the model that was.
///
/// # Errors
/// No GPU is on the bus, or it can't be told which one it is.
pub fn device<'a>(host: &'a HostRecord, metric: &MetricRecord) -> Result<&'a Device, Unknown> {
    let gpus = gpus(host);
    let first = *gpus.first().ok_or("no NVIDIA GPU is in host.json's topology")?;
    if let Some(address) = seen::state(metric, "pci_address").and_then(|value| value.as_str()) {
        // NVML writes the domain with eight digits.
        let address = address.to_ascii_lowercase();
        let same = |gpu: &&&Device| address.ends_with(&gpu.bdf.to_ascii_lowercase());
        return gpus.iter().find(same).copied().ok_or_else(|| {
            format!("the GPU at {address} that was measured is not in host.json's topology")
        });
    }
    if gpus.iter().all(|gpu| gpu.id == first.id) {
        return Ok(first);
    }
    let recorded = metric.details.get("device").and_then(|name| name.as_str());
    let named: Vec<&Device> = gpus
        .into_iter()
        .filter(|gpu| {
            let model = host.environment.text(&format!("nvidia.{}.model", gpu.bdf));
            model.is_some_and(|model| {
                recorded == Some(model) || metric.kernel_path.ends_with(&format!("/{model}"))
            })
        })
        .collect();
    match named.as_slice() {
        [one, rest @ ..] if rest.iter().all(|gpu| gpu.id == one.id) => Ok(one),
        _ => {
            Err("the host has GPUs of several kinds, and which one was measured is not recorded"
                .into())
        }
    }
}

/// The reference's entry for `device`.
///
/// # Errors
/// It is not in the reference: what to do about it.
pub fn gpu<'a>(reference: &'a Reference, device: &Device) -> Result<&'a Gpu, Unknown> {
    reference.gpu(&device.id).ok_or_else(|| {
        format!(
            "GPU {} is not in the reference: record its figures with `hostdyno baseline make RUN... --save FILE` and \
             qualify with --baseline FILE",
            device.id
        )
    })
}

/// A power limit within this share of the reference's is the same.
const SAME_POWER: f64 = 0.02;

/// Why a GPU may do less than the figures of `gpu` say, by its power limit; `None` where the limit is theirs.
pub fn limited(gpu: &Gpu, metric: &MetricRecord) -> Option<String> {
    let figures = gpu.power_w;
    match seen::number(metric, "power_limit_w") {
        None => Some(format!(
            "the figure is for {figures} W, and this GPU's power limit was not recorded"
        )),
        Some(limit) if limit < figures * (1.0 - SAME_POWER) => {
            Some(format!("the figure is for {figures} W, this GPU is limited to {limit:.0} W"))
        }
        Some(_) => None,
    }
}

/// The reference's entry for the CPU.
pub fn cpu<'a>(reference: &'a Reference, env: &Environment) -> Option<&'a Cpu> {
    reference.cpu(env.text("cpu.vendor")?, env.number("cpu.family")?, env.number("cpu.model")?)
}

/// What a host is made of, for comparing hosts: CPU and packages, GPUs by PCI id.
pub fn parts(host: &HostRecord) -> BTreeMap<String, String> {
    let env = &host.environment;
    let text =
        |name: &str| env.get(name).filter(|f| !f.value.is_null()).map(|f| f.value.to_string());
    let cpu = ["cpu.vendor", "cpu.family", "cpu.model", "cpu.packages"];
    let mut parts: BTreeMap<String, String> =
        cpu.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
    let mut ids: Vec<&str> = gpus(host).into_iter().map(|gpu| gpu.id.as_str()).collect();
    ids.sort_unstable();
    parts.insert("gpus".into(), ids.join(" "));
    parts
}
