//! A topology as a tree of text, one line a socket, node, core complex and device.

use std::fmt::Write;

use super::super::list;
use super::{Cache, Device, Node, Topology};

const GIB: f64 = (1u64 << 30) as f64;

impl Topology {
    /// The tree, lines indented by what holds them: sockets, their nodes, the last-level caches and devices of each
    /// node; then nodes and devices that belong to no socket.
    pub fn tree(&self) -> String {
        let mut text = format!(
            "Host: sockets {}, cores {}, NUMA nodes {}; {} ({})\n",
            self.packages.len(),
            self.cores.len(),
            self.nodes.len(),
            self.inference,
            self.inference.reason
        );
        for package in &self.packages {
            line(
                &mut text,
                1,
                &format!("Socket {}: CPUs {}", package.index, list::format(&package.cpus)),
            );
            for node in self.nodes.iter().filter(|n| n.package == Some(package.index)) {
                self.node(&mut text, 2, node);
            }
        }
        for node in self.nodes.iter().filter(|node| node.package.is_none()) {
            self.node(&mut text, 1, node);
        }
        for device in self.devices.iter().filter(|device| device.node.is_none()) {
            line(&mut text, 1, &device_line(device));
        }
        if self.distances.len() > 1 {
            self.distance_table(&mut text);
        }
        text
    }

    fn node(&self, text: &mut String, depth: usize, node: &Node) {
        let mut words = vec![format!("{:.1} GiB", node.memory_bytes as f64 / GIB)];
        if node.cpus.is_empty() {
            words.push("no CPUs".into());
        } else {
            words.push(format!("CPUs {}", list::format(&node.cpus)));
        }
        words.extend(node.kind.clone());
        if !node.allowed {
            words.push("not allowed to this process".into());
        }
        line(text, depth, &format!("Node {}: {}", node.index, words.join(", ")));
        let near = |cache: &&Cache| cache.cpus.iter().any(|cpu| node.cpus.contains(cpu));
        for cache in self.last_level().filter(near) {
            let size = cache.bytes as f64 / (1u64 << 20) as f64;
            line(
                text,
                depth + 1,
                &format!("L{} {size:.0} MiB: CPUs {}", cache.level, list::format(&cache.cpus)),
            );
        }
        for device in self.devices.iter().filter(|device| device.node == Some(node.index)) {
            line(text, depth + 1, &device_line(device));
        }
    }

    fn distance_table(&self, text: &mut String) {
        let indices: Vec<String> =
            self.nodes.iter().map(|node| format!("{:>5}", node.index)).collect();
        line(
            text,
            1,
            &format!(
                "Distances, from the row's node to the column's\n{:>8}{}",
                "",
                indices.concat()
            ),
        );
        for (node, row) in self.nodes.iter().zip(&self.distances) {
            let row: Vec<String> = row.iter().map(|distance| format!("{distance:>5}")).collect();
            line(text, 2, &format!("{:>4}{}", node.index, row.concat()));
        }
    }
}

fn device_line(device: &Device) -> String {
    let mut words = vec![format!("{} {}", device.kind, device.bdf)];
    words.push(device.name.clone().unwrap_or_else(|| device.id.clone()));
    if !device.os_names.is_empty() {
        words.push(device.os_names.join(" "));
    }
    if let Some(rate) = device.link_gb_per_second {
        words.push(format!("link {rate:.1} GB/s now"));
    }
    if let Some(port) = device.upstream.first() {
        words.push(format!("below root port {port}"));
    }
    words.join(", ")
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{:1$}{content}", "", 2 * depth);
}
