//! The kernel: version, command line, and the settings that move memory and I/O numbers.

use super::Class;
use super::collector::{Collector, integer_or_text};

/// Command-line parameters that change what is measured. Absent means that the kernel's default holds.
const PARAMETERS: [&str; 27] = [
    "amd_iommu",
    "amd_pstate",
    "clocksource",
    "cpuidle.off",
    "default_hugepagesz",
    "hugepages",
    "hugepagesz",
    "idle",
    "intel_idle.max_cstate",
    "intel_iommu",
    "intel_pstate",
    "iommu",
    "iommu.passthrough",
    "isolcpus",
    "maxcpus",
    "mem",
    "mitigations",
    "nohz_full",
    "nosmt",
    "numa",
    "numa_balancing",
    "pci",
    "pcie_aspm",
    "processor.max_cstate",
    "rcu_nocbs",
    "transparent_hugepage",
    "tsc",
];

/// Parts of a parameter's name behind which there may be a secret or an address: the value is not kept.
const PRIVATE: [&str; 13] = [
    "pass", "secret", "token", "key", "auth", "cred", "uuid", "addr", "ip", "nfsroot", "crypt",
    "root", "resume",
];

pub fn collect(c: &mut Collector<'_>) {
    c.text("kernel.release", "/proc/sys/kernel/osrelease", Class::Kernel);
    c.text("kernel.version", "/proc/version", Class::Kernel);
    command_line(c);
    settings(c);
}

fn command_line(c: &mut Collector<'_>) {
    const PATH: &str = "/proc/cmdline";
    let reading = c.root.read(PATH);
    let line = reading.clone().text();
    c.reading("kernel.cmdline", PATH, Class::Kernel, reading.clone(), |line| {
        Some(redact(line).into())
    });
    for name in PARAMETERS {
        let field = format!("kernel.cmdline.{name}");
        let Some(line) = &line else {
            c.reading(&field, PATH, Class::Kernel, reading.clone(), |_| None);
            continue;
        };
        let values: Vec<&str> =
            parameters(line).filter(|(key, _)| *key == name).map(|(_, value)| value).collect();
        match values.as_slice() {
            [] => c.absent(&field, PATH, Class::Kernel),
            [value] => {
                c.put(&field, integer_or_text(value).unwrap_or_default(), PATH, Class::Kernel)
            }
            // hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=512: order matters, all count.
            values => c.put(&field, values.join(" "), PATH, Class::Kernel),
        }
    }
}

/// The kernel's parameters; what follows `--` is for init and none of our business.
fn parameters(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_whitespace()
        .take_while(|word| *word != "--")
        .map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn redact(line: &str) -> String {
    let words: Vec<String> = parameters(line)
        .map(|(key, value)| {
            let lower = key.to_ascii_lowercase();
            let private = PRIVATE.iter().any(|part| match *part {
                // Too short to look for inside other names.
                "ip" | "root" | "resume" => lower == *part,
                part => lower.contains(part),
            });
            match (value, private) {
                ("", _) => key.to_owned(),
                (_, true) => format!("{key}=..."),
                (value, false) => format!("{key}={value}"),
            }
        })
        .collect();
    words.join(" ")
}

fn settings(c: &mut Collector<'_>) {
    const NUMBERS: [(&str, &str); 12] = [
        ("numa.balancing", "/proc/sys/kernel/numa_balancing"),
        ("kernel.perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid"),
        ("kernel.io_uring_disabled", "/proc/sys/kernel/io_uring_disabled"),
        ("kernel.sched_autogroup", "/proc/sys/kernel/sched_autogroup_enabled"),
        ("kernel.nmi_watchdog", "/proc/sys/kernel/nmi_watchdog"),
        ("vm.overcommit_memory", "/proc/sys/vm/overcommit_memory"),
        ("vm.swappiness", "/proc/sys/vm/swappiness"),
        ("vm.zone_reclaim_mode", "/proc/sys/vm/zone_reclaim_mode"),
        ("vm.compaction_proactiveness", "/proc/sys/vm/compaction_proactiveness"),
        ("vm.nr_hugepages", "/proc/sys/vm/nr_hugepages"),
        ("vm.nr_overcommit_hugepages", "/proc/sys/vm/nr_overcommit_hugepages"),
        ("vm.dirty_ratio", "/proc/sys/vm/dirty_ratio"),
    ];
    for (name, path) in NUMBERS {
        c.number(name, path, Class::Kernel);
    }
    const THP: &str = "/sys/kernel/mm/transparent_hugepage";
    for name in ["enabled", "defrag", "shmem_enabled"] {
        c.choice(&format!("kernel.thp.{name}"), &format!("{THP}/{name}"), Class::Kernel);
    }
    for name in ["defrag", "pages_to_scan", "scan_sleep_millisecs", "max_ptes_none"] {
        let path = format!("{THP}/khugepaged/{name}");
        c.number(&format!("kernel.thp.khugepaged.{name}"), &path, Class::Kernel);
    }
    for size in c.root.names(THP).into_iter().filter(|name| name.starts_with("hugepages-")) {
        let path = format!("{THP}/{size}/enabled");
        c.choice(&format!("kernel.thp.{size}.enabled"), &path, Class::Kernel);
    }
    c.flag("kernel.numa.demotion", "/sys/kernel/mm/numa/demotion_enabled", Class::Kernel);
    c.choice("pci.aspm_policy", "/sys/module/pcie_aspm/parameters/policy", Class::Kernel);
    c.text("kernel.tuned_profile", "/etc/tuned/active_profile", Class::Kernel);
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_are_not_kept() {
        let line = "ro quiet root=UUID=1-2 iommu=pt luks.key=/k my_token=abc isolcpus=1-3 ip=10.0.0.1 -- --auth x";
        assert_eq!(
            redact(line),
            "ro quiet root=... iommu=pt luks.key=... my_token=... isolcpus=1-3 ip=..."
        );
    }
}
