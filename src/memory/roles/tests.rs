//! Roles and positions on hosts of every shape, sparse indices, and what may not be used.

use super::*;

fn all(topology: &Topology) -> Vec<usize> {
    topology.cores.iter().flat_map(|core| core.0.clone()).collect()
}

fn count(pairs: &[Pair], role: Role) -> usize {
    pairs.iter().filter(|pair| pair.role == role).count()
}

/// Sockets, nodes of each, and how many pairs of each role there are: local, same socket, other socket, memory only.
#[test]
fn every_shape_has_its_roles() {
    const NUMA: &str = "[numa(memory=1GB)]";
    for (description, cores, counts) in [
        (format!("Package:1 {NUMA} L3:12 Core:8 PU:2"), 96, [1, 0, 0, 0]),
        (format!("Package:2 {NUMA} L3:12 Core:8 PU:2"), 96, [2, 0, 2, 0]),
        // NPS0: one node that both sockets share.
        (format!("{NUMA} Package:2 L3:12 Core:8 PU:2"), 192, [1, 0, 0, 0]),
        (format!("Package:1 Group:2 {NUMA} L3:6 Core:8 PU:2"), 48, [2, 2, 0, 0]),
        (format!("Package:2 Group:2 {NUMA} L3:6 Core:8 PU:2"), 48, [4, 4, 8, 0]),
        (format!("Package:1 Group:4 {NUMA} L3:3 Core:8 PU:2"), 24, [4, 12, 0, 0]),
        (format!("Package:2 Group:4 {NUMA} L3:3 Core:8 PU:2"), 24, [8, 24, 32, 0]),
        // L3 as NUMA.
        (format!("Package:1 L3:8 {NUMA} Core:8 PU:2"), 8, [8, 56, 0, 0]),
        (format!("Package:2 L3:12 {NUMA} Core:8 PU:2"), 8, [24, 264, 288, 0]),
        // SNC2, and HBM in flat mode or CXL beside DRAM.
        (format!("Package:2 L3:1 Group:2 {NUMA} Core:16 PU:2"), 16, [4, 4, 8, 0]),
        (format!("Package:2 {NUMA} {NUMA} L3:1 Core:8 PU:2"), 8, [2, 0, 2, 4]),
    ] {
        let host = Topology::synthetic(&description);
        let pairs = pairs(&host, &all(&host));
        let found = [Role::NodeLocal, Role::SamePackage, Role::RemotePackage, Role::MemoryOnly]
            .map(|role| count(&pairs, role));
        assert_eq!(found, counts, "{description}");
        assert!(pairs.iter().all(|pair| pair.cpus.len() == cores), "{description}");
        let names: std::collections::BTreeSet<_> = pairs.iter().map(|p| &p.labels).collect();
        assert_eq!(names.len(), pairs.len(), "{description}");
    }
}

/// A name that two modes of one host share means the same in both.
#[test]
fn positions_keep_their_role_when_nodes_are_renumbered() {
    let named = |description: &str| -> std::collections::BTreeMap<[String; 2], Role> {
        let host = Topology::synthetic(description);
        let pairs = pairs(&host, &all(&host));
        pairs.into_iter().map(|pair| (pair.labels, pair.role)).collect()
    };
    let nps1 = named("Package:2 [numa(memory=1GB)] L3:12 Core:8 PU:2");
    let nps4 = named("Package:2 Group:4 [numa(memory=1GB)] L3:3 Core:8 PU:2");
    assert_eq!(nps1[&["p0n0".to_owned(), "p1n0".to_owned()]], Role::RemotePackage);
    for (name, role) in &nps1 {
        assert_eq!(nps4.get(name), Some(role), "{name:?}");
    }
}

/// Two sockets of two nodes with two CPUs each, and memory without CPUs; node indices are sparse.
fn sparse() -> Topology {
    let mut host = Topology::synthetic("Package:2 Group:2 [numa(memory=1GB)] Core:2 PU:1");
    for (node, index) in host.nodes.iter_mut().zip([0, 1, 8, 9]) {
        node.index = index;
    }
    host.nodes.push(Node {
        index: 252,
        cpus: Vec::new(),
        memory_bytes: 1 << 30,
        allowed: true,
        package: None,
        kind: None,
    });
    host.distances = (0..5).map(|i| (0..5).map(|j| 10 * i + j).collect()).collect();
    host
}

#[test]
fn sparse_nodes_keep_their_indices_and_distances() {
    let host = sparse();
    let pairs = pairs(&host, &all(&host));
    assert_eq!(pairs.len(), 20);
    let remote = representative(&host, &pairs, Role::RemotePackage).unwrap();
    assert_eq!((remote.from, remote.to, remote.distance), (0, 8, Some(2)));
    assert_eq!(remote.labels, ["p0n0", "p1n0"]);
    let far = representative(&host, &pairs, Role::MemoryOnly).unwrap();
    assert_eq!((far.to, far.labels[1].as_str(), far.distance), (252, "m0", Some(4)));
    assert_eq!(far.cpus, [0, 1]);
}

#[test]
fn what_is_not_allowed_is_left_out() {
    let mut host = sparse();
    host.nodes[1].allowed = false;
    // Cores of node 1 may compute, but its memory may not be used; node 8 and 9 may not compute.
    let pairs = pairs(&host, &[0, 2]);
    let found: Vec<(usize, usize)> = pairs.iter().map(|p| (p.from, p.to)).collect();
    assert_eq!(found, [(0, 0), (0, 8), (0, 9), (0, 252), (1, 0), (1, 8), (1, 9), (1, 252)]);
    assert_eq!((pairs[4].role, &pairs[4].cpus[..]), (Role::SamePackage, &[2][..]));
    let empty = Topology::synthetic("Package:2 [numa(memory=0)] Core:2 PU:1");
    assert!(super::pairs(&empty, &all(&empty)).is_empty());
}

#[test]
fn a_gpu_is_local_to_its_own_node() {
    let mut host = sparse();
    let found = pairs(&host, &all(&host));
    assert_eq!(representative(&host, &found, Role::GpuLocal), None);
    assert_eq!(Role::GpuLocal.missing(&host), "no GPU on the PCI bus");
    let gpu = |node| Device {
        bdf: "0000:c1:00.0".into(),
        kind: "gpu".into(),
        id: "10de:2bb1".into(),
        name: None,
        os_names: Vec::new(),
        node,
        cpus: Vec::new(),
        upstream: Vec::new(),
        link_gb_per_second: None,
    };
    // A display controller does not compute, and the first GPU does not tell its node.
    host.devices = vec![Device { id: "1a03:2000".into(), ..gpu(Some(0)) }];
    assert_eq!(Role::GpuLocal.missing(&host), "no GPU on the PCI bus");
    host.devices.push(gpu(None));
    assert_eq!(representative(&host, &found, Role::GpuLocal), None);
    assert!(Role::GpuLocal.missing(&host).contains("firmware"));
    host.devices.push(gpu(Some(8)));
    let local = representative(&host, &found, Role::GpuLocal).unwrap();
    assert_eq!((local.from, local.to, local.role), (8, 8, Role::GpuLocal));
}

#[test]
fn this_host_has_local_memory_or_says_why_not() {
    let allowed = crate::host::cpus::affinity().unwrap();
    let topology = Topology::discover();
    let pairs = pairs(&topology, &allowed);
    if topology.usable_nodes().count() > 0 {
        assert!(count(&pairs, Role::NodeLocal) > 0);
    }
    let one = Topology::synthetic("Package:1 [numa(memory=1GB)] Core:2 PU:1");
    assert_eq!(Role::SamePackage.missing(&one), "one NUMA node");
}
