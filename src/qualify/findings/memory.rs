//! The host's memory: errors, modules that are missing or slow.

use super::{Facts, Said};
use crate::host::nps::Mode;
use crate::qualify::identity;
use crate::qualify::rules::Verdict;

/// A node with less than this share of the memory of another one lacks modules.
const UNEVEN: f64 = 0.9;

pub fn errors(facts: &Facts<'_>) -> Vec<Said> {
    let env = &facts.host.environment;
    let sum = |kind: &str| -> f64 {
        let counters = env.0.keys().filter(|n| n.starts_with("memory.edac.") && n.ends_with(kind));
        counters.filter_map(|name| env.number(name)).sum()
    };
    let (corrected, uncorrected) = (sum(".corrected_errors"), sum(".uncorrected_errors"));
    let severity = match () {
        () if uncorrected > 0.0 => Verdict::Fail,
        () if corrected > 0.0 => Verdict::Warn,
        () => return Vec::new(),
    };
    vec![(
        severity,
        format!(
            "the memory controllers count {corrected} corrected and {uncorrected} uncorrected errors since boot"
        ),
        "ras-mc-ctl --error-count".to_owned(),
        "Reseat or replace the module that counts them",
    )]
}

/// Nodes with CPUs hold as much memory as each other where every channel has its module.
pub fn modules_missing(facts: &Facts<'_>) -> Vec<Said> {
    let topology = &facts.host.topology;
    let said = |what: String| {
        vec![(
            Verdict::Warn,
            what,
            "sudo dmidecode -t memory".to_owned(),
            "Look for empty slots and modules that failed to train, and fill every channel alike",
        )]
    };
    let sizes: Vec<(usize, u64)> =
        topology.usable_nodes().map(|n| (n.index, n.memory_bytes)).collect();
    let least = sizes.iter().min_by_key(|node| node.1);
    let most = sizes.iter().max_by_key(|node| node.1);
    if let (Some(least), Some(most)) = (least, most)
        && (least.1 as f64) < UNEVEN * most.1 as f64
    {
        let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        return said(format!(
            "node {} has {:.1} GiB, node {} {:.1} GiB",
            least.0,
            gib(least.1),
            most.0,
            gib(most.1)
        ));
    }
    if topology.inference.mode == Mode::Irregular {
        return said(format!("the sockets differ: {}", topology.inference.reason));
    }
    let env = &facts.host.environment;
    let counted = env.number("memory.edac.channels").zip(env.number("cpu.packages"));
    match identity::cpu(facts.reference, env).zip(counted) {
        Some((cpu, (channels, packages))) if channels < packages * f64::from(cpu.channels) => {
            let all = packages * f64::from(cpu.channels);
            said(format!("{channels} of {all} memory channels of {} have modules", cpu.name))
        }
        _ => Vec::new(),
    }
}

/// Modules that run slower than they are made for.
pub fn below_rated_speed(facts: &Facts<'_>) -> Vec<Said> {
    let env = &facts.host.environment;
    let slow: Vec<(f64, f64)> = env
        .0
        .keys()
        .filter_map(|name| name.strip_suffix(".configured_speed_mts"))
        .filter_map(|dimm| {
            let now = env.number(&format!("{dimm}.configured_speed_mts"))?;
            let rated = env.number(&format!("{dimm}.speed_mts"))?;
            (now < rated).then_some((now, rated))
        })
        .collect();
    let Some((now, rated)) = slow.first() else { return Vec::new() };
    vec![(
        Verdict::Warn,
        match slow.len() {
            1 => format!("a module runs at {now} MT/s and is rated for {rated}"),
            n => format!("{n} modules run at {now} MT/s and are rated for {rated}"),
        },
        "sudo dmidecode -t memory".to_owned(),
        "Two modules a channel, mixed modules, the CPU's limit or a BIOS setting lower it: compare Speed with \
         Configured Memory Speed",
    )]
}
