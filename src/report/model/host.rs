//! The host in a few lines: what one has to know to read its numbers.

use serde::Serialize;
use serde_json::Value;

use crate::host::environment::dram_channels;
use crate::host::nps::Mode;
use crate::host::{Environment, HostRecord, Topology, list};

/// One line about the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostLine {
    /// What it is about.
    pub label: &'static str,
    /// What there is to say.
    pub text: String,
}

/// The host in the order in which it is read. A line says so where nothing is known.
pub fn host_block(host: &HostRecord) -> Vec<HostLine> {
    let env = &host.environment;
    let lines = [
        ("CPU", cpu(env)),
        ("memory", memory(env)),
        ("NUMA", numa(env, &host.topology)),
        ("GPU", gpus(env)),
        ("storage", drives(env)),
        ("system", system(env)),
        ("firmware", firmware(env)),
        ("runs in", surroundings(env)),
        ("settings", settings(env)),
        ("load", load(env)),
    ];
    lines.into_iter().map(|(label, text)| HostLine { label, text }).collect()
}

/// CPUs that are online.
pub fn online_cpus(env: &Environment) -> Option<usize> {
    list::parse(env.text("cpu.online")?).map(|cpus| cpus.len()).filter(|count| *count > 0)
}

/// Nodes that have memory.
pub fn memory_nodes(env: &Environment) -> Option<usize> {
    list::parse(env.text("numa.has_memory")?).map(|nodes| nodes.len()).filter(|count| *count > 0)
}

/// `1 node`, `2 nodes`.
fn count(number: f64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1.0 { "" } else { "s" })
}

fn joined(facts: Vec<String>, else_say: &str) -> String {
    if facts.is_empty() { else_say.to_owned() } else { facts.join(", ") }
}

fn cpu(env: &Environment) -> String {
    let mut facts = Vec::from_iter(env.text("cpu.model_name").map(str::to_owned));
    for (field, noun) in [("cpu.packages", "package"), ("cpu.cores", "core")] {
        facts.extend(env.number(field).map(|number| count(number, noun)));
    }
    facts.extend(online_cpus(env).map(|number| count(number as f64, "thread")));
    facts.extend(env.flag("cpu.smt.active").map(|on| format!("SMT {}", on_off(on))));
    facts.extend(env.number("cpu.last_level_caches").map(|n| count(n, "last-level cache")));
    facts.extend(shown(env, "cpu.microcode").map(|revision| format!("microcode {revision}")));
    joined(facts, "unknown")
}

fn memory(env: &Environment) -> String {
    let mut facts = Vec::new();
    facts.extend(env.number("memory.total_kib").map(gib));
    facts.extend(env.number("memory.dimms").map(|number| count(number, "module")));
    facts.push(match dram_channels(env) {
        Ok(dram) => format!(
            "{} x 8 B x {} MT/s = {:.0} GB/s",
            count(dram.channels as f64, "channel"),
            dram.mts,
            dram.gb_per_second()
        ),
        Err(why) => why,
    });
    facts.join(", ")
}

fn gib(kib: f64) -> String {
    format!("{:.1} GiB", kib / (1 << 20) as f64)
}

fn numa(env: &Environment, topology: &Topology) -> String {
    let mut facts = Vec::new();
    facts.extend(memory_nodes(env).map(|nodes| count(nodes as f64, "node")));
    let nodes: Vec<usize> = topology.nodes.iter().map(|node| node.index).collect();
    for (node, row) in nodes.iter().zip(&topology.distances).take(1) {
        let row: Vec<String> = row.iter().map(u64::to_string).collect();
        facts.push(format!("distances from node {node}: {}", row.join(" ")));
    }
    let inference = &topology.inference;
    facts.push(match inference.mode {
        Mode::Unknown => format!("memory mode unknown: {}", inference.reason),
        _ => format!("{inference}, inferred by {}", inference.inferred_by.join(" and ")),
    });
    facts.join(", ")
}

/// Names of the fields `prefix<id>.<field>`, by id.
fn by_id<'a>(
    env: &'a Environment,
    prefix: &'a str,
    field: &'a str,
) -> impl Iterator<Item = &'a str> {
    env.0
        .keys()
        .filter_map(move |name| name.strip_prefix(prefix)?.strip_suffix(field)?.strip_suffix('.'))
}

/// PCI vendor id of NVIDIA.
const NVIDIA: &str = "0x10de";

