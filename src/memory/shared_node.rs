//! The measured sign of what the firmware did: all cores of a socket read the memory of one of its nodes.
//!
//! With real nodes a socket's channels are divided, so one node gives half or a quarter of them; where only the caches
//! are presented as nodes, one node's memory is spread over more channels than that. The topology alone can't always tell
//! the two apart, and distances are what the firmware was told to say.

use std::sync::Arc;

use serde_json::json;

use super::ceiling::DramCeiling;
use super::roles::{Pair, Role};
use super::stream::{Home, Loop, Stream};
use crate::host::topology::Topology;
use crate::host::{Workers, nps};
use crate::measure::threads::rate;
use crate::record::MetricId;
use crate::{Error, Result};

/// Name of the metric.
pub fn id() -> MetricId {
    MetricId::new(["dram", Loop::Read.name(), "socket-from-one-node"])
}

/// A socket whose cores belong to several nodes with memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divided {
    /// The nodes, by the operating system's index.
    nodes: Vec<usize>,
    /// One CPU of each core, and the node that it belongs to.
    cpus: Vec<(usize, usize)>,
}

/// The first socket with several usable nodes; `None` when there is none.
pub fn divided(topology: &Topology, pairs: &[Pair]) -> Option<Divided> {
    topology.packages.iter().find_map(|package| {
        let own = |pair: &&Pair| {
            let node = topology.nodes.iter().find(|node| node.index == pair.from);
            pair.role == Role::NodeLocal && node.is_some_and(|n| n.package == Some(package.index))
        };
        let local: Vec<&Pair> = pairs.iter().filter(own).collect();
        let cpus = local.iter().flat_map(|pair| pair.cpus.iter().map(|&cpu| (cpu, pair.from)));
        let nodes: Vec<usize> = local.iter().map(|pair| pair.from).collect();
        (nodes.len() > 1).then(|| Divided { nodes, cpus: cpus.collect() })
    })
}

/// Measures what the socket's cores read from all of its nodes, each from its own, and prepares them to read one.
///
/// # Errors
/// [`Error::Unavailable`] when binding is denied; otherwise as [`Stream::at`].
pub fn from_one_node(topology: &Topology, socket: &Divided) -> Result<Stream> {
    let Some(&node) = socket.nodes.first() else {
        return Err(Error::Unavailable("no node to read from".into()));
    };
    let (cpus, own): (Vec<usize>, Vec<usize>) = socket.cpus.iter().copied().unzip();
    let workers = Arc::new(Workers::on(&cpus)?);
    let read = |home: &Home| {
        let ceiling = DramCeiling::not_known("the share of one node in the channels is not known");
        Stream::at(id(), workers.clone(), Loop::Read, home, ceiling)
    };
    let all = rate(&mut read(&Home::Each(own))?)?;
    let mut stream = read(&Home::Node(node))?;
    let share = rate(&mut stream)? / all;
    let inference = nps::measured(&topology.inference, socket.nodes.len() as u32, share);
    stream.note("memory_node", node);
    stream.note("nodes_of_socket", json!(socket.nodes));
    stream.note("all_nodes_gb_per_second", all);
    stream.note("share_of_all_nodes", share);
    stream.note("concluded", inference.to_string());
    stream.note("inference", json!(inference));
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::super::roles::pairs;
    use super::*;

    #[test]
    fn only_divided_sockets_are_asked() {
        let found = |description: &str| {
            let host = Topology::synthetic(description);
            let all: Vec<usize> = host.cores.iter().flat_map(|core| core.0.clone()).collect();
            divided(&host, &pairs(&host, &all))
        };
        const NUMA: &str = "[numa(memory=1GB)]";
        assert_eq!(found(&format!("Package:2 {NUMA} L3:4 Core:2 PU:2")), None);
        assert_eq!(found(&format!("{NUMA} Package:2 L3:4 Core:2 PU:2")), None);
        // Memory without CPUs divides nothing.
        assert_eq!(found(&format!("Package:2 {NUMA} {NUMA} L3:4 Core:2 PU:2")), None);
        let nps2 = found(&format!("Package:2 Group:2 {NUMA} L3:1 Core:2 PU:2")).unwrap();
        assert_eq!((nps2.nodes, nps2.cpus), (vec![0, 1], vec![(0, 0), (2, 0), (4, 1), (6, 1)]));
        let l3 = found(&format!("Package:1 L3:8 {NUMA} Core:2 PU:1")).unwrap();
        assert_eq!(l3.nodes.len(), 8);
    }

    /// The machinery on one node that is taken twice: everything but the conclusion is as on a divided socket.
    #[test]
    fn shares_are_measured_and_kept() {
        let topology = Topology::discover();
        let cpus = crate::host::cpus::affinity().unwrap();
        let Some(node) = topology.usable_nodes().next().map(|node| node.index) else { return };
        if crate::host::Caches::of(&cpus).last_level_total > 64 << 20 {
            return; // too much memory for a test
        }
        let socket =
            Divided { nodes: vec![node, node], cpus: cpus.iter().map(|&c| (c, node)).collect() };
        match from_one_node(&topology, &socket) {
            Ok(stream) => {
                use crate::measure::Subject;
                let details = stream.details();
                assert!(details["share_of_all_nodes"].as_f64().unwrap() > 0.0, "{details:?}");
                assert!(details.contains_key("inference"));
            }
            Err(Error::Unavailable(why)) => assert!(why.contains("binding denied"), "{why}"),
            Err(other) => panic!("{other}"),
        }
    }
}
