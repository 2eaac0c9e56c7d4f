//! What hwloc finds, with I/O devices (it leaves them out unless asked) and disallowed resources included.

use hwlocality::Topology as Hwloc;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TypeFilter};

use super::super::environment::upstream;
use super::super::root::Root;
use super::{Cache, Core, Device, Node, Package, Topology, evidence};

/// This host's shape; `None` when hwloc fails or finds no CPU.
pub fn host(root: &Root) -> Option<Topology> {
    let found = Hwloc::builder()
        .with_flags(BuildFlags::INCLUDE_DISALLOWED)
        .ok()?
        .with_io_type_filter(TypeFilter::KeepImportant)
        .ok()?
        .build()
        .ok()?;
    let has_cpu = root.list("/sys/devices/system/node/has_cpu");
    let mut topology = convert(&found, has_cpu.as_deref())?;
    for device in &mut topology.devices {
        device.upstream = upstream(root, &device.bdf);
    }
    topology.inference = evidence::inference(&topology, root);
    Some(topology)
}

/// Converts what hwloc found. hwloc gives memory without CPUs the CPUs of whatever it is attached to, so the kernel's
/// list of nodes with CPUs is taken where there is one; else the first of the nodes with the same CPUs has them.
pub fn convert(found: &Hwloc, has_cpu: Option<&[usize]>) -> Option<Topology> {
    let packages: Vec<Package> = found
        .objects_with_type(ObjectType::Package)
        .map(|package| Package { index: index(package), cpus: cpus(package) })
        .collect();
    let mut cores: Vec<Core> =
        found.objects_with_type(ObjectType::Core).map(|core| Core(cpus(core))).collect();
    if cores.is_empty() {
        cores = found.objects_with_type(ObjectType::PU).map(|pu| Core(cpus(pu))).collect();
    }
    if cores.is_empty() {
        return None;
    }
    let nodes = nodes(found, &packages, has_cpu);
    let mut topology = Topology {
        source: format!("hwloc, API {}", version()),
        distances: distances(found, &nodes),
        caches: caches(found),
        devices: found.pci_devices().filter_map(device).collect(),
        packages,
        cores,
        nodes,
        inference: super::super::nps::infer(&no_evidence()),
    };
    topology.devices.sort_by(|a, b| a.bdf.cmp(&b.bdf));
    Some(topology)
}

fn no_evidence() -> super::super::nps::Evidence {
    super::super::nps::Evidence {
        vendor: super::super::nps::Vendor::Other,
        virtualised: false,
        numa_option: None,
        hidden_nodes: false,
        sockets: Vec::new(),
        cpuless_nodes: 0,
        distances: Default::default(),
    }
}

/// `major.minor.patch` of the interface that the library offers.
fn version() -> String {
    let version = hwlocality::hwloc_api_version();
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

fn index(object: &TopologyObject) -> usize {
    object.os_index().unwrap_or_else(|| object.logical_index())
}

fn cpus(object: &TopologyObject) -> Vec<usize> {
    object.cpuset().map(|set| set.iter_set().map(usize::from).collect()).unwrap_or_default()
}

fn nodes(found: &Hwloc, packages: &[Package], has_cpu: Option<&[usize]>) -> Vec<Node> {
    let allowed = found.allowed_nodeset();
    let mut nodes: Vec<Node> = found
        .objects_with_type(ObjectType::NUMANode)
        .map(|node| {
            let memory = match node.attributes() {
                Some(ObjectAttributes::NUMANode(numa)) => {
                    numa.local_memory().map_or(0, |m| m.get())
                }
                _ => 0,
            };
            let index = index(node);
            let own = node.nodeset().is_some_and(|set| set.iter_set().all(|n| allowed.is_set(n)));
            let package = node.first_ancestor_with_type(ObjectType::Package).map(self::index);
            let kind = node.subtype().map(|kind| kind.to_string_lossy().into_owned());
            Node { index, cpus: cpus(node), memory_bytes: memory, allowed: own, package, kind }
        })
        .collect();
    nodes.sort_by_key(|node| node.index);
    let mut taken = std::collections::BTreeSet::new();
    for node in &mut nodes {
        let has = match has_cpu {
            Some(list) => list.contains(&node.index),
            None => node.cpus.iter().all(|cpu| !taken.contains(cpu)),
        };
        if !has {
            node.cpus.clear();
        }
        taken.extend(node.cpus.iter().copied());
        // A node that several sockets share has no socket above it.
        if node.package.is_none() && !node.cpus.is_empty() {
            let holds = |p: &&Package| node.cpus.iter().all(|cpu| p.cpus.contains(cpu));
            node.package = packages.iter().find(holds).map(|p| p.index);
        }
    }
    nodes
}

fn caches(found: &Hwloc) -> Vec<Cache> {
    let levels = [
        (1, ObjectType::L1Cache),
        (2, ObjectType::L2Cache),
        (3, ObjectType::L3Cache),
        (4, ObjectType::L4Cache),
    ];
    let of = |(level, kind)| {
        found.objects_with_type(kind).filter_map(move |cache| match cache.attributes() {
            Some(ObjectAttributes::Cache(c)) => {
                Some(Cache { level, bytes: c.size()?.get(), cpus: cpus(cache) })
            }
            _ => None,
        })
    };
    levels.into_iter().flat_map(of).collect()
}

fn distances(found: &Hwloc, nodes: &[Node]) -> Vec<Vec<u64>> {
    let Ok(matrices) = found.distances_with_name("NUMALatency") else { return Vec::new() };
    let Some(matrix) = matrices.first() else { return Vec::new() };
    let order: Vec<Option<usize>> = matrix.objects().map(|o| o.map(index)).collect();
    let at = |node: &Node| order.iter().position(|&index| index == Some(node.index));
    let positions: Option<Vec<usize>> = nodes.iter().map(at).collect();
    // A matrix that leaves out nodes is no matrix of these nodes.
    let Some(positions) = positions else { return Vec::new() };
    let values = matrix.distances();
    let row = |from: usize| positions.iter().map(|to| values[from * order.len() + to]).collect();
    positions.iter().map(|&from| row(from)).collect()
}

fn device(object: &TopologyObject) -> Option<Device> {
    let Some(ObjectAttributes::PCIDevice(pci)) = object.attributes() else { return None };
    let kind = match pci.class_id() {
        0x0108 => "nvme",
        class => match class >> 8 {
            0x01 => "storage",
            0x02 => "network",
            0x03 => "gpu",
            0x12 => "accelerator",
            _ => return None,
        },
    };
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    let near = object.first_non_io_ancestor();
    let local: Vec<usize> = near
        .and_then(|ancestor| ancestor.nodeset())
        .map(|set| set.iter_set().map(usize::from).collect())
        .unwrap_or_default();
    Some(Device {
        bdf: format!(
            "{:04x}:{:02x}:{:02x}.{:x}",
            pci.domain(),
            pci.bus_id(),
            pci.bus_device(),
            pci.function()
        ),
        kind: kind.into(),
        id: format!("{:04x}:{:04x}", pci.vendor_id(), pci.device_id()),
        name: object.info("PCIDevice").map(text),
        os_names: object.io_children().filter_map(|child| child.name()).map(text).collect(),
        // Attached to all nodes means that nobody knows.
        node: if let [one] = local[..] { Some(one) } else { None },
        cpus: near.map(cpus).unwrap_or_default(),
        upstream: Vec::new(),
        link_gb_per_second: Some(f64::from(pci.link_speed())).filter(|&speed| speed > 0.0),
    })
}