fn gpus(env: &Environment) -> String {
    let named: Vec<String> = by_id(env, "nvidia.", "model")
        .map(|bdf| {
            let model = shown(env, &format!("nvidia.{bdf}.model")).unwrap_or_default();
            format!("{model} at {bdf}")
        })
        .collect();
    if !named.is_empty() {
        return named.join(", ");
    }
    let on_the_bus = by_id(env, "pci.", "vendor")
        .filter(|bdf| {
            let is = |field: &str, start: &str| {
                env.text(&format!("pci.{bdf}.{field}")).is_some_and(|v| v.starts_with(start))
            };
            is("vendor", NVIDIA) && is("class", "0x03")
        })
        .count();
    match on_the_bus {
        0 => "none: no NVIDIA device on the PCI bus".to_owned(),
        n => format!("{}, but no NVIDIA driver is loaded", count(n as f64, "NVIDIA device")),
    }
}

fn drives(env: &Environment) -> String {
    let mut facts: Vec<String> = by_id(env, "nvme.", "model")
        .map(|drive| {
            let model = shown(env, &format!("nvme.{drive}.model")).unwrap_or_default();
            format!("{drive} {model}")
        })
        .collect();
    facts.extend(by_id(env, "block.", "scheduler").filter(|disk| !disk.starts_with("nvme")).map(
        |disk| {
            let scheduler = shown(env, &format!("block.{disk}.scheduler")).unwrap_or_default();
            format!("{disk} (scheduler {scheduler})")
        },
    ));
    joined(facts, "no drive is visible")
}

fn system(env: &Environment) -> String {
    let mut facts = Vec::new();
    facts.extend(shown(env, "kernel.release").map(|release| format!("Linux {release}")));
    facts.extend(shown(env, "os.name"));
    facts.extend(
        ["sys_vendor", "product_name"].iter().filter_map(|f| shown(env, &format!("dmi.{f}"))),
    );
    joined(facts, "unknown")
}

fn firmware(env: &Environment) -> String {
    let bios: Vec<String> = ["bios_vendor", "bios_version", "bios_date"]
        .iter()
        .filter_map(|field| shown(env, &format!("dmi.{field}")))
        .collect();
    if bios.is_empty() { "unknown: no DMI here".to_owned() } else { bios.join(" ") }
}

fn surroundings(env: &Environment) -> String {
    let mut facts = vec![if env.flag("vm.cpu_flag") == Some(true) {
        match env.text("vm.hypervisor_type") {
            Some(kind) => format!("a virtual machine ({kind})"),
            None => "a virtual machine".to_owned(),
        }
    } else {
        "bare metal".to_owned()
    }];
    facts.extend(env.text("container.kind").map(|kind| format!("a {kind} container")));
    facts.extend(cpu_quota(env).map(|cpus| format!("limited to {cpus} CPUs by its control group")));
    facts.join(", ")
}

/// CPUs' worth of time that the control group allows: quota over period (cgroup v2 `cpu.max`; of version 1
/// only the quota is kept, whose period is 100 ms unless somebody changed it).
pub fn cpu_quota(env: &Environment) -> Option<f64> {
    let value = &env.get("cgroup.cpu_max")?.value;
    let (quota, period) = match value {
        Value::String(text) => {
            let (quota, period) = text.split_once(' ')?;
            (quota.parse::<f64>().ok()?, period.trim().parse::<f64>().ok()?)
        }
        Value::Number(quota) => (quota.as_f64()?, 1e5),
        _ => return None,
    };
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

fn settings(env: &Environment) -> String {
    let mut facts = Vec::new();
    for (name, field) in [
        ("governor", "cpu.freq.scaling_governor"),
        ("THP", "kernel.thp.enabled"),
        ("clock source", "kernel.clocksource.current"),
        ("mitigations", "kernel.cmdline.mitigations"),
        ("IOMMU", "kernel.cmdline.iommu"),
        ("tuned", "kernel.tuned_profile"),
    ] {
        facts.extend(shown(env, field).map(|value| format!("{name} {value}")));
    }
    let balancing = env.number("numa.balancing").map(|mode| on_off(mode != 0.0));
    facts.extend(balancing.map(|on| format!("NUMA balancing {on}")));
    joined(facts, "unknown")
}

fn load(env: &Environment) -> String {
    let average = env
        .get("load.average")
        .and_then(|field| field.value.as_array())
        .and_then(|averages| averages.first()?.as_f64());
    match (average, online_cpus(env)) {
        (Some(load), Some(cpus)) => format!("{load} on {cpus} CPUs over the last minute"),
        (Some(load), None) => format!("{load} over the last minute"),
        (None, _) => "unknown".to_owned(),
    }
}

/// A field that was read, as a person would write it; `None` when it was not read or is empty.
fn shown(env: &Environment, name: &str) -> Option<String> {
    let text = value_text(&env.get(name)?.value);
    (!text.is_empty()).then_some(text)
}

/// A value as a person would write it.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(on) => if *on { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(value_text).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value_text(value)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests;
