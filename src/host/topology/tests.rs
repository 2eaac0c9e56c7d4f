//! Hosts made up by hwloc's own generator, and the agreement of both readers on this one.

use super::super::nps::{Confidence, Vendor, infer};
use super::*;

fn synthetic(description: &str) -> Topology {
    Topology::synthetic(description)
}

fn inferred(description: &str, vendor: Vendor) -> String {
    infer(&super::super::nps::Evidence { vendor, ..evidence::shape(&synthetic(description)) })
        .to_string()
}

#[test]
fn synthetic_hosts_are_told_apart() {
    const GIB: &str = "(memory=1GB)";
    for (description, vendor, name) in [
        (format!("Package:1 [numa{GIB}] L3:12 Core:8 PU:2"), Vendor::Amd, "NPS1"),
        (format!("Package:2 [numa{GIB}] L3:12 Core:8 PU:2"), Vendor::Amd, "NPS1"),
        (format!("[numa{GIB}] Package:2 L3:12 Core:8 PU:2"), Vendor::Amd, "NPS0"),
        (format!("Package:2 Group:2 [numa{GIB}] L3:6 Core:8 PU:2"), Vendor::Amd, "NPS2"),
        (format!("Package:2 Group:4 [numa{GIB}] L3:3 Core:8 PU:2"), Vendor::Amd, "NPS4"),
        (format!("Package:1 L3:8 [numa{GIB}] Core:8 PU:2"), Vendor::Amd, "L3 as NUMA"),
        (format!("Package:2 L3:12 [numa{GIB}] Core:8 PU:2"), Vendor::Amd, "L3 as NUMA"),
        (format!("Package:2 L3:4 [numa{GIB}] Core:8 PU:2"), Vendor::Amd, "NPS4 or L3 as NUMA"),
        (format!("Package:2 [numa{GIB}] L3:1 Core:32 PU:2"), Vendor::Intel, "SNC off"),
        (format!("Package:2 L3:1 Group:2 [numa{GIB}] Core:16 PU:2"), Vendor::Intel, "SNC2"),
        (format!("Package:2 L3:1 Group:4 [numa{GIB}] Core:8 PU:2"), Vendor::Intel, "SNC4"),
    ] {
        assert_eq!(inferred(&description, vendor), name, "{description}");
    }
}

#[test]
fn nodes_without_cpus_or_memory_are_known_as_such() {
    let host = synthetic("Package:2 [numa(memory=4GB)] [numa(memory=1GB)] L3:2 Core:4 PU:1");
    let usable: Vec<usize> = host.usable_nodes().map(|node| node.index).collect();
    assert_eq!((host.nodes.len(), usable), (4, vec![0, 2]));
    assert!(host.nodes[1].cpus.is_empty() && host.nodes[1].memory_bytes > 0);
    assert_eq!(evidence::shape(&host).cpuless_nodes, 2);
    assert_eq!(host.node_of(9).map(|node| node.index), Some(2));
    assert_eq!(host.last_level().count(), 4);
    let empty = synthetic("Package:2 [numa(memory=0)] Core:2 PU:1");
    assert_eq!(empty.usable_nodes().count(), 0);
}

#[test]
fn sparse_indices_stay_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    };
    write("sys/devices/system/cpu/online", "0-3");
    write("sys/devices/system/node/online", "0,8,252");
    for (cpu, package) in [(0, "0"), (1, "0"), (2, "1"), (3, "1")] {
        write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), package);
    }
    for (node, cpus, distance) in
        [(0, "0-1", "10 32 80"), (8, "2-3", "32 10 80"), (252, "", "80 80 10")]
    {
        let at = format!("sys/devices/system/node/node{node}");
        write(&format!("{at}/cpulist"), cpus);
        write(&format!("{at}/distance"), distance);
        write(&format!("{at}/meminfo"), &format!("Node {node} MemTotal: 1024 kB"));
    }
    write("proc/self/status", "Mems_allowed_list:\t0,252\n");
    write("proc/cpuinfo", "vendor_id : AuthenticAMD\nflags : fpu\n");
    let host = Topology::from_sysfs(&Root::at(dir.path()));
    let indices: Vec<usize> = host.nodes.iter().map(|node| node.index).collect();
    assert_eq!(indices, [0, 8, 252]);
    assert_eq!(host.usable_nodes().map(|node| node.index).collect::<Vec<_>>(), [0]);
    assert_eq!((host.nodes[1].package, host.nodes[2].package), (Some(1), None));
    assert_eq!(host.distances[1], [32, 10, 80]);
    assert_eq!(host.inference.to_string(), "NPS1");
    assert_eq!(host.inference.confidence, Confidence::High);
}

