//! What is copied: which way, between what, how much, by whom.

use super::memory::Kind;
use crate::host::{Root, Topology};
use crate::record::MetricId;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The device reads host memory.
    HostToDevice,
    /// The device writes host memory.
    DeviceToHost,
    /// Both at once, by two streams.
    Both,
}

impl Direction {
    /// One way at a time.
    pub const ONE_WAY: [Self; 2] = [Self::HostToDevice, Self::DeviceToHost];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostToDevice => "h2d",
            Self::DeviceToHost => "d2h",
            Self::Both => "both",
        }
    }
}

/// Who moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The device's copy engine.
    Copy,
    /// A kernel on its multiprocessors, which reads or writes host memory.
    Multiprocessors,
}

/// Where host memory lies, seen from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Where the copying thread touches it first: the only place where there is one NUMA node.
    FirstTouch,
    /// On the device's own node, by the operating system's index.
    NodeLocal(usize),
    /// On the farthest of the other nodes.
    Remote(usize),
    /// On a node by its index, whatever its role.
    Node(usize),
}

impl Site {
    /// Name in metrics: nodes by role where they have one, since their indices change.
    pub fn name(self) -> String {
        match self {
            Self::FirstTouch => "first-touch".into(),
            Self::NodeLocal(_) => "node-local".into(),
            Self::Remote(_) => "remote".into(),
            Self::Node(node) => format!("node{node}"),
        }
    }

    /// The node that memory is bound to.
    pub const fn node(self) -> Option<usize> {
        match self {
            Self::FirstTouch => None,
            Self::NodeLocal(node) | Self::Remote(node) | Self::Node(node) => Some(node),
        }
    }

    /// The roles of places for memory of the device at `address`: its own node and the farthest of the others; where the
    /// firmware tells no node of the device, or there is one node, first touch alone.
    pub fn roles(root: &Root, topology: &Topology, address: &str) -> Vec<Self> {
        let path = format!("sys/bus/pci/devices/{address}/numa_node");
        let own = root.read(&path).text().and_then(|text| text.trim().parse::<usize>().ok());
        let nodes: Vec<usize> = topology.usable_nodes().map(|node| node.index).collect();
        let Some(own) = own.filter(|own| nodes.len() > 1 && nodes.contains(own)) else {
            return vec![Self::FirstTouch];
        };
        let place = |index| topology.nodes.iter().position(|node| node.index == index);
        let distance = |other: usize| {
            let row = topology.distances.get(place(own)?)?;
            row.get(place(other)?).copied()
        };
        let others = nodes.into_iter().filter(|&node| node != own);
        let farthest = others.max_by_key(|&node| distance(node));
        std::iter::once(Self::NodeLocal(own)).chain(farthest.map(Self::Remote)).collect()
    }
}

/// One problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Which way.
    pub direction: Direction,
    /// How host memory is allocated.
    pub memory: Kind,
    /// Who moves the bytes.
    pub engine: Engine,
    /// Where host memory lies.
    pub site: Site,
    /// Bytes of one copy.
    pub bytes: usize,
    /// Whether all cores read DRAM meanwhile.
    pub under_load: bool,
}

impl Problem {
    /// `pcie/h2d/pinned/gpu0/first-touch/256MiB`; kernels on the multiprocessors are `pinned-sm`; while the cores read
    /// DRAM, `/loaded` follows.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let memory = match self.engine {
            Engine::Copy => self.memory.name().to_owned(),
            Engine::Multiprocessors => format!("{}-sm", self.memory.name()),
        };
        let (gpu, site, size) = (format!("gpu{ordinal}"), self.site.name(), size(self.bytes));
        let segments = ["pcie", self.direction.name(), &memory, &gpu, &site, &size];
        MetricId::new(segments.into_iter().chain(self.under_load.then_some("loaded")))
    }
}

/// `4KiB`, `256MiB`.
pub fn size(bytes: usize) -> String {
    match bytes {
        b if b >= 1 << 30 => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 => format!("{}MiB", b >> 20),
        b => format!("{}KiB", b >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::topology::Node;

    const ADDRESS: &str = "0000:c1:00.0";

    fn sites(nodes: usize, gpu_node: &str) -> Vec<Site> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let device = dir.path().join("sys/bus/pci/devices").join(ADDRESS);
        std::fs::create_dir_all(&device).expect("made");
        std::fs::write(device.join("numa_node"), gpu_node).expect("written");
        let root = Root::at(dir.path());
        let mut topology = Topology::from_sysfs(&root);
        topology.nodes = (0..nodes)
            .map(|index| Node {
                index,
                cpus: vec![index],
                memory_bytes: 1 << 30,
                allowed: true,
                package: Some(index),
                kind: None,
            })
            .collect();
        topology.distances =
            (0..nodes).map(|i| (0..nodes).map(|j| 10 + i.abs_diff(j) as u64).collect()).collect();
        Site::roles(&root, &topology, ADDRESS)
    }

    #[test]
    fn sites_are_named_by_role() {
        assert_eq!(sites(1, "0\n"), [Site::FirstTouch]);
        assert_eq!(sites(4, "1\n"), [Site::NodeLocal(1), Site::Remote(3)]);
        assert_eq!(sites(4, "-1\n"), [Site::FirstTouch], "the firmware does not tell");
    }

    #[test]
    fn metrics_have_the_names_of_older_runs() {
        let problem = Problem {
            direction: Direction::HostToDevice,
            memory: Kind::Pinned,
            engine: Engine::Copy,
            site: Site::FirstTouch,
            bytes: 256 << 20,
            under_load: false,
        };
        assert_eq!(problem.metric(0).as_str(), "pcie/h2d/pinned/gpu0/first-touch/256MiB");
        let loaded = Problem { under_load: true, site: Site::Node(3), ..problem };
        assert_eq!(loaded.metric(0).as_str(), "pcie/h2d/pinned/gpu0/node3/256MiB/loaded");
        let kernel = Problem { engine: Engine::Multiprocessors, bytes: 4 << 10, ..problem };
        assert_eq!(kernel.metric(1).as_str(), "pcie/h2d/pinned-sm/gpu1/first-touch/4KiB");
    }
}
