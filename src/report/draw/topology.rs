//! A host's shape: sockets side by side, in each its NUMA nodes, in each node the last-level caches with their CPUs, and
//! the devices attached to it.

use svg::Document;
use svg::node::element::Rectangle;

use super::{Anchor, hint, label, picture, round, width_of};
use crate::host::topology::{Cache, Device, Node};
use crate::host::{Topology, list};

/// Width of what is inside a socket, space between boxes, height of a line of text and of a cache.
const WIDTH: f64 = 360.0;
const GAP: f64 = 10.0;
const LINE: f64 = 18.0;
const CACHE: f64 = 40.0;
/// Width at which the reason of the inference is cut, where the boxes are not wider.
const LONGEST: f64 = 800.0;
/// Caches side by side.
const ACROSS: usize = 3;
/// Space above the boxes.
const HEAD: f64 = 50.0;
/// Colours of sockets, nodes with CPUs, memory without, caches.
const FILLS: [&str; 4] = ["#8884", "#0072b233", "#009e7333", "#e69f0055"];

/// `topology` as an SVG.
pub fn topology(topology: &Topology) -> String {
    let mut columns: Vec<Column> = topology
        .packages
        .iter()
        .map(|package| Column {
            title: format!("Socket {}", package.index),
            nodes: topology.nodes.iter().filter(|n| n.package == Some(package.index)).collect(),
            devices: Vec::new(),
        })
        .collect();
    let elsewhere = Column {
        title: "All sockets".into(),
        nodes: topology.nodes.iter().filter(|node| node.package.is_none()).collect(),
        devices: topology.devices.iter().filter(|device| device.node.is_none()).collect(),
    };
    if !elsewhere.nodes.is_empty() || !elsewhere.devices.is_empty() {
        columns.push(elsewhere);
    }
    let tallest = columns.iter().map(|column| column.height(topology)).fold(0.0, f64::max);
    let title = format!(
        "sockets {}, cores {}, NUMA nodes {}: {}",
        topology.packages.len(),
        topology.cores.len(),
        topology.nodes.len(),
        topology.inference
    );
    let boxes = columns.len() as f64 * (WIDTH + 4.0 * GAP) + GAP;
    let width = boxes.max(16.0 + width_of(&topology.inference.reason).min(LONGEST));
    let mut picture = picture(width, HEAD + tallest + GAP, &title);
    picture = picture.add(
        label(8.0, 36.0, &shortened(&topology.inference.reason, width - 16.0), Anchor::Start)
            .set("opacity", 0.7)
            .add(hint(&topology.inference.reason)),
    );
    for (index, column) in columns.iter().enumerate() {
        let x = GAP + index as f64 * (WIDTH + 4.0 * GAP);
        picture = column.draw(picture, topology, x, tallest);
    }
    picture.to_string()
}

/// A socket, or what belongs to none.
struct Column<'a> {
    title: String,
    nodes: Vec<&'a Node>,
    devices: Vec<&'a Device>,
}

impl Column<'_> {
    fn height(&self, topology: &Topology) -> f64 {
        let nodes: f64 = self.nodes.iter().map(|node| node_height(topology, node) + GAP).sum();
        LINE + GAP + nodes + self.devices.len() as f64 * LINE + GAP
    }

    fn draw(&self, mut picture: Document, topology: &Topology, x: f64, height: f64) -> Document {
        picture = picture.add(area(x, HEAD, WIDTH + 2.0 * GAP, height, FILLS[0])).add(
            label(x + GAP, HEAD + LINE, &self.title, Anchor::Start).set("font-weight", "bold"),
        );
        let mut y = HEAD + LINE + GAP;
        for node in &self.nodes {
            picture = draw_node(picture, topology, node, x + GAP, y);
            y += node_height(topology, node) + GAP;
        }
        for device in &self.devices {
            y += LINE;
            picture = picture.add(device_label(device, x + GAP, y));
        }
        picture
    }
}

