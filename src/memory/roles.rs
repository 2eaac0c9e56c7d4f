//! Which node's cores use which node's memory, named by what the two are to each other.
//!
//! Node indices mean other things after a change of nodes per socket; roles do not. So a run with one node a socket
//! and one with four share every metric whose role both have. Pairs of one role are told apart by position: `p0n1` is
//! the second node of the first socket, `p1m0` the first node without CPUs that is attached to the second. A pair of
//! positions that two runs share has the same role in both.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::Topology;
use crate::host::topology::{Device, Node};
use crate::record::figure::Cell;

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
    /// The same node, and a GPU is attached to it.
    GpuLocal,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::NodeLocal, Self::SamePackage, Self::RemotePackage, Self::MemoryOnly, Self::GpuLocal];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeLocal => "node-local",
            Self::SamePackage => "same-package",
            Self::RemotePackage => "remote-package",
            Self::MemoryOnly => "memory-only-node",
            Self::GpuLocal => "gpu-local",
        }
    }

    /// Why a host has no pair of this role.
    pub fn missing(self, topology: &Topology) -> String {
        match self {
            Self::NodeLocal => {
                "no NUMA node with both CPUs and memory is open to this process".into()
            }
            Self::MemoryOnly => "no NUMA node without CPUs".into(),
            Self::GpuLocal if gpus(topology).next().is_none() => "no GPU on the PCI bus".into(),
            Self::GpuLocal => "the firmware does not tell which NUMA node the GPU is at, or the node is not open to \
                               this process"
                .into(),
            _ if topology.nodes.len() <= 1 => "one NUMA node".into(),
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
    /// Positions of the two: `p0n1`, `p1n0`.
    pub labels: [String; 2],
    /// What the second is to the first.
    pub role: Role,
    /// The firmware's distance from the first to the second, where it has one.
    pub distance: Option<u64>,
    /// One CPU of each core of `from`.
    pub cpus: Vec<usize>,
}

impl Pair {
    /// What a record tells about the pair; indices are data here.
    pub fn notes(&self) -> BTreeMap<String, Value> {
        let mut notes = BTreeMap::from([
            ("cpu_node".to_owned(), self.from.into()),
            ("memory_node".to_owned(), self.to.into()),
            ("role".to_owned(), self.role.name().into()),
        ]);
        if let Some(distance) = self.distance {
            notes.insert("distance".into(), distance.into());
        }
        notes
    }

    /// The pair's place in the matrix of all pairs that is called `matrix`.
    pub fn cell(&self, matrix: &str) -> Cell {
        let [row, column] = self.labels.clone();
        Cell {
            matrix: matrix.into(),
            row_title: "cores of".into(),
            column_title: "memory of".into(),
            row,
            column,
        }
    }
}

/// Every pair that this process may use, by index of the cores' node, then of the memory's. `allowed` are the CPUs
/// that it may run on.
pub fn pairs(topology: &Topology, allowed: &[usize]) -> Vec<Pair> {
    let label = |node: &Node| label(topology, node);
    let mut pairs = Vec::new();
    for (row, from) in topology.nodes.iter().enumerate() {
        let cpus = cores_of(topology, from, allowed);
        if cpus.is_empty() {
            continue;
        }
        for (column, to) in topology.nodes.iter().enumerate() {
            if !to.allowed || to.memory_bytes == 0 {
                continue;
            }
            let role = match () {
                () if from.index == to.index => Role::NodeLocal,
                () if to.cpus.is_empty() => Role::MemoryOnly,
                () if from.package.is_some() && from.package == to.package => Role::SamePackage,
                () => Role::RemotePackage,
            };
            pairs.push(Pair {
                from: from.index,
                to: to.index,
                labels: [label(from), label(to)],
                role,
                distance: topology.distances.get(row).and_then(|row| row.get(column)).copied(),
                cpus: cpus.clone(),
            });
        }
    }
    pairs
}

/// The pair that stands for `role`: the first that has it; the node of the first GPU for [`Role::GpuLocal`].
pub fn representative(topology: &Topology, pairs: &[Pair], role: Role) -> Option<Pair> {
    if role != Role::GpuLocal {
        return pairs.iter().find(|pair| pair.role == role).cloned();
    }
    let local = |node| pairs.iter().find(|pair| pair.from == node && pair.to == node);
    let pair = gpus(topology).filter_map(|gpu| gpu.node).find_map(local);
    pair.map(|pair| Pair { role, ..pair.clone() })
}

/// GPUs that compute: a server's own display controller is of the same PCI class.
fn gpus(topology: &Topology) -> impl Iterator<Item = &Device> {
    /// NVIDIA, AMD and Intel (PCI vendor ids).
    const VENDORS: [&str; 3] = ["10de:", "1002:", "8086:"];
    let computes = |device: &&Device| VENDORS.iter().any(|vendor| device.id.starts_with(vendor));
    topology.devices.iter().filter(|device| device.kind == "gpu").filter(computes)
}

/// One CPU of each core of `node` that is `allowed`.
fn cores_of(topology: &Topology, node: &Node, allowed: &[usize]) -> Vec<usize> {
    let usable = |cpu: &&usize| node.cpus.contains(cpu) && allowed.contains(cpu);
    topology.cores.iter().filter_map(|core| core.0.iter().find(usable).copied()).collect()
}

/// The position of `node`: its socket's among the sockets, its own among the nodes of its kind there.
fn label(topology: &Topology, node: &Node) -> String {
    let kind = |node: &Node| if node.cpus.is_empty() { 'm' } else { 'n' };
    let same = |other: &&Node| other.package == node.package && kind(other) == kind(node);
    let nth = topology.nodes.iter().filter(same).position(|other| other.index == node.index);
    let mut packages: Vec<usize> = topology.packages.iter().map(|package| package.index).collect();
    packages.sort_unstable();
    let package = packages.iter().position(|&index| Some(index) == node.package);
    let package = package.map(|nth| format!("p{nth}")).unwrap_or_default();
    format!("{package}{}{}", kind(node), nth.unwrap_or(0))
}

#[cfg(test)]
mod tests;
