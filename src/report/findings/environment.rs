//! Settings of the host known to hurt, each with the command that the user may run. Nothing here changes one.

use super::{Facts, Found};
use crate::host::Environment;
use crate::report::model::{cpu_quota as quota_of, memory_nodes, online_cpus};

const MEASURE_AGAIN: &str = "then measure again with another HOSTDYNO_LABEL and compare";

fn about_the_host(what: String, command: &str) -> Option<Found> {
    Some(Found { what, next: format!("{command}, {MEASURE_AGAIN}"), metrics: Vec::new() })
}

fn environment<'a>(facts: &Facts<'a>) -> Option<&'a Environment> {
    facts.host.map(|host| &host.environment)
}

/// With intel_pstate or amd_pstate in active mode the governor `powersave` is the normal one and the energy
/// preference decides; with every other driver `powersave` pins the lowest clock.
pub(super) fn governor(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let governor = env.text("cpu.freq.scaling_governor")?;
    let driver = env.text("cpu.freq.scaling_driver").unwrap_or("unknown");
    if let Some(preference) = env.text("cpu.freq.energy_performance_preference") {
        return preference.contains("power").then(|| about_the_host(
            format!("the CPU's energy preference is {preference} (driver {driver}): clocks rise late and fall early"),
            "Run `echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/energy_performance_preference`",
        ))?;
    }
    if matches!(governor, "performance" | "schedutil") {
        return None;
    }
    about_the_host(
        format!(
            "the CPU frequency governor is {governor} (driver {driver}): clocks stay low or follow load late"
        ),
        "Run `sudo cpupower frequency-set -g performance`",
    )
}

pub(super) fn boost_off(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let (switch, command) = if env.flag("cpu.freq.boost") == Some(false) {
        ("cpufreq/boost is 0", "Run `echo 1 | sudo tee /sys/devices/system/cpu/cpufreq/boost`")
    } else if env.flag("cpu.intel_pstate.no_turbo") == Some(true) {
        (
            "intel_pstate/no_turbo is 1",
            "Run `echo 0 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo`",
        )
    } else {
        return None;
    };
    about_the_host(format!("the CPU may not go above its base clock: {switch}"), command)
}

pub(super) fn cpu_quota(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let (quota, cpus) = (quota_of(env)?, online_cpus(env)?);
    if quota >= cpus as f64 {
        return None;
    }
    about_the_host(
        format!(
            "the control group allows {quota} CPUs of {cpus}: threads are stopped in the middle of a sample"
        ),
        "Raise the container's CPU limit or measure outside of it",
    )
}

/// Clock sources that a read of the time-stamp counter (or its paravirtual and Arm kin) answers; the others take
/// a slow trip to a device.
const FAST_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];

pub(super) fn clocksource(facts: &Facts<'_>) -> Option<Found> {
    let clock = environment(facts)?.text("kernel.clocksource.current")?;
    if FAST_CLOCKS.contains(&clock) {
        return None;
    }
    about_the_host(
        format!(
            "the clock source is {clock}: reading the time takes about a microsecond and is coarse"
        ),
        "See why the kernel gave up the TSC (`sudo dmesg | grep -i tsc`; often a firmware update helps)",
    )
}

pub(super) fn huge_pages(facts: &Facts<'_>) -> Option<Found> {
    if environment(facts)?.text("kernel.thp.enabled")? != "never" {
        return None;
    }
    about_the_host(
        "transparent huge pages are off (never): every 4 KiB of weights costs a TLB entry"
            .to_owned(),
        "Run `echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`",
    )
}

pub(super) fn numa_balancing(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let nodes = memory_nodes(env)?;
    if nodes < 2 || env.number("numa.balancing")? == 0.0 {
        return None;
    }
    about_the_host(
        format!(
            "automatic NUMA balancing is on with {nodes} nodes: it unmaps and moves pages while they are used"
        ),
        "Run `sudo sysctl kernel.numa_balancing=0`",
    )
}

pub(super) fn zone_reclaim(facts: &Facts<'_>) -> Option<Found> {
    let mode = environment(facts)?.number("vm.zone_reclaim_mode").filter(|mode| *mode != 0.0)?;
    about_the_host(
        format!(
            "vm.zone_reclaim_mode is {mode}: a full node drops its page cache instead of using its neighbour"
        ),
        "Run `sudo sysctl vm.zone_reclaim_mode=0`",
    )
}

/// NVMe drives have queues of their own; a scheduler in front only adds CPU time per request.
pub(super) fn io_scheduler(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let (disk, scheduler) = env.0.keys().find_map(|name| {
        let disk = name.strip_prefix("block.")?.strip_suffix(".scheduler")?;
        let scheduler = env.text(name)?;
        (disk.starts_with("nvme") && scheduler != "none").then_some((disk, scheduler))
    })?;
    about_the_host(
        format!(
            "{disk} is behind the I/O scheduler {scheduler}, which costs CPU time on every request"
        ),
        &format!("Run `echo none | sudo tee /sys/block/{disk}/queue/scheduler`"),
    )
}

pub(super) fn io_uring_disabled(facts: &Facts<'_>) -> Option<Found> {
    let mode =
        environment(facts)?.number("kernel.io_uring_disabled").filter(|mode| *mode != 0.0)?;
    about_the_host(
        format!("kernel.io_uring_disabled is {mode}: model loads fall back to slower reads"),
        "Run `sudo sysctl kernel.io_uring_disabled=0`",
    )
}

pub(super) fn memory_errors(facts: &Facts<'_>) -> Option<Found> {
    let env = environment(facts)?;
    let errors = |kind: &str| -> f64 {
        env.0
            .keys()
            .filter(|name| name.starts_with("memory.edac.") && name.ends_with(kind))
            .filter_map(|name| env.number(name))
            .sum()
    };
    let (corrected, uncorrected) = (errors(".corrected_errors"), errors(".uncorrected_errors"));
    if corrected + uncorrected == 0.0 {
        return None;
    }
    Some(Found {
        what: format!(
            "the memory controllers count {corrected} corrected and {uncorrected} uncorrected errors since boot"
        ),
        next: "Find the module (`ras-mc-ctl --error-count`) and replace it before you accept this host".to_owned(),
        metrics: Vec::new(),
    })
}
