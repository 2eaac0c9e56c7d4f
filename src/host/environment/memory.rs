//! Memory: NUMA nodes, huge page pools, and the DIMMs as far as udev and EDAC show them without root.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::root::Reading;
use super::collector::{Collector, integer_or_text};
use super::{Class, Environment};

const NODES: &str = "/sys/devices/system/node";
/// udev keeps here what it read from the SMBIOS tables at boot.
const UDEV: &str = "/run/udev/data/+dmi:id";
const EDAC: &str = "/sys/devices/system/edac/mc";

pub fn collect(c: &mut Collector<'_>) {
    meminfo(c, "memory", "/proc/meminfo");
    for name in ["online", "possible", "has_cpu", "has_memory", "has_normal_memory"] {
        c.list(&format!("numa.{name}"), &format!("{NODES}/{name}"), Class::Bios);
    }
    for node in c.root.names(NODES).into_iter().filter(|name| name.starts_with("node")) {
        let at = format!("{NODES}/{node}");
        c.list(&format!("numa.{node}.cpulist"), &format!("{at}/cpulist"), Class::Bios);
        c.parsed(
            &format!("numa.{node}.distance"),
            &format!("{at}/distance"),
            Class::Bios,
            |text| {
                let row: Option<Vec<u64>> =
                    text.split_whitespace().map(|d| d.parse().ok()).collect();
                row.filter(|row| !row.is_empty()).map(Value::from)
            },
        );
        meminfo(c, &format!("numa.{node}"), &format!("{at}/meminfo"));
        pools(c, &format!("numa.{node}"), &format!("{at}/hugepages"));
        // The firmware's own figures (HMAT), where it has any.
        for figure in ["read_bandwidth", "write_bandwidth", "read_latency", "write_latency"] {
            let path = format!("{at}/access0/initiators/{figure}");
            c.number(&format!("numa.{node}.hmat.{figure}"), &path, Class::Bios);
        }
    }
    pools(c, "memory", "/sys/kernel/mm/hugepages");
    dimms(c);
    edac(c);
}

/// Total memory tells the machine (and which DIMMs failed to train), free memory the moment.
fn meminfo(c: &mut Collector<'_>, prefix: &str, path: &str) {
    let fields = [("MemTotal", "total_kib", Class::Bios), ("MemFree", "free_kib", Class::Volatile)];
    for (key, name, class) in fields {
        c.parsed(&format!("{prefix}.{name}"), path, class, |text| {
            let value = text.lines().find_map(|line| line.split_once(&format!("{key}:")))?.1;
            value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(Value::from)
        });
    }
}

fn pools(c: &mut Collector<'_>, prefix: &str, directory: &str) {
    for pool in c.root.names(directory) {
        for (file, class) in [("nr_hugepages", Class::Kernel), ("free_hugepages", Class::Volatile)]
        {
            let path = format!("{directory}/{pool}/{file}");
            c.number(&format!("{prefix}.{pool}.{file}"), &path, class);
        }
    }
}

fn dimms(c: &mut Collector<'_>) {
    const FIELDS: [(&str, &str, Class); 9] = [
        ("SIZE", "size", Class::Identity),
        ("LOCATOR", "locator", Class::Identity),
        ("BANK_LOCATOR", "bank_locator", Class::Identity),
        ("TYPE", "type", Class::Identity),
        ("RANK", "rank", Class::Identity),
        ("MANUFACTURER", "manufacturer", Class::Identity),
        ("PART_NUMBER", "part_number", Class::Identity),
        ("SPEED_MTS", "speed_mts", Class::Identity),
        ("CONFIGURED_SPEED_MTS", "configured_speed_mts", Class::Bios),
    ];
    let text = match c.root.read(UDEV) {
        Reading::Text(text) => text,
        other => {
            c.reading("memory.dimms", UDEV, Class::Identity, other, |_| None);
            return;
        }
    };
    let mut devices: BTreeMap<usize, BTreeMap<&str, &str>> = BTreeMap::new();
    for line in text.lines() {
        let entry = || {
            let (key, value) = line.strip_prefix("E:MEMORY_DEVICE_")?.split_once('=')?;
            let (index, field) = key.split_once('_')?;
            Some((index.parse().ok()?, field, value.trim()))
        };
        if let Some((index, field, value)) = entry() {
            devices.entry(index).or_default().insert(field, value);
        }
    }
    // An empty slot has PRESENT=0, or no size.
    devices.retain(|_, device| {
        device.get("PRESENT") != Some(&"0") && device.get("SIZE").is_some_and(|size| *size != "0")
    });
    if devices.is_empty() {
        c.absent("memory.dimms", UDEV, Class::Identity);
        return;
    }
    c.put("memory.dimms", devices.len(), UDEV, Class::Identity);
    for (index, device) in &devices {
        for (key, name, class) in FIELDS {
            let field = format!("memory.dimm.{index}.{name}");
            match device.get(key).and_then(|value| integer_or_text(value)) {
                Some(value) => c.put(&field, value, UDEV, class),
                None => c.absent(&field, UDEV, class),
            }
        }
    }
}

