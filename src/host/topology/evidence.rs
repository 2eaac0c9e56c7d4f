//! From a topology to what the inference of nodes per socket looks at.

use super::super::nps::{Evidence, Inference, Socket, Vendor, infer};
use super::super::root::Root;
use super::Topology;

/// Infers the mode of `topology`, with the CPU's vendor and the kernel's command line from `root`.
pub fn inference(topology: &Topology, root: &Root) -> Inference {
    let cpuinfo = root.read("/proc/cpuinfo").text().unwrap_or_default();
    let entry = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    let line = root.read("/proc/cmdline").text().unwrap_or_default();
    let online = root.list("/sys/devices/system/node/online").unwrap_or_default();
    infer(&Evidence {
        vendor: Vendor::from_id(entry("vendor_id").unwrap_or_default()),
        virtualised: entry("flags")
            .is_some_and(|f| f.split_whitespace().any(|flag| flag == "hypervisor")),
        numa_option: line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("numa="))
            .map(str::to_owned),
        hidden_nodes: online.iter().any(|&node| topology.nodes.iter().all(|n| n.index != node)),
        ..shape(topology)
    })
}

/// The part of the evidence that is in the topology itself.
pub fn shape(topology: &Topology) -> Evidence {
    let whole = |node: &&super::Node| !node.cpus.is_empty() && node.memory_bytes > 0;
    let overlap = |a: &[usize], b: &[usize]| a.iter().any(|cpu| b.contains(cpu));
    let sockets = topology
        .packages
        .iter()
        .map(|package| Socket {
            nodes: topology
                .nodes
                .iter()
                .filter(whole)
                .filter(|node| overlap(&node.cpus, &package.cpus))
                .map(|node| node.index)
                .collect(),
            l3_caches: topology
                .caches
                .iter()
                .filter(|cache| cache.level == 3 && overlap(&cache.cpus, &package.cpus))
                .count(),
        })
        .collect();
    let distances = topology.nodes.iter().zip(&topology.distances).flat_map(|(from, row)| {
        topology.nodes.iter().zip(row).map(|(to, &distance)| ((from.index, to.index), distance))
    });
    Evidence {
        vendor: Vendor::Other,
        virtualised: false,
        numa_option: None,
        hidden_nodes: false,
        sockets,
        cpuless_nodes: topology
            .nodes
            .iter()
            .filter(|node| node.cpus.is_empty() && node.memory_bytes > 0)
            .count(),
        distances: distances.collect(),
    }
}
