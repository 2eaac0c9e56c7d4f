//! PCIe devices that inference uses: GPUs, accelerators, NVMe drives, network cards; their links up to the root port.

use std::path::Path;

use serde_json::{Value, json};

use super::super::root::{Reading, Root};
use super::Class;
use super::collector::Collector;

const DEVICES: &str = "/sys/bus/pci/devices";

pub fn collect(c: &mut Collector<'_>) {
    iommu(c);
    nvidia(c);
    for bdf in c.root.names(DEVICES) {
        let class = c.root.read(&format!("{DEVICES}/{bdf}/class")).text();
        if class.is_some_and(|class| of_interest(&class)) {
            device(c, &bdf);
        }
    }
}

/// Mass storage, network, display and processing accelerators, by the PCI base class.
fn of_interest(class: &str) -> bool {
    ["0x01", "0x02", "0x03", "0x12"].iter().any(|base| class.starts_with(base))
}

fn device(c: &mut Collector<'_>, bdf: &str) {
    let at = format!("{DEVICES}/{bdf}");
    let name = |field: &str| format!("pci.{bdf}.{field}");
    for file in ["class", "vendor", "device", "subsystem_vendor", "subsystem_device", "revision"] {
        c.number(&name(file), &format!("{at}/{file}"), Class::Identity);
    }
    c.number(&name("numa_node"), &format!("{at}/numa_node"), Class::Bios);
    c.list(&name("local_cpulist"), &format!("{at}/local_cpulist"), Class::Bios);
    c.text(&name("max_link_speed"), &format!("{at}/max_link_speed"), Class::Identity);
    c.number(&name("max_link_width"), &format!("{at}/max_link_width"), Class::Identity);
    // The current speed drops when the device is idle.
    c.text(&name("current_link_speed"), &format!("{at}/current_link_speed"), Class::Volatile);
    c.number(&name("current_link_width"), &format!("{at}/current_link_width"), Class::Volatile);
    c.text(&name("power.control"), &format!("{at}/power/control"), Class::Kernel);
    c.text(&name("power.runtime_status"), &format!("{at}/power/runtime_status"), Class::Volatile);
    c.flag(&name("d3cold_allowed"), &format!("{at}/d3cold_allowed"), Class::Kernel);
    for state in ["l0s_aspm", "l1_aspm", "l1_1_aspm", "l1_2_aspm", "clkpm"] {
        c.flag(&name(&format!("link.{state}")), &format!("{at}/link/{state}"), Class::Bios);
    }
    c.parsed(
        &name("correctable_errors"),
        &format!("{at}/aer_dev_correctable"),
        Class::Volatile,
        |text| {
            let total = text.lines().find_map(|line| line.strip_prefix("TOTAL_ERR_COR "))?;
            total.trim().parse::<u64>().ok().map(Value::from)
        },
    );
    c.parsed(&name("bar_bytes"), &format!("{at}/resource"), Class::Bios, |text| {
        bars(text).map(Value::from)
    });
    for bar in 0..6 {
        let file = format!("{at}/resource{bar}_resize");
        if c.root.exists(&file) {
            let sizes = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
            c.parsed(
                &name(&format!("bar{bar}_resizable_bitmap")),
                &file,
                Class::Identity,
                |text| sizes(text).map(Value::from),
            );
        }
    }
    match std::fs::read_link(c.root.join(&format!("{at}/driver"))) {
        Ok(target) => {
            c.put(&name("driver"), file_name(&target), &format!("{at}/driver"), Class::Runtime)
        }
        Err(_) => c.absent(&name("driver"), &format!("{at}/driver"), Class::Runtime),
    }
    c.parsed(&name("iommu_group_type"), &format!("{at}/iommu_group/type"), Class::Kernel, |text| {
        Some(text.into())
    });
    links(c, bdf);
    device_control(c, bdf);
}

/// Sizes of BAR 0 to 5: the first six lines of `start end flags`.
fn bars(text: &str) -> Option<Vec<u64>> {
    let hex = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    text.lines()
        .take(6)
        .map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = (hex(words.next()?)?, hex(words.next()?)?);
            if end == 0 { Some(0) } else { end.checked_sub(start)?.checked_add(1) }
        })
        .collect()
}

