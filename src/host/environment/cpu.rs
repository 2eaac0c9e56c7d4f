//! The CPU: model, microcode, threads, clocks, idle states, mitigations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::list;
use super::super::root::Reading;
use super::Class;
use super::collector::{Collector, integer_or_text};

const CPUS: &str = "/sys/devices/system/cpu";

pub fn collect(c: &mut Collector<'_>) {
    cpuinfo(c);
    for name in ["online", "offline", "possible", "present", "isolated", "nohz_full"] {
        let class =
            if name == "isolated" || name == "nohz_full" { Class::Kernel } else { Class::Bios };
        // "(null)" is how the kernel says that no CPU is set aside.
        let path = format!("{CPUS}/{name}");
        c.parsed(&format!("cpu.{name}"), &path, class, |text| {
            if text == "(null)" { Some("".into()) } else { list::parse(text).map(|_| text.into()) }
        });
    }
    c.flag("cpu.smt.active", &format!("{CPUS}/smt/active"), Class::Bios);
    c.text("cpu.smt.control", &format!("{CPUS}/smt/control"), Class::Bios);
    counts(c);
    clocks(c);
    idle_states(c);
    for name in c.root.names(&format!("{CPUS}/vulnerabilities")) {
        let path = format!("{CPUS}/vulnerabilities/{name}");
        c.text(&format!("cpu.vulnerability.{name}"), &path, Class::Kernel);
    }
    for (name, file) in [("current", "current_clocksource"), ("available", "available_clocksource")]
    {
        let path = format!("/sys/devices/system/clocksource/clocksource0/{file}");
        c.text(&format!("kernel.clocksource.{name}"), &path, Class::Kernel);
    }
}

fn cpuinfo(c: &mut Collector<'_>) {
    const PATH: &str = "/proc/cpuinfo";
    const FIELDS: [(&str, &str, Class); 8] = [
        ("vendor_id", "cpu.vendor", Class::Identity),
        ("cpu family", "cpu.family", Class::Identity),
        ("model", "cpu.model", Class::Identity),
        ("model name", "cpu.model_name", Class::Identity),
        ("stepping", "cpu.stepping", Class::Identity),
        ("address sizes", "cpu.address_sizes", Class::Bios),
        ("flags", "cpu.flags", Class::Bios),
        ("bugs", "cpu.bugs", Class::Kernel),
    ];
    let text = match c.root.read(PATH) {
        Reading::Text(text) => text,
        other => {
            for (_, name, class) in FIELDS {
                c.reading(name, PATH, class, other.clone(), |_| None);
            }
            c.reading("cpu.microcode", PATH, Class::Bios, other, |_| None);
            return;
        }
    };
    let entries = || {
        text.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            Some((key.trim(), value.trim()))
        })
    };
    for (key, name, class) in FIELDS {
        match entries().find(|entry| entry.0 == key).and_then(|entry| integer_or_text(entry.1)) {
            Some(value) => c.put(name, value, PATH, class),
            None => c.absent(name, PATH, class),
        }
    }
    // One revision on every CPU, or the different ones: a late load that missed some is worth seeing.
    let revisions: BTreeSet<&str> = entries().filter(|e| e.0 == "microcode").map(|e| e.1).collect();
    match revisions.len() {
        0 => c.absent("cpu.microcode", PATH, Class::Bios),
        1 => c.put("cpu.microcode", revisions.into_iter().collect::<String>(), PATH, Class::Bios),
        _ => c.put("cpu.microcode", Value::from_iter(revisions), PATH, Class::Bios),
    }
    let virtualised = entries()
        .any(|(key, value)| key == "flags" && value.split_whitespace().any(|f| f == "hypervisor"));
    c.put("vm.cpu_flag", virtualised, PATH, Class::Identity);
}

