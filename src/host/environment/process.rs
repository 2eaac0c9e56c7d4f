//! What surrounds this process: container, virtual machine, control groups, limits, load.

use serde_json::{Value, json};

use super::super::cgroup;
use super::super::root::Reading;
use super::Class;
use super::collector::{Collector, integer_or_text};

pub fn collect(c: &mut Collector<'_>) {
    container(c);
    limits(c);
    affinity(c);
    for (name, controller, v2, v1) in [
        ("cgroup.cpu_max", "cpu", "cpu.max", "cpu.cfs_quota_us"),
        ("cgroup.cpu_weight", "cpu", "cpu.weight", "cpu.shares"),
        ("cgroup.memory_max", "memory", "memory.max", "memory.limit_in_bytes"),
        ("cgroup.memory_high", "memory", "memory.high", "memory.soft_limit_in_bytes"),
        ("cgroup.cpuset_cpus", "cpuset", "cpuset.cpus.effective", "cpuset.effective_cpus"),
        ("cgroup.cpuset_mems", "cpuset", "cpuset.mems.effective", "cpuset.effective_mems"),
    ] {
        group_limit(c, name, controller, v2, v1);
    }
    load(c);
    let irqbalance = daemon_runs(c, "irqbalance");
    match irqbalance {
        true => c.put("service.irqbalance", true, "/proc/*/comm", Class::Runtime),
        // A container sees its own processes only: not seen is not the same as not running.
        false => c.absent("service.irqbalance", "/proc/*/comm", Class::Runtime),
    }
}

fn container(c: &mut Collector<'_>) {
    let marks = [
        ("docker", "/.dockerenv"),
        ("podman", "/run/.containerenv"),
        ("systemd", "/run/systemd/container"),
    ];
    let mark = marks.into_iter().find(|(_, path)| c.root.exists(path));
    let groups = c.root.read("/proc/1/cgroup").text().unwrap_or_default();
    let by_group = ["docker", "kubepods", "libpod", "lxc", "containerd"]
        .into_iter()
        .find(|word| groups.contains(word));
    match (mark, by_group) {
        (Some((name, path)), _) => c.put("container.kind", name, path, Class::Runtime),
        (None, Some(name)) => c.put("container.kind", name, "/proc/1/cgroup", Class::Runtime),
        (None, None) => {
            c.absent("container.kind", "/.dockerenv, /run, /proc/1/cgroup", Class::Runtime)
        }
    }
    c.text("vm.hypervisor_type", "/sys/hypervisor/type", Class::Identity);
}

fn limits(c: &mut Collector<'_>) {
    const PATH: &str = "/proc/self/limits";
    for (row, name) in [
        ("Max locked memory", "limits.memlock_bytes"),
        ("Max address space", "limits.address_space_bytes"),
        ("Max open files", "limits.open_files"),
        ("Max processes", "limits.processes"),
    ] {
        c.parsed(name, PATH, Class::Runtime, |text| {
            let rest = text.lines().find_map(|line| line.strip_prefix(row))?;
            let soft = rest.split_whitespace().next()?;
            if soft == "unlimited" {
                Some(soft.into())
            } else {
                soft.parse::<u64>().ok().map(Value::from)
            }
        });
    }
}

/// CPUs and nodes that the process may use.
fn affinity(c: &mut Collector<'_>) {
    const PATH: &str = "/proc/self/status";
    for (row, name) in [
        ("Cpus_allowed_list:", "process.cpus_allowed"),
        ("Mems_allowed_list:", "process.nodes_allowed"),
    ] {
        c.parsed(name, PATH, Class::Runtime, |text| {
            let list = text.lines().find_map(|line| line.strip_prefix(row))?.trim();
            super::super::list::parse(list).map(|_| list.into())
        });
    }
}

/// The innermost limit that is set, else what the innermost group that has the file says (`max`).
fn group_limit(c: &mut Collector<'_>, name: &str, controller: &str, v2: &str, v1: &str) {
    let mut first: Option<(String, Reading)> = None;
    for hierarchy in cgroup::hierarchies(c.root, controller) {
        let file = if hierarchy.version == 2 { v2 } else { v1 };
        for level in hierarchy.levels {
            let path = format!("{level}/{file}");
            let reading = c.root.read(&path);
            match &reading {
                Reading::Absent => continue,
                Reading::Text(text) if text.starts_with("max") || text == "-1" => {
                    first.get_or_insert((path, reading));
                }
                _ => {
                    c.reading(name, &path, Class::Runtime, reading, integer_or_text);
                    return;
                }
            }
        }
    }
    match first {
        Some((path, reading)) => c.reading(name, &path, Class::Runtime, reading, integer_or_text),
        None => c.absent(name, &format!("/sys/fs/cgroup/**/{v2}"), Class::Runtime),
    }
}

fn load(c: &mut Collector<'_>) {
    c.parsed("load.average", "/proc/loadavg", Class::Volatile, |text| {
        let averages: Option<Vec<f64>> =
            text.split_whitespace().take(3).map(|w| w.parse().ok()).collect();
        averages.filter(|averages| averages.len() == 3).map(Value::from)
    });
    for resource in ["cpu", "memory", "io"] {
        let path = format!("/proc/pressure/{resource}");
        c.parsed(&format!("load.pressure.{resource}"), &path, Class::Volatile, |text| {
            pressure(text).map(|(some, full)| json!({"some_avg10": some, "full_avg10": full}))
        });
    }
}

/// Percent of the last 10 seconds in which some, and all, tasks waited for a resource.
pub fn pressure(text: &str) -> Option<(f64, Option<f64>)> {
    let average = |kind: &str| {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("avg10=")?.parse::<f64>().ok())
    };
    Some((average("some")?, average("full")))
}

fn daemon_runs(c: &Collector<'_>, name: &str) -> bool {
    let processes =
        c.root.names("/proc").into_iter().filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    processes
        .map(|pid| c.root.read(&format!("/proc/{pid}/comm")))
        .any(|r| r == Reading::Text(name.into()))
}