/// The links from the root port down to the device: the slowest decides, and it need not be the device's own.
fn links(c: &mut Collector<'_>, bdf: &str) {
    let source = format!("{DEVICES}/{bdf} and its upstream bridges");
    let (path, slowest, capability) = (
        format!("pci.{bdf}.upstream"),
        format!("pci.{bdf}.path_current"),
        format!("pci.{bdf}.path_capability"),
    );
    let hops = upstream(c.root, bdf);
    c.put(&path, Value::from(hops.clone()), &source, Class::Bios);
    let slowest_of = |kind: &str| {
        let hops = hops.iter().map(String::as_str).chain([bdf]);
        let links = hops.filter_map(|hop| {
            let read =
                |file: &str| c.root.read(&format!("{DEVICES}/{hop}/{kind}_link_{file}")).text();
            let (speed, width) = (read("speed")?, read("width")?.parse::<u32>().ok()?);
            let rate = gb_per_second(&speed, width)?;
            Some((rate, json!({"bdf": hop, "speed": speed, "width": width, "gb_per_second": rate})))
        });
        links.min_by(|a, b| a.0.total_cmp(&b.0)).map(|link| link.1)
    };
    let (current, most) = (slowest_of("current"), slowest_of("max"));
    for (name, value, class) in
        [(slowest, current, Class::Volatile), (capability, most, Class::Bios)]
    {
        match value {
            Some(value) => c.put(&name, value, &source, class),
            None => c.absent(&name, &source, class),
        }
    }
}

/// The bridges above a device, the root port first: the names in the real path of its sysfs directory.
pub fn upstream(root: &Root, bdf: &str) -> Vec<String> {
    let Ok(path) = std::fs::canonicalize(root.join(&format!("{DEVICES}/{bdf}"))) else {
        return Vec::new();
    };
    let names = path.iter().filter_map(|name| name.to_str()).map(str::to_owned);
    names.filter(|name| is_bdf(name) && name != bdf).collect()
}