/// Packages, cores and last-level caches, as sysfs numbers them.
fn counts(c: &mut Collector<'_>) {
    let online = c.root.list(&format!("{CPUS}/online")).unwrap_or_default();
    let distinct = |file: &str| {
        let ids: BTreeSet<String> = online
            .iter()
            .filter_map(|cpu| c.root.read(&format!("{CPUS}/cpu{cpu}/{file}")).text())
            .collect();
        ids.len()
    };
    let counts = [
        ("cpu.packages", "topology/physical_package_id", Class::Identity),
        ("cpu.cores", "topology/thread_siblings_list", Class::Bios),
        ("cpu.last_level_caches", "cache/index3/shared_cpu_list", Class::Bios),
    ];
    let counted: Vec<usize> = counts.iter().map(|(_, file, _)| distinct(file)).collect();
    for ((name, file, class), count) in counts.into_iter().zip(counted) {
        let source = format!("{CPUS}/cpu*/{file}");
        match count {
            0 => c.absent(name, &source, class),
            _ => c.put(name, count, &source, class),
        }
    }
}

fn clocks(c: &mut Collector<'_>) {
    let policies: Vec<String> = c
        .root
        .names(&format!("{CPUS}/cpufreq"))
        .into_iter()
        .filter(|name| name.starts_with("policy"))
        .collect();
    let files = [
        ("scaling_driver", Class::Kernel),
        ("scaling_governor", Class::Kernel),
        ("energy_performance_preference", Class::Kernel),
        ("scaling_min_freq", Class::Kernel),
        ("scaling_max_freq", Class::Kernel),
        ("cpuinfo_min_freq", Class::Bios),
        ("cpuinfo_max_freq", Class::Bios),
    ];
    for (file, class) in files {
        let paths: Vec<String> =
            policies.iter().map(|policy| format!("{CPUS}/cpufreq/{policy}/{file}")).collect();
        c.uniform(
            &format!("cpu.freq.{file}"),
            &paths,
            &format!("{CPUS}/cpufreq/policy*/{file}"),
            class,
        );
    }
    c.flag("cpu.freq.boost", &format!("{CPUS}/cpufreq/boost"), Class::Bios);
    c.text("cpu.intel_pstate.status", &format!("{CPUS}/intel_pstate/status"), Class::Kernel);
    c.flag("cpu.intel_pstate.no_turbo", &format!("{CPUS}/intel_pstate/no_turbo"), Class::Bios);
    c.text("cpu.amd_pstate.status", &format!("{CPUS}/amd_pstate/status"), Class::Kernel);
    c.text("cpu.amd_pstate.prefcore", &format!("{CPUS}/amd_pstate/prefcore"), Class::Bios);
}

/// A C-state that the firmware switched off is missing from the list.
fn idle_states(c: &mut Collector<'_>) {
    c.text("cpu.idle.driver", &format!("{CPUS}/cpuidle/current_driver"), Class::Kernel);
    c.text("cpu.idle.governor", &format!("{CPUS}/cpuidle/current_governor"), Class::Kernel);
    let directory = format!("{CPUS}/cpu0/cpuidle");
    let mut names = Vec::new();
    let mut exits = BTreeMap::new();
    let mut disabled = Vec::new();
    for state in c.root.names(&directory) {
        let at = |file: &str| c.root.read(&format!("{directory}/{state}/{file}")).text();
        let Some(name) = at("name") else { continue };
        if at("disable").is_some_and(|text| text != "0") {
            disabled.push(name.clone());
        }
        if let Some(latency) = at("latency").and_then(|text| text.parse::<u64>().ok()) {
            exits.insert(name.clone(), latency);
        }
        names.push(name);
    }
    if names.is_empty() {
        c.absent("cpu.idle.states", &directory, Class::Bios);
        return;
    }
    c.put("cpu.idle.states", Value::from(names), &format!("{directory}/state*/name"), Class::Bios);
    let source = format!("{directory}/state*/latency");
    c.put("cpu.idle.exit_microseconds", Value::from_iter(exits), &source, Class::Bios);
    c.put(
        "cpu.idle.disabled",
        Value::from(disabled),
        &format!("{directory}/state*/disable"),
        Class::Kernel,
    );
}
