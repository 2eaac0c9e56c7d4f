//! Which node's cores use which node's memory, named by what the two are to each other.
//!
//! Node indices mean other things after a change of nodes per socket; roles do not. So a run with one node a socket
//! and one with four share every metric whose role both have.

use crate::host::cpus::Cores;
use crate::host::topology::Node;
use crate::host::{Root, Topology};

/// What the memory's node is to the cores' node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The same node.
    NodeLocal,
    /// Another node of the same socket.
    SamePackage,
    /// A node of another socket.
    RemotePackage,
    /// A node without cores: CXL, HBM in flat mode, GPU memory.
    MemoryOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] =
        [Self::NodeLocal, Self::SamePackage, Self::RemotePackage, Self::MemoryOnly];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeLocal => "node-local",
            Self::SamePackage => "same-package",
            Self::RemotePackage => "remote-package",
            Self::MemoryOnly => "memory-only-node",
        }
    }

    /// Why a host with `nodes` nodes has no pair of this role.
    pub fn missing(self, nodes: usize) -> String {
        match self {
            Self::NodeLocal => {
                "no NUMA node with both CPUs and memory is open to this process".into()
            }
            Self::MemoryOnly => "no NUMA node without CPUs".into(),
            _ if nodes <= 1 => "one NUMA node".into(),
            Self::SamePackage => "no two NUMA nodes on one socket".into(),
            Self::RemotePackage => "no two sockets with NUMA nodes".into(),
        }
    }
}

/// Cores of one node and the node whose memory they use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Node of the cores, by the operating system's index.
    pub from: usize,
    /// Node of the memory.
    pub to: usize,
    /// What the second is to the first.
    pub role: Role,
    /// One CPU of each core of `from`.
    pub cpus: Vec<usize>,
}

/// Every pair that this process may use, by index of the cores' node, then of the memory's.
pub fn pairs(topology: &Topology, allowed: &[usize]) -> Vec<Pair> {
    let cores_of = |node: &Node| {
        let cpus: Vec<usize> =
            node.cpus.iter().copied().filter(|cpu| allowed.contains(cpu)).collect();
        let cores = Cores::group(&Root::host(), &cpus);
        cores.first(cores.cores()).unwrap_or_default()
    };
    let memory = |node: &&Node| node.allowed && node.memory_bytes > 0;
    let mut pairs = Vec::new();
    for from in &topology.nodes {
        let cpus = cores_of(from);
        if cpus.is_empty() {
            continue;
        }
        for to in topology.nodes.iter().filter(memory) {
            let role = match () {
                () if from.index == to.index => Role::NodeLocal,
                () if to.cpus.is_empty() => Role::MemoryOnly,
                () if from.package.is_some() && from.package == to.package => Role::SamePackage,
                () => Role::RemotePackage,
            };
            pairs.push(Pair { from: from.index, to: to.index, role, cpus: cpus.clone() });
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets of two nodes with four CPUs each, and memory without CPUs; node indices are sparse.
    fn host() -> Topology {
        let mut host = Topology::from_sysfs(&Root::at("/nowhere"));
        let node = |index: usize, cpus: &[usize], package| Node {
            index,
            cpus: cpus.to_vec(),
            memory_bytes: 1 << 30,
            allowed: true,
            package,
            kind: None,
        };
        host.nodes = vec![
            node(0, &[10_000, 10_001], Some(0)),
            node(1, &[10_002, 10_003], Some(0)),
            node(8, &[10_004, 10_005], Some(1)),
            node(9, &[10_006, 10_007], Some(1)),
            node(252, &[], None),
        ];
        host
    }

    fn count(pairs: &[Pair], role: Role) -> usize {
        pairs.iter().filter(|pair| pair.role == role).count()
    }

    #[test]
    fn every_pair_has_its_role() {
        let all: Vec<usize> = (10_000..10_008).collect();
        let pairs = pairs(&host(), &all);
        let counts = Role::ALL.map(|role| count(&pairs, role));
        assert_eq!((pairs.len(), counts), (20, [4, 4, 8, 4]));
        let first = |role| pairs.iter().find(|p| p.role == role).map(|p| (p.from, p.to));
        assert_eq!(first(Role::SamePackage), Some((0, 1)));
        assert_eq!(first(Role::RemotePackage), Some((0, 8)));
        assert_eq!(pairs[0].cpus, [10_000, 10_001]);
    }

    #[test]
    fn what_is_not_allowed_is_left_out() {
        let mut host = host();
        host.nodes[1].allowed = false;
        // Cores of node 1 may compute, but its memory may not be used; node 8 and 9 may not compute.
        let pairs = pairs(&host, &[10_000, 10_002]);
        let found: Vec<(usize, usize)> = pairs.iter().map(|p| (p.from, p.to)).collect();
        assert_eq!(found, [(0, 0), (0, 8), (0, 9), (0, 252), (1, 0), (1, 8), (1, 9), (1, 252)]);
        assert_eq!(pairs[4].role, Role::SamePackage);
    }

    #[test]
    fn this_host_has_local_memory_or_says_why_not() {
        let allowed = crate::host::cpus::affinity().unwrap();
        let topology = Topology::discover();
        let pairs = pairs(&topology, &allowed);
        if topology.usable_nodes().count() > 0 {
            assert!(count(&pairs, Role::NodeLocal) > 0);
        }
        assert_eq!(Role::SamePackage.missing(1), "one NUMA node");
    }
}
