//! What the host around the GPUs should reach: its memory, its links, its drives.

use super::identity;
use super::reference::{Confidence, Cpu, Reference};
use super::yardstick::{Expectation, Yardstick};
use crate::host::HostRecord;
use crate::host::environment::dram_channels;
use crate::host::topology::Device;
use crate::record::MetricRecord;

/// Smallest copy that public figures stand for.
const LARGE_COPY_MIB: u64 = 32;

/// Copies over the link of the metric's GPU: what its path could do, not what it negotiated, for a link below its
/// maximum is what is looked for.
pub fn pcie(
    reference: &Reference,
    host: &HostRecord,
    metric: &MetricRecord,
    size: &str,
) -> Expectation {
    let mib = match (size.strip_suffix("MiB"), size.strip_suffix("GiB")) {
        (Some(mib), _) => mib.parse().unwrap_or(0),
        (_, Some(gib)) => gib.parse::<u64>().map_or(0, |gib| gib << 10),
        _ => 0,
    };
    if mib < LARGE_COPY_MIB {
        return Expectation::None("published figures are of large copies".into());
    }
    let device = match identity::device(host, metric) {
        Ok(device) => device,
        Err(why) => return Expectation::Unknown(why),
    };
    let Some((speed, width)) = path(host, &device.bdf, "path_capability") else {
        return Expectation::Unknown(format!("the link of {} is not readable", device.bdf));
    };
    let Some(link) = reference.links.iter().find(|link| link.gt_s == speed) else {
        return Expectation::Unknown(format!("no reference for links of {speed} GT/s"));
    };
    let source = format!(
        "PCIe {} x{width}: {} ({}; {})",
        link.generation, link.source, link.date, link.conditions
    );
    let roof = link.raw() * width / 16.0;
    Yardstick {
        roof: Some(roof),
        ..Yardstick::new(link.value * width / 16.0, source, link.confidence)
    }
    .into()
}

/// GT/s and lanes of the slowest link between the root port and a device: `path_current`, `path_capability`.
pub fn path(host: &HostRecord, bdf: &str, which: &str) -> Option<(f64, f64)> {
    let value = &host.environment.get(&format!("pci.{bdf}.{which}"))?.value;
    Some((gt_per_second(value.get("speed")?.as_str()?)?, value.get("width")?.as_f64()?))
}

/// `32.0 GT/s PCIe`
pub fn gt_per_second(speed: &str) -> Option<f64> {
    speed.split_whitespace().next()?.parse().ok()
}

/// Reads of all cores: the channels that there are, or those that the CPU should have.
pub fn dram(reference: &Reference, host: &HostRecord, metric: &MetricRecord) -> Expectation {
    let env = &host.environment;
    let threads = metric.details.get("threads").and_then(|threads| threads.as_f64());
    let cores = env.number("cpu.cores");
    if let Some((threads, cores)) = threads.zip(cores).filter(|(threads, cores)| threads < cores) {
        return Expectation::Unknown(format!(
            "{threads} of {cores} cores can't show what the memory does: measure with a thread a core"
        ));
    }
    let known = identity::cpu(reference, env);
    match (known, dram_channels(env)) {
        // Modules that are missing or slow are a finding; here the modules that there are decide.
        (Some(cpu), Ok(dram)) => {
            let theoretical = dram.gb_per_second();
            let source = format!(
                "{} of {} channels x 8 B x {} MT/s = {theoretical:.0} GB/s; {} ({}; {})",
                percent(cpu.read_share),
                dram.channels,
                dram.mts,
                cpu.source,
                cpu.date,
                cpu.conditions
            );
            Yardstick {
                roof: Some(theoretical),
                ..Yardstick::new(theoretical * cpu.read_share, source, cpu.confidence)
            }
            .into()
        }
        _ if env.flag("vm.cpu_flag") == Some(true) => Expectation::Unknown(
            "a guest does not see the memory channels behind it: give a floor (--floors FILE)"
                .into(),
        ),
        (None, _) => Expectation::Unknown(format!(
            "CPU {} is not in the reference: give a floor (--floors FILE)",
            env.text("cpu.model_name").unwrap_or("of unknown model")
        )),
        (Some(cpu), Err(why)) => match env.number("cpu.packages") {
            Some(packages) => {
                let source = format!(
                    "{} of {packages} x {} channels x 8 B x {} MT/s rated for {}, for the modules are not readable \
                     ({why}); {}",
                    percent(cpu.read_share),
                    cpu.channels,
                    cpu.mts,
                    cpu.name,
                    cpu.source
                );
                // Which modules there are is not known, so nothing is decided on them.
                let value = rated(cpu, packages) * cpu.read_share;
                Yardstick {
                    disputed: cpu.disputed.clone(),
                    ..Yardstick::new(value, source, Confidence::Low)
                }
                .into()
            }
            None => Expectation::Unknown(format!("{why}: give a floor (--floors FILE)")),
        },
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// GB/s of `packages` fully populated sockets.
pub fn rated(cpu: &Cpu, packages: f64) -> f64 {
    packages * f64::from(cpu.channels) * 8.0 * f64::from(cpu.mts) / 1e3
}

/// Shares of what vendors specify for a drive alone, below which a load through a file system is a warning, and fails.
const OF_DRIVE: [f64; 2] = [0.70, 0.50];

/// Loading from one NVMe drive.
pub fn storage(reference: &Reference, host: &HostRecord, metric: &MetricRecord) -> Expectation {
    let drive = match drive(host, metric) {
        Ok(drive) => drive,
        Err(why) => return Expectation::None(why),
    };
    let class = path(host, &drive.bdf, "path_capability").and_then(|(speed, width)| {
        let class = reference.drives.iter().find(|d| d.gt_s == speed)?;
        (width == 4.0).then_some(class)
    });
    let Some(class) = class else {
        return Expectation::Unknown(format!("no reference for the link of {}", drive.bdf));
    };
    let source =
        format!("NVMe on {}: {} ({}; {})", class.name, class.source, class.date, class.conditions);
    let [warn, fail] = OF_DRIVE;
    Yardstick {
        warn,
        fail,
        roof: Some(class.raw()),
        ..Yardstick::new(class.value, source, class.confidence)
    }
    .into()
}

/// The NVMe drive that the model lay on.
fn drive<'a>(host: &'a HostRecord, metric: &MetricRecord) -> Result<&'a Device, String> {
    let floor = "give a floor (--floors FILE)";
    let disk = metric.details.get("device").and_then(|device| device.get("device")?.as_str());
    let disk = disk.ok_or_else(|| format!("which drive was read is not recorded: {floor}"))?;
    // nvme0n1 is a namespace of the controller nvme0.
    let mut devices = host.topology.devices.iter().filter(|device| device.kind == "nvme");
    let found = devices.find(|device| {
        device.os_names.iter().any(|name| {
            name == disk
                || disk.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('n'))
        })
    });
    found.ok_or_else(|| format!("{disk} is no single NVMe drive: {floor}"))
}