fn caches<'a>(topology: &'a Topology, node: &'a Node) -> impl Iterator<Item = &'a Cache> {
    let near = |cache: &&Cache| cache.cpus.iter().any(|cpu| node.cpus.contains(cpu));
    topology.last_level().filter(near)
}

fn devices<'a>(topology: &'a Topology, node: &'a Node) -> impl Iterator<Item = &'a Device> {
    topology.devices.iter().filter(|device| device.node == Some(node.index))
}

fn node_height(topology: &Topology, node: &Node) -> f64 {
    let rows = caches(topology, node).count().div_ceil(ACROSS) as f64;
    let lines = 1.0 + devices(topology, node).count() as f64;
    lines * LINE + rows * (CACHE + GAP / 2.0) + GAP
}

fn draw_node(mut picture: Document, topology: &Topology, node: &Node, x: f64, y: f64) -> Document {
    let fill = if node.cpus.is_empty() { FILLS[2] } else { FILLS[1] };
    let mut words = vec![format!("{:.1} GiB", node.memory_bytes as f64 / f64::from(1u32 << 30))];
    words.push(match list::format(&node.cpus) {
        cpus if cpus.is_empty() => "no CPUs".into(),
        cpus => format!("CPUs {cpus}"),
    });
    words.extend(node.kind.clone());
    if !node.allowed {
        words.push("not allowed".into());
    }
    let text = format!("Node {}: {}", node.index, words.join(", "));
    let box_ = area(x, y, WIDTH, node_height(topology, node), fill);
    picture = picture.add(box_.set("stroke", "currentColor").add(hint(&text))).add(label(
        x + GAP / 2.0,
        y + LINE - 4.0,
        &shortened(&text, WIDTH - GAP),
        Anchor::Start,
    ));
    let side = (WIDTH - GAP) / ACROSS as f64;
    let mut below = y + LINE;
    for (index, cache) in caches(topology, node).enumerate() {
        let at = x + GAP / 2.0 + (index % ACROSS) as f64 * side;
        let top = y + LINE + (index / ACROSS) as f64 * (CACHE + GAP / 2.0);
        let size = cache.bytes as f64 / f64::from(1u32 << 20);
        let cpus = format!("CPUs {}", list::format(&cache.cpus));
        let name = format!("L{} {size:.0} MiB", cache.level);
        let room = side - GAP;
        picture = picture
            .add(
                area(at, top, side - GAP / 2.0, CACHE, FILLS[3])
                    .add(hint(&format!("{name}, {cpus}"))),
            )
            .add(label(at + 4.0, top + 16.0, &shortened(&name, room), Anchor::Start))
            .add(label(at + 4.0, top + 32.0, &shortened(&cpus, room), Anchor::Start));
        below = top + CACHE + GAP / 2.0;
    }
    for device in devices(topology, node) {
        below += LINE;
        picture = picture.add(device_label(device, x + GAP / 2.0, below - 4.0));
    }
    picture
}

fn device_label(device: &Device, x: f64, y: f64) -> svg::node::element::Text {
    let name = device.name.as_deref().unwrap_or(&device.id);
    let mut text = format!("{} {}, {name}", device.kind, device.bdf);
    if !device.os_names.is_empty() {
        text += &format!(", {}", device.os_names.join(" "));
    }
    let above = device.upstream.first().map(|port| format!(", below root port {port}"));
    let whole = format!("{text}{}", above.unwrap_or_default());
    label(x, y, &shortened(&text, WIDTH - GAP), Anchor::Start).add(hint(&whole))
}

/// As much of `text` as fits into `width` pixels.
fn shortened(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let room = (width / super::CHARACTER).max(1.0) as usize;
    text.chars().take(room.saturating_sub(1)).chain(['\u{2026}']).collect()
}

fn area(x: f64, y: f64, width: f64, height: f64, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", round(x))
        .set("y", round(y))
        .set("width", round(width))
        .set("height", round(height))
        .set("rx", 3)
        .set("fill", fill)
}
