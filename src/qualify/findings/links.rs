//! PCIe links below what they could be, and devices that are far from where their data is.

use super::{Facts, Said};
use crate::host::list;
use crate::host::topology::Device;
use crate::qualify::identity;
use crate::qualify::platform::{gt_per_second, path};
use crate::qualify::rules::Verdict;
use crate::qualify::seen;

/// GT/s of each PCIe generation, from the first on (PCI Express Base Specification).
const GENERATIONS: [f64; 6] = [2.5, 5.0, 8.0, 16.0, 32.0, 64.0];

/// A link negotiated below what its path can do, or a path below what the device can do. An idle GPU lowers its speed,
/// so its speed counts only as it was seen under load; widths never change, and an NVMe drive has no such habit.
pub fn below_maximum(facts: &Facts<'_>) -> Vec<Said> {
    let devices = facts.host.topology.devices.iter();
    let devices = devices.filter(|device| device.kind == "gpu" || device.kind == "nvme");
    devices
        .flat_map(|device| slower(facts, device).into_iter().chain(behind(facts, device)))
        .collect()
}

fn said(device: &Device, what: String, next: &'static str) -> Said {
    (Verdict::Warn, what, format!("sudo lspci -vv -s {}", device.bdf), next)
}

fn slower(facts: &Facts<'_>, device: &Device) -> Option<Said> {
    let most = path(facts.host, &device.bdf, "path_capability")?;
    let seen = under_load(facts, device);
    let now = seen.or(path(facts.host, &device.bdf, "path_current"))?;
    let speed_counts = device.kind == "nvme" || seen.is_some();
    (now.1 < most.1 || (speed_counts && now.0 < most.0)).then(|| {
        let what = format!(
            "the link of {} {} runs at {} GT/s x{}, its path can do {} GT/s x{}",
            device.kind, device.bdf, now.0, now.1, most.0, most.1
        );
        said(
            device,
            what,
            "Compare LnkSta with LnkCap; reseat the card, check risers, cables and bifurcation",
        )
    })
}

/// A device in a slot that is slower than itself, on a CPU that could do more.
fn behind(facts: &Facts<'_>, device: &Device) -> Option<Said> {
    let env = &facts.host.environment;
    let read = env.text(&format!("pci.{}.max_link_speed", device.bdf)).and_then(gt_per_second);
    let known = facts.reference.gpu(&device.id).and_then(|gpu| speed_of(gpu.pcie_generation));
    let own_speed = read.or(known)?;
    let cpu = identity::cpu(facts.reference, env).and_then(|cpu| speed_of(cpu.pcie_generation));
    let possible = cpu.map_or(own_speed, |cpu| own_speed.min(cpu));
    let (speed, width) = path(facts.host, &device.bdf, "path_capability")?;
    let own_width = env.number(&format!("pci.{}.max_link_width", device.bdf)).unwrap_or(width);
    (speed < possible || width < own_width).then(|| {
        let what = format!(
            "{} {} can do {possible} GT/s x{own_width} here, the slot or a bridge above it {speed} GT/s x{width}",
            device.kind, device.bdf
        );
        said(device, what, "Use a slot of its speed and width, or raise the slot's speed in the BIOS")
    })
}

/// GT/s of a PCIe generation.
fn speed_of(generation: u32) -> Option<f64> {
    GENERATIONS.get((generation as usize).checked_sub(1)?).copied()
}

/// Speed and width that NVML saw while the GPU worked; where several metrics looked, the best.
fn under_load(facts: &Facts<'_>, device: &Device) -> Option<(f64, f64)> {
    let own = facts.metrics.iter().filter(|metric| {
        device.kind == "gpu"
            && identity::on_gpu(metric)
            && identity::device(facts.host, metric).is_ok_and(|found| found.bdf == device.bdf)
    });
    let links = own.filter_map(|metric| {
        let generation = seen::most(metric, "pcie_generation")?;
        let speed = speed_of(generation as u32)?;
        Some((speed, seen::most(metric, "pcie_lanes")?))
    });
    links.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
}

/// A drive on another package than every GPU, or a GPU on another one than the CPUs that may be used: every byte
/// crosses between the packages.
pub fn on_remote_package(facts: &Facts<'_>) -> Vec<Said> {
    let topology = &facts.host.topology;
    if topology.packages.len() < 2 {
        return Vec::new();
    }
    let package = |device: &Device| {
        let node = device.node?;
        topology.nodes.iter().find(|n| n.index == node)?.package
    };
    let gpus = identity::gpus(facts.host);
    let with_gpu: Vec<usize> = gpus.iter().filter_map(|gpu| package(gpu)).collect();
    let usable: Vec<usize> = facts
        .host
        .environment
        .text("process.cpus_allowed")
        .and_then(list::parse)
        .unwrap_or_default();
    let with_cpus: Vec<usize> = topology
        .packages
        .iter()
        .filter(|package| package.cpus.iter().any(|cpu| usable.contains(cpu)))
        .map(|package| package.index)
        .collect();
    let drives = topology.devices.iter().filter(|device| device.kind == "nvme");
    let far = |device: &Device, near: &[usize]| {
        package(device).is_some_and(|p| !near.is_empty() && !near.contains(&p))
    };
    let far_drives = drives
        .filter(|drive| far(drive, &with_gpu))
        .map(|drive| format!("drive {} is on a package without a GPU", drive.bdf));
    let far_gpus = gpus.iter().filter(|gpu| far(gpu, &with_cpus)).map(|gpu| {
        format!("GPU {} is on another package than the CPUs that the benches may use", gpu.bdf)
    });
    far_gpus
        .chain(far_drives)
        .map(|what| {
            (
                Verdict::Warn,
                what,
                "hostdyno topology".to_owned(),
                "Move the card to a slot of the other package, or the work to the card's package",
            )
        })
        .collect()
}