/// `0000:c1:00.0`
fn is_bdf(name: &str) -> bool {
    let parts: Vec<&str> = name.split([':', '.']).collect();
    matches!(parts.as_slice(), [domain, bus, device, function]
        if domain.len() >= 4 && bus.len() == 2 && device.len() == 2 && function.len() == 1)
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Raw rate of one direction of a link in GB/s after line coding: 8b/10b up to 5 GT/s, 128b/130b up to 32 GT/s, 242 of
/// 256 bytes of a flit at 64 GT/s (PCIe Base Specification 6.0; as hwloc's `hwloc_linkspeed` computes it).
pub fn link_gb_per_second(gt_per_second: f64, lanes: f64) -> f64 {
    let coding = match gt_per_second {
        g if g <= 5.0 => 8.0 / 10.0,
        g if g <= 32.0 => 128.0 / 130.0,
        _ => 242.0 / 256.0,
    };
    gt_per_second * coding * lanes / 8.0
}

/// That of a link as sysfs tells it; `None` of one that is down.
fn gb_per_second(speed: &str, width: u32) -> Option<f64> {
    let gts: f64 = speed.split_whitespace().next()?.parse().ok()?;
    // Width 0 and 63 stand for a link that is down.
    (gts > 0.0 && (1..=32).contains(&width)).then(|| link_gb_per_second(gts, f64::from(width)))
}

/// Payload sizes and ordering in the Device Control register, which only root may read: others get 64 bytes of
/// configuration space.
fn device_control(c: &mut Collector<'_>, bdf: &str) {
    const NAMES: [&str; 4] =
        ["max_payload_bytes", "max_read_request_bytes", "relaxed_ordering", "extended_tags"];
    let path = format!("{DEVICES}/{bdf}/config");
    let space = std::fs::read(c.root.join(&path)).unwrap_or_default();
    let control = control_register(&space);
    for (i, field) in NAMES.into_iter().enumerate() {
        let name = format!("pci.{bdf}.{field}");
        match control {
            Some(control) => {
                let bytes = |shift: u32| 128u64 << (control >> shift & 7).min(5);
                let value = match i {
                    0 => Value::from(bytes(5)),
                    1 => Value::from(bytes(12)),
                    2 => Value::from(control >> 4 & 1 == 1),
                    _ => Value::from(control >> 8 & 1 == 1),
                };
                c.put(&name, value, &path, Class::Bios);
            }
            None if space.len() == 64 => c.denied(&name, &path, Class::Bios),
            None => c.absent(&name, &path, Class::Bios),
        }
    }
}

/// The Device Control register of the PCI Express capability (id 0x10, offset 8) in a configuration space.
fn control_register(space: &[u8]) -> Option<u16> {
    let mut at = usize::from(*space.get(0x34)? & !3);
    // 48 capabilities fill the space; a list that is longer runs in circles.
    for _ in 0..48 {
        if at < 0x40 || at + 10 > space.len() {
            return None;
        }
        if space[at] == 0x10 {
            return Some(u16::from_le_bytes([space[at + 8], space[at + 9]]));
        }
        at = usize::from(space[at + 1] & !3);
    }
    None
}

fn iommu(c: &mut Collector<'_>) {
    const UNITS: &str = "/sys/class/iommu";
    const GROUPS: &str = "/sys/kernel/iommu_groups";
    c.put("iommu.units", Value::from(c.root.names(UNITS).len()), UNITS, Class::Bios);
    let mut types = std::collections::BTreeMap::<String, u64>::new();
    for group in c.root.names(GROUPS) {
        if let Some(kind) = c.root.read(&format!("{GROUPS}/{group}/type")).text() {
            *types.entry(kind).or_default() += 1;
        }
    }
    let source = format!("{GROUPS}/*/type");
    if types.is_empty() {
        c.absent("iommu.group_types", &source, Class::Kernel);
    } else {
        c.put("iommu.group_types", json!(types), &source, Class::Kernel);
    }
}

/// What NVIDIA's driver tells in procfs; the rest comes from its library.
fn nvidia(c: &mut Collector<'_>) {
    const DRIVER: &str = "/proc/driver/nvidia";
    const PARAMETERS: [&str; 5] = [
        "EnablePCIERelaxedOrderingMode",
        "EnableResizableBar",
        "DynamicPowerManagement",
        "EnablePCIeGen3",
        "OpenRmEnableUnsupportedGpus",
    ];
    let version = format!("{DRIVER}/version");
    c.parsed("nvidia.driver", &version, Class::Runtime, |text| {
        text.lines().next().map(Value::from)
    });
    let path = format!("{DRIVER}/params");
    let reading = c.root.read(&path);
    if reading == Reading::Absent {
        return;
    }
    for parameter in PARAMETERS {
        c.reading(&format!("nvidia.{parameter}"), &path, Class::Kernel, reading.clone(), |text| {
            let value = text.lines().find_map(|l| l.strip_prefix(parameter)?.strip_prefix(':'))?;
            super::collector::integer_or_text(value.trim())
        });
    }
    for bdf in c.root.names(&format!("{DRIVER}/gpus")) {
        let path = format!("{DRIVER}/gpus/{bdf}/information");
        for (key, name, class) in [
            ("Model", "model", Class::Identity),
            ("Video BIOS", "video_bios", Class::Bios),
            ("GPU Firmware", "firmware", Class::Runtime),
        ] {
            c.parsed(&format!("nvidia.{bdf}.{name}"), &path, class, |text| {
                let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
                Some(value.trim().into())
            });
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_specification() {
        for (speed, width, rate) in [
            ("2.5 GT/s PCIe", 1, 0.25),
            ("16.0 GT/s PCIe", 16, 31.508),
            ("32.0 GT/s PCIe", 16, 63.015),
        ] {
            assert!((gb_per_second(speed, width).unwrap() - rate).abs() < 1e-3, "{speed}");
        }
        assert_eq!(gb_per_second("Unknown", 16), None);
        assert_eq!(gb_per_second("16.0 GT/s PCIe", 0), None);
    }

    #[test]
    fn the_control_register_is_found_and_loops_end() {
        let mut space = vec![0u8; 256];
        (space[0x34], space[0x40], space[0x41]) = (0x40, 0x01, 0x50);
        space[0x50] = 0x10;
        space[0x58..0x5a].copy_from_slice(&0x2930u16.to_le_bytes());
        assert_eq!(control_register(&space), Some(0x2930));
        assert_eq!(control_register(&space[..64]), None);
        (space[0x50], space[0x51]) = (0x05, 0x40);
        assert_eq!(control_register(&space), None);
        assert_eq!(control_register(&[]), None);
    }

    #[test]
    fn bar_sizes() {
        let text = "0x0000000000000000 0x0000000000ffffff 0x1\n0x4000 0x0 0x0\n";
        assert_eq!(bars(text), Some(vec![1 << 24, 0]));
        assert_eq!(bars("0x2 0x1 0x0"), None);
        assert_eq!(bars("what"), None);
    }
}