/// Memory controllers: populated channels and error counts, but no speed.
fn edac(c: &mut Collector<'_>) {
    let controllers: Vec<String> = c
        .root
        .names(EDAC)
        .into_iter()
        .filter(|name| name.strip_prefix("mc").is_some_and(|n| n.parse::<u32>().is_ok()))
        .collect();
    if controllers.is_empty() {
        c.absent("memory.edac.channels", EDAC, Class::Bios);
        return;
    }
    let mut channels = BTreeSet::new();
    for controller in &controllers {
        let at = format!("{EDAC}/{controller}");
        c.text(
            &format!("memory.edac.{controller}.name"),
            &format!("{at}/mc_name"),
            Class::Identity,
        );
        c.number(
            &format!("memory.edac.{controller}.size_mib"),
            &format!("{at}/size_mb"),
            Class::Identity,
        );
        for (file, name) in [("ce_count", "corrected_errors"), ("ue_count", "uncorrected_errors")] {
            let field = format!("memory.edac.{controller}.{name}");
            c.number(&field, &format!("{at}/{file}"), Class::Volatile);
        }
        for dimm in
            c.root.names(&at).into_iter().filter(|d| d.starts_with("dimm") || d.starts_with("rank"))
        {
            if c.root.number(&format!("{at}/{dimm}/size")).is_none_or(|size| size == 0) {
                continue;
            }
            let location =
                c.root.read(&format!("{at}/{dimm}/dimm_location")).text().unwrap_or_default();
            let mut words =
                location.split_whitespace().skip_while(|word| *word != "channel").skip(1);
            if let Some(channel) = words.next().and_then(|word| word.parse::<u32>().ok()) {
                channels.insert((controller.clone(), channel));
            }
        }
    }
    match channels.len() {
        0 => c.absent("memory.edac.channels", EDAC, Class::Bios),
        count => c.put("memory.edac.channels", count, EDAC, Class::Bios),
    }
}

/// What the memory controllers could move at most.
#[derive(Debug, Clone, PartialEq)]
pub struct DramChannels {
    /// Populated channels of 8 bytes (a DDR5 channel is two sub-channels of 4).
    pub channels: u64,
    /// Configured transfers, 1e6 a second.
    pub mts: u64,
    /// Where the two came from.
    pub source: String,
}

impl DramChannels {
    /// Channels x 8 B x MT/s, in GB/s.
    pub fn gb_per_second(&self) -> f64 {
        self.channels as f64 * 8.0 * self.mts as f64 / 1e3
    }
}

/// Channels and speed, when this host shows both without root.
///
/// # Errors
/// Why they are not known: nothing is assumed.
pub fn dram_channels(environment: &Environment) -> Result<DramChannels, String> {
    let column = |name: &str| -> Vec<&Value> {
        let suffix = format!(".{name}");
        let dimms = environment.0.iter().filter(|(key, _)| key.starts_with("memory.dimm."));
        dimms
            .filter(|(key, f)| key.ends_with(&suffix) && !f.value.is_null())
            .map(|(_, f)| &f.value)
            .collect()
    };
    // The controllers run every DIMM at one speed, the slowest.
    let mts = column("configured_speed_mts")
        .into_iter()
        .filter_map(Value::as_u64)
        .filter(|&s| s > 0)
        .min();
    let Some(mts) = mts else {
        return Err(
            "memory speed is not readable without root here (no DIMM data in the udev database)"
                .into(),
        );
    };
    if let Some(channels) = environment.number("memory.edac.channels") {
        let source = format!("{EDAC} (channels), {UDEV} (speed)");
        return Ok(DramChannels { channels: channels as u64, mts, source });
    }
    let dimms = environment.number("memory.dimms").unwrap_or(0.0) as usize;
    for name in ["bank_locator", "locator"] {
        let names: Vec<&str> = column(name).into_iter().filter_map(Value::as_str).collect();
        let channels: Option<BTreeSet<String>> = names.iter().map(|n| channel_of(n)).collect();
        if let Some(channels) = channels.filter(|_| names.len() == dimms && dimms > 0) {
            let source = format!("{UDEV} (channels by {name}, speed)");
            return Ok(DramChannels { channels: channels.len() as u64, mts, source });
        }
    }
    Err("DIMM locators do not tell the channels, and EDAC is not there".into())
}

/// The channel in a DIMM's locator: what is before the slot number in `P0_DIMM_A1`, `CPU1_DIMM_G2` or `A1`, or all of
/// `P0 CHANNEL A`. `None` where the name does not follow either pattern.
fn channel_of(locator: &str) -> Option<String> {
    let upper = locator.trim().to_ascii_uppercase();
    if upper.contains("CHANNEL") {
        return Some(upper);
    }
    let channel = upper.trim_end_matches(|c: char| c.is_ascii_digit());
    let last = channel.chars().last()?;
    // One letter that stands alone names the channel; "DIMM0" and "BANK 3" only number the slots.
    let before = channel[..channel.len() - last.len_utf8()].chars().last();
    let alone = before.is_none_or(|c| !c.is_ascii_alphabetic());
    (last.is_ascii_alphabetic() && alone).then(|| channel.to_owned())
}

#[cfg(test)]
mod tests {
    use super::channel_of;

    #[test]
    fn channels_come_from_locators_that_name_them() {
        for (locator, channel) in [
            ("P0 CHANNEL A", Some("P0 CHANNEL A")),
            ("CPU1_DIMM_G2", Some("CPU1_DIMM_G")),
            ("A1", Some("A")),
            ("DIMM_P0_A0", Some("DIMM_P0_A")),
            ("PROC 1 DIMM 3", None),
            ("DIMM 0", None),
            ("DIMM0", None),
            ("BANK 3", None),
            ("", None),
        ] {
            assert_eq!(channel_of(locator).as_deref(), channel, "{locator}");
        }
    }
}