#[test]
fn garbled_files_leave_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
    };
    write("sys/devices/system/cpu/online", b"0-3");
    write("sys/devices/system/node/online", b"0-3");
    write("sys/devices/system/cpu/cpu0/topology/physical_package_id", b"-1");
    write("sys/devices/system/cpu/cpu1/topology/physical_package_id", b"\xff\xfe");
    write("sys/devices/system/cpu/cpu2/cache/index0/size", b"huge");
    // A good node, one whose list is no list, one whose files are none, and one that has nothing.
    write("sys/devices/system/node/node0/cpulist", b"0-3");
    write("sys/devices/system/node/node0/meminfo", b"Node 0 MemTotal: 2048 kB");
    write("sys/devices/system/node/node0/distance", b"10 32 32 32");
    write("sys/devices/system/node/node1/cpulist", b"4-1,x");
    write("sys/devices/system/node/node1/meminfo", b"Node 1 MemTotal: lots kB");
    write("sys/devices/system/node/node1/distance", b"10 far 32 32");
    std::fs::create_dir_all(dir.path().join("sys/devices/system/node/node2/cpulist")).unwrap();
    write("proc/self/status", b"Mems_allowed_list:\tall of them\n");
    write("proc/cpuinfo", b"vendor_id AuthenticAMD");
    let host = Topology::from_sysfs(&Root::at(dir.path()));
    assert_eq!((host.nodes.len(), host.cores.len()), (4, 4));
    assert_eq!(host.usable_nodes().map(|node| node.index).collect::<Vec<_>>(), [0]);
    assert_eq!((host.nodes[1].memory_bytes, host.nodes[2].cpus.len()), (0, 0));
    assert!(host.distances.is_empty(), "a table with holes is none");
    assert_eq!(host.inference.to_string(), "unknown");
    assert!(host.tree().contains("Node 3: 0.0 GiB, no CPUs"), "{}", host.tree());
}

#[test]
fn nothing_at_all_is_no_panic() {
    let host = Topology::from_sysfs(&Root::at("/nowhere"));
    assert!(host.packages.is_empty() && host.nodes.is_empty() && host.cores.is_empty());
    assert_eq!(host.inference.to_string(), "unknown");
}

#[test]
fn hwloc_and_sysfs_agree_on_this_host() {
    let (hwloc, sysfs) = (Topology::discover(), Topology::from_sysfs(&Root::host()));
    if hwloc.source == "sysfs" {
        return;
    }
    assert_eq!(hwloc.cores, sysfs.cores);
    assert_eq!(hwloc.packages, sysfs.packages);
    assert_eq!(hwloc.distances, sysfs.distances);
    let nodes = |host: &Topology| {
        host.nodes.iter().map(|n| (n.index, n.cpus.clone(), n.allowed)).collect::<Vec<_>>()
    };
    assert_eq!(nodes(&hwloc), nodes(&sysfs));
    assert_eq!(hwloc.inference, sysfs.inference);
}

#[test]
fn topologies_survive_json() {
    for host in [Topology::discover(), synthetic("Package:2 L3:2 [numa(memory=1GB)] Core:2 PU:2")] {
        let text = serde_json::to_string(&host).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), host, "{text}");
    }
}

#[test]
fn trees_show_every_node_once() {
    let mut host = synthetic("Package:2 Group:2 [numa(memory=1073741824)] L3:2 Core:2 PU:1");
    host.nodes[3].allowed = false;
    host.distances = vec![vec![10, 12, 32, 32]; 4];
    host.devices.push(Device {
        bdf: "0000:c1:00.0".into(),
        kind: "gpu".into(),
        id: "10de:2bb1".into(),
        name: None,
        os_names: vec!["card0".into()],
        node: Some(2),
        cpus: Vec::new(),
        upstream: vec!["0000:c0:01.1".into()],
        link_gb_per_second: Some(63.0),
    });
    let tree = host.tree();
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("Host: sockets 2, cores 16, NUMA nodes 4"), "{tree}");
    assert_eq!(lines[1], "  Socket 0: CPUs 0-7");
    assert_eq!(lines[2], "    Node 0: 1.0 GiB, CPUs 0-3");
    assert_eq!(lines[3], "      L3 16 MiB: CPUs 0-1");
    for index in 0..4 {
        assert_eq!(tree.matches(&format!("Node {index}:")).count(), 1, "{tree}");
    }
    let gpu = "      gpu 0000:c1:00.0, 10de:2bb1, card0, link 63.0 GB/s now, below root port 0000:c0:01.1";
    assert_eq!(lines[12], gpu, "{tree}");
    assert!(tree.contains("Node 3: 1.0 GiB, CPUs 12-15, not allowed"), "{tree}");
    assert!(tree.ends_with("       3   10   12   32   32\n"), "{tree}");
}
