//! Sockets, NUMA nodes, caches and the devices near them, as numbers that a record can keep.
//!
//! hwloc finds them ([`discover`]); where it can't, sysfs gives the essentials. Indices are the operating system's:
//! they may be sparse, nodes may lack CPUs or memory, and some may not be allowed to this process.

mod discover;
mod evidence;
mod sysfs;
mod tree;

use serde::{Deserialize, Serialize};

use super::list;
use super::nps::Inference;
use super::root::Root;

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The operating system's index.
    pub index: usize,
    /// Its CPUs.
    #[serde(with = "list::text")]
    pub cpus: Vec<usize>,
}

/// A NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The operating system's index.
    pub index: usize,
    /// Its CPUs; empty for memory without CPUs (CXL, HBM in flat mode, GPU memory).
    #[serde(with = "list::text")]
    pub cpus: Vec<usize>,
    /// Its memory; 0 for CPUs without memory.
    pub memory_bytes: u64,
    /// Whether this process may use it.
    pub allowed: bool,
    /// The socket that it belongs to, where that is clear.
    pub package: Option<usize>,
    /// hwloc's name for special memory: `HBM`, `NVM`, `GPUMemory`.
    pub kind: Option<String>,
}

impl Node {
    /// Whether threads and buffers can be put here.
    pub fn usable(&self) -> bool {
        self.allowed && !self.cpus.is_empty() && self.memory_bytes > 0
    }
}

/// A data or unified cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// 1 to 4.
    pub level: u8,
    /// Size.
    pub bytes: u64,
    /// The CPUs that share it.
    #[serde(with = "list::text")]
    pub cpus: Vec<usize>,
}

/// A PCIe device that inference uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Domain, bus, device, function: `0000:c1:00.0`.
    pub bdf: String,
    /// `gpu`, `nvme`, `storage`, `network` or `accelerator`.
    pub kind: String,
    /// PCI vendor and device id, hexadecimal: `10de:2bb1`.
    pub id: String,
    /// Marketing name, where a database has it.
    pub name: Option<String>,
    /// What the operating system calls it: `nvme0n1`, `eth0`, `card0`.
    pub os_names: Vec<String>,
    /// The node that it is attached to; absent when the firmware does not tell.
    pub node: Option<usize>,
    /// The CPUs near it.
    #[serde(with = "list::text")]
    pub cpus: Vec<usize>,
    /// The bridges above it, root port first.
    pub upstream: Vec<String>,
    /// Rate of its own link right now, one direction: idle devices slow their links down.
    pub link_gb_per_second: Option<f64>,
}

/// The host's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// What found it: `hwloc, API 2.8.0` or `sysfs`.
    pub source: String,
    /// Sockets.
    pub packages: Vec<Package>,
    /// Hardware threads of each physical core.
    pub cores: Vec<Core>,
    /// NUMA nodes, ascending by index.
    pub nodes: Vec<Node>,
    /// Caches, by level, then by first CPU.
    pub caches: Vec<Cache>,
    /// Distance from each node to each, in the order of `nodes`; empty when the firmware has none, or
    /// there is one node.
    pub distances: Vec<Vec<u64>>,
    /// Devices, by address.
    pub devices: Vec<Device>,
    /// What the firmware made of the memory controllers.
    pub inference: Inference,
}

/// A physical core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Core(#[serde(with = "list::text")] pub Vec<usize>);

impl Topology {
    /// This host's shape. hwloc first; sysfs when hwloc fails or finds no CPU.
    pub fn discover() -> Self {
        let root = Root::host();
        discover::host(&root).unwrap_or_else(|| sysfs::read(&root))
    }

    /// The shape of the host whose sysfs is under `root`, without hwloc.
    pub fn from_sysfs(root: &Root) -> Self {
        sysfs::read(root)
    }

    /// A host that hwloc makes up from its own short notation, for tests.
    #[cfg(test)]
    pub(crate) fn synthetic(description: &str) -> Self {
        let found = hwlocality::Topology::builder().from_synthetic(description).unwrap();
        discover::convert(&found.build().unwrap(), None).unwrap()
    }

    /// The node that `cpu` belongs to.
    pub fn node_of(&self, cpu: usize) -> Option<&Node> {
        self.nodes.iter().find(|node| node.cpus.contains(&cpu))
    }

    /// Nodes where threads and buffers can be put.
    pub fn usable_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.usable())
    }

    /// The last-level caches: core complexes, on AMD.
    pub fn last_level(&self) -> impl Iterator<Item = &Cache> {
        let last = self.caches.iter().map(|cache| cache.level).max();
        self.caches.iter().filter(move |cache| Some(cache.level) == last)
    }
}

#[cfg(test)]
mod tests;
