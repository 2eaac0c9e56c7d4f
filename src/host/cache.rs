//! Sizes of the CPU caches: what a working set has to exceed to be cold, and what a block has to fit into.
//!
//! sysfs tells them for every CPU; where a virtual machine hides that directory, hwloc asks the CPU itself.

use std::collections::BTreeSet;

use hwlocality::Topology;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::types::ObjectType;
use serde::{Deserialize, Serialize};

use super::root::Root;

/// Taken for the last-level caches when the host hides them: those of a 96-core EPYC 9654, to be large enough for most
/// hosts. A guess, and marked as one by [`Caches::assumed`].
const ASSUMED_LAST_LEVEL: usize = 384 << 20;

/// Cache sizes in bytes, as seen from a set of CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// Level 1, data, of one core.
    pub l1_data: Option<usize>,
    /// Level 2 of one core (or of the cores that share it).
    pub l2: Option<usize>,
    /// Level 3, one instance.
    pub l3: Option<usize>,
    /// Sum of the last-level caches that the CPUs use, each instance counted once.
    pub last_level_total: usize,
    /// CPUs that share one instance of the last level.
    pub last_level_sharers: usize,
    /// True when the host tells nothing and `last_level_total` is a cautious guess.
    pub assumed: bool,
}

/// One cache as seen by one CPU.
pub(super) struct Instance {
    pub level: u8,
    /// Holds data, or data and instructions.
    pub data: bool,
    pub bytes: usize,
    /// The CPUs that share it: its identity.
    pub sharers: Vec<usize>,
}

impl Caches {
    /// The caches that `cpus` of this host use.
    pub fn of(cpus: &[usize]) -> Self {
        Self::read(&Root::host(), cpus)
    }

    /// The caches that `cpus` use, by sysfs under `root`; on the running host by hwloc when sysfs has none.
    pub fn read(root: &Root, cpus: &[usize]) -> Self {
        let mut instances = instances(root, cpus);
        if instances.is_empty() && root.is_host() {
            instances = from_hwloc(cpus);
        }
        Self::from_instances(&instances)
    }

    fn from_instances(instances: &[Instance]) -> Self {
        let first = |level| instances.iter().find(|c| c.level == level && c.data).map(|c| c.bytes);
        let last = instances.iter().filter(|c| c.data).map(|c| c.level).max();
        let mut seen = BTreeSet::new();
        let last_level: Vec<&Instance> = instances
            .iter()
            .filter(|c| c.data && Some(c.level) == last && seen.insert(&c.sharers))
            .collect();
        let assumed = last_level.is_empty();
        Self {
            l1_data: first(1),
            l2: first(2),
            l3: first(3),
            last_level_total: if assumed {
                ASSUMED_LAST_LEVEL
            } else {
                last_level.iter().map(|c| c.bytes).sum()
            },
            last_level_sharers: last_level.first().map_or(1, |c| c.sharers.len().max(1)),
            assumed,
        }
    }
}

/// Every cache of every one of `cpus` that sysfs shows.
pub(super) fn instances(root: &Root, cpus: &[usize]) -> Vec<Instance> {
    let mut instances = Vec::new();
    for cpu in cpus {
        let directory = format!("/sys/devices/system/cpu/cpu{cpu}/cache");
        for name in root.names(&directory).iter().filter(|name| name.starts_with("index")) {
            let at = |file: &str| root.read(&format!("{directory}/{name}/{file}")).text();
            let instance = || {
                Some(Instance {
                    level: at("level")?.parse().ok()?,
                    data: at("type")? != "Instruction",
                    bytes: parse_size(&at("size")?)?,
                    sharers: at("shared_cpu_list")
                        .and_then(|list| super::list::parse(&list))
                        .unwrap_or_else(|| vec![*cpu]),
                })
            };
            instances.extend(instance());
        }
    }
    instances
}

/// Parses the kernel's cache sizes: `32768K`, `1M`. Zero is no size.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << unit).filter(|&bytes| bytes > 0)
}

fn from_hwloc(cpus: &[usize]) -> Vec<Instance> {
    let Ok(topology) = Topology::new() else { return Vec::new() };
    let levels = [(ObjectType::L1Cache, 1), (ObjectType::L2Cache, 2), (ObjectType::L3Cache, 3)];
    let mut instances = Vec::new();
    for (kind, level) in levels {
        for object in topology.objects_with_type(kind) {
            let Some(ObjectAttributes::Cache(cache)) = object.attributes() else { continue };
            let sharers: Vec<usize> = object
                .cpuset()
                .map(|set| set.iter_set().map(usize::from).collect())
                .unwrap_or_default();
            if let Some(size) = cache.size()
                && sharers.iter().any(|cpu| cpus.contains(cpu))
            {
                let bytes = usize::try_from(size.get()).unwrap_or(usize::MAX);
                instances.push(Instance { level, data: true, bytes, sharers });
            }
        }
    }
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CCDs of four cores: private L1 and L2, an L3 each.
    fn two_ccds() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for cpu in 0..8 {
            let own = cpu.to_string();
            let ccd = if cpu < 4 { "0-3" } else { "4-7" };
            let caches = [
                ("1", "Data", "32K", own.as_str()),
                ("1", "Instruction", "64K", own.as_str()),
                ("2", "Unified", "1024K", own.as_str()),
                ("3", "Unified", "32768K", ccd),
            ];
            for (i, (level, kind, size, shared)) in caches.into_iter().enumerate() {
                let at = dir.path().join(format!("sys/devices/system/cpu/cpu{cpu}/cache/index{i}"));
                std::fs::create_dir_all(&at).unwrap();
                for (file, text) in
                    [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
                {
                    std::fs::write(at.join(file), format!("{text}\n")).unwrap();
                }
            }
        }
        let root = Root::at(dir.path());
        (dir, root)
    }

    #[test]
    fn each_last_level_instance_counts_once() {
        let (_dir, root) = two_ccds();
        let all = Caches::read(&root, &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((all.l1_data, all.l2), (Some(32 << 10), Some(1 << 20)));
        assert_eq!((all.l3, all.last_level_total), (Some(32 << 20), 64 << 20));
        assert_eq!((all.last_level_sharers, all.assumed), (4, false));
        assert_eq!(Caches::read(&root, &[1, 2]).last_level_total, 32 << 20);
        assert_eq!(Caches::read(&root, &[3, 4]).last_level_total, 64 << 20);
    }

    #[test]
    fn hidden_caches_are_assumed_and_said_to_be() {
        let caches = Caches::read(&Root::at("/nowhere"), &[0]);
        assert!(caches.assumed && caches.l3.is_none() && caches.last_level_total > 0);
    }

    #[test]
    fn garbled_sizes_are_ignored() {
        let (dir, root) = two_ccds();
        for cpu in 0..8 {
            let size = format!("sys/devices/system/cpu/cpu{cpu}/cache/index3/size");
            std::fs::write(
                dir.path().join(size),
                ["0K", "-1K", "big", "9999999999999999999G"][cpu % 4],
            )
            .unwrap();
        }
        let caches = Caches::read(&root, &[0, 1, 2, 3]);
        assert_eq!((caches.l3, caches.last_level_total), (None, 4 << 20));
    }

    #[test]
    fn hwloc_agrees_with_sysfs_on_this_host() {
        let cpus = super::super::cpus::affinity().unwrap();
        let (sysfs, hwloc) = (instances(&Root::host(), &cpus), from_hwloc(&cpus));
        if !sysfs.is_empty() && !hwloc.is_empty() {
            assert_eq!(Caches::from_instances(&sysfs), Caches::from_instances(&hwloc));
        }
    }
}
