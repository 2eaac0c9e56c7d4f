//! The essentials from sysfs alone: sockets, cores, nodes, caches, distances.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cache::instances;
use super::super::cpus::Cores;
use super::super::nps::{Confidence, Inference, Mode};
use super::super::root::Root;
use super::{Cache, Core, Node, Package, Topology, evidence};

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// Reads what is there; what is not stays empty.
pub fn read(root: &Root) -> Topology {
    let cpus = root.list(&format!("{CPUS}/online")).unwrap_or_default();
    let mut packages: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &cpu in &cpus {
        let package = root.number(&format!("{CPUS}/cpu{cpu}/topology/physical_package_id"));
        packages.entry(package.unwrap_or(0) as usize).or_default().push(cpu);
    }
    let packages: Vec<Package> =
        packages.into_iter().map(|(index, cpus)| Package { index, cpus }).collect();
    let online = root.list(&format!("{NODES}/online")).unwrap_or_default();
    let nodes: Vec<Node> = online.iter().map(|&index| node(root, index, &packages)).collect();
    let distances: Vec<Vec<u64>> = online
        .iter()
        .filter_map(|index| {
            let text = root.read(&format!("{NODES}/node{index}/distance")).text()?;
            text.split_whitespace().map(|distance| distance.parse().ok()).collect()
        })
        .filter(|row: &Vec<u64>| row.len() == nodes.len())
        .collect();
    // A node alone has no distance to speak of; hwloc sees it the same way.
    let whole = nodes.len() > 1 && distances.len() == nodes.len();
    let distances = if whole { distances } else { Vec::new() };
    let mut topology = Topology {
        source: "sysfs".into(),
        cores: Cores::group(root, &cpus).groups().map(|core| Core(core.to_vec())).collect(),
        packages,
        nodes,
        caches: caches(root, &cpus),
        distances,
        devices: Vec::new(),
        inference: Inference {
            mode: Mode::Unknown,
            confidence: Confidence::None,
            inferred_by: Vec::new(),
            reason: String::new(),
        },
    };
    topology.inference = evidence::inference(&topology, root);
    topology
}

fn node(root: &Root, index: usize, packages: &[Package]) -> Node {
    let at = format!("{NODES}/node{index}");
    let cpus = root.list(&format!("{at}/cpulist")).unwrap_or_default();
    let meminfo = root.read(&format!("{at}/meminfo")).text().unwrap_or_default();
    let memory_bytes = super::super::pages::kilobytes(&meminfo, "MemTotal:").unwrap_or(0);
    let status = root.read("/proc/self/status").text().unwrap_or_default();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Mems_allowed_list:"))
        .and_then(super::super::list::parse);
    let package = packages.iter().find(|p| cpus.iter().any(|cpu| p.cpus.contains(cpu)));
    Node {
        index,
        memory_bytes,
        allowed: allowed.is_none_or(|nodes| nodes.contains(&index)),
        package: package.map(|p| p.index),
        kind: None,
        cpus,
    }
}

fn caches(root: &Root, cpus: &[usize]) -> Vec<Cache> {
    let mut seen = BTreeSet::new();
    let mut caches: Vec<Cache> = instances(root, cpus)
        .into_iter()
        .filter(|cache| cache.data && seen.insert((cache.level, cache.sharers.clone())))
        .map(|cache| Cache { level: cache.level, bytes: cache.bytes as u64, cpus: cache.sharers })
        .collect();
    caches.sort_by(|a, b| (a.level, &a.cpus).cmp(&(b.level, &b.cpus)));
    caches
}
