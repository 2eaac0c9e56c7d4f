//! What the firmware made of the memory controllers, inferred from the topology: nodes per socket (AMD NPS), L3 as
//! NUMA domain, sub-NUMA clustering (Intel SNC).
//!
//! The setting itself is not readable without root; what can be read is its effect. So every answer says how sure it
//! is and what it rests on. Distances come from a table that firmware may let the user edit: evidence, not proof. A
//! guest sees what its hypervisor made up, so nothing is inferred there.

mod measured;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use measured::measured;

/// Distance between nodes of one quadrant when each L3 is a node (EPYC firmware's SLIT: 10 local, 11 same quadrant,
/// 12 same socket, 32 other socket; criteo/hwbench `environment/numa.py` lists real tables).
const SAME_QUADRANT: u64 = 11;
/// Distance between quadrants of one socket.
const SAME_SOCKET: u64 = 12;

/// Maker of the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// `AuthenticAMD`
    Amd,
    /// `GenuineIntel`
    Intel,
    /// Any other.
    Other,
}

impl Vendor {
    /// From the vendor id in `/proc/cpuinfo`.
    pub fn from_id(id: &str) -> Self {
        match id {
            "AuthenticAMD" => Self::Amd,
            "GenuineIntel" => Self::Intel,
            _ => Self::Other,
        }
    }
}

/// How the memory controllers of a socket are presented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mode", content = "nodes")]
pub enum Mode {
    /// AMD: so many nodes a socket. 0: both sockets interleaved into one node.
    Nps(u32),
    /// AMD: each L3 is a node; the nodes per socket underneath, where the distances tell.
    L3AsNuma(Option<u32>),
    /// AMD, a part with as many L3s as nodes: either of the two.
    NpsOrL3AsNuma(u32),
    /// Intel: so many clusters a socket; 1 is off.
    Snc(u32),
    /// One node over several sockets: interleaved by the firmware.
    Interleaved,
    /// Sockets differ, or the number fits no setting: often a missing DIMM.
    Irregular,
    /// Can't be told here.
    Unknown,
}

/// How sure an inference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Nothing is claimed.
    None,
    /// One of several explanations.
    Low,
    /// Fits, but could be something else.
    Medium,
    /// Nothing else fits.
    High,
}

/// A [`Mode`], and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// What the firmware is taken to be set to.
    #[serde(flatten)]
    pub mode: Mode,
    /// How sure.
    pub confidence: Confidence,
    /// What it rests on: `topology`, `slit`, `bandwidth`.
    pub inferred_by: Vec<String>,
    /// The argument in words.
    pub reason: String,
}

impl std::fmt::Display for Inference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.mode {
            Mode::Nps(n) => write!(f, "NPS{n}"),
            Mode::L3AsNuma(Some(n)) => write!(f, "L3 as NUMA on NPS{n}"),
            Mode::L3AsNuma(None) => f.write_str("L3 as NUMA"),
            Mode::NpsOrL3AsNuma(n) => write!(f, "NPS{n} or L3 as NUMA"),
            Mode::Snc(1) => f.write_str("SNC off"),
            Mode::Snc(n) => write!(f, "SNC{n}"),
            Mode::Interleaved => f.write_str("sockets interleaved"),
            Mode::Irregular => f.write_str("irregular"),
            Mode::Unknown => f.write_str("unknown"),
        }
    }
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Nodes that have both CPUs and memory, by the operating system's index.
    pub nodes: Vec<usize>,
    /// Distinct level 3 caches.
    pub l3_caches: usize,
}

/// What the inference looks at.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Maker of the CPU.
    pub vendor: Vendor,
    /// The CPU says that it runs under a hypervisor.
    pub virtualised: bool,
    /// `numa=` on the kernel's command line.
    pub numa_option: Option<String>,
    /// Nodes that the kernel has online but the topology does not show.
    pub hidden_nodes: bool,
    /// The sockets.
    pub sockets: Vec<Socket>,
    /// Nodes with memory and without CPUs: HBM in flat mode, CXL, GPU memory.
    pub cpuless_nodes: usize,
    /// Distances by pair of nodes.
    pub distances: BTreeMap<(usize, usize), u64>,
}

/// Infers the mode.
pub fn infer(evidence: &Evidence) -> Inference {
    if evidence.virtualised {
        return unknown("virtualised: a guest sees the nodes that its hypervisor made up");
    }
    if let Some(option) = &evidence.numa_option
        && (option.starts_with("off") || option.starts_with("fake"))
    {
        return unknown(&format!(
            "numa={option} on the kernel's command line hides what the firmware did"
        ));
    }
    if evidence.hidden_nodes {
        return unknown("restricted: the kernel has more nodes online than this process is shown");
    }
    let sockets = evidence.sockets.len();
    let mut all: Vec<usize> = evidence.sockets.iter().flat_map(|s| s.nodes.clone()).collect();
    all.sort_unstable();
    all.dedup();
    if sockets == 0 || all.is_empty() {
        return unknown("no node with CPUs and memory was found");
    }
    if all.len() == 1 && sockets > 1 {
        let mode = if evidence.vendor == Vendor::Amd { Mode::Nps(0) } else { Mode::Interleaved };
        return inference(
            mode,
            Confidence::High,
            false,
            format!("one node spans {sockets} sockets"),
        );
    }
    let counts: Vec<usize> = evidence.sockets.iter().map(|s| s.nodes.len()).collect();
    if counts.iter().any(|&count| count != counts[0]) || counts[0] == 0 {
        let reason = format!("sockets have {counts:?} nodes: a missing DIMM often forces this");
        return inference(Mode::Irregular, Confidence::High, false, reason);
    }
    match evidence.vendor {
        Vendor::Amd => infer_amd(evidence, counts[0]),
        Vendor::Intel => infer_intel(evidence, counts[0]),
        Vendor::Other => unknown("the rules are known for AMD and Intel only"),
    }
}

fn infer_amd(evidence: &Evidence, nodes: usize) -> Inference {
    let l3 = evidence.sockets.iter().map(|s| s.l3_caches).min().unwrap_or(0);
    let quadrants = quadrants(evidence);
    let n = nodes as u32;
    let spread = format!("{nodes} nodes and {l3} L3 caches a socket");
    match nodes {
        _ if l3 == 0 && nodes != 1 => {
            let reason = format!("{nodes} nodes a socket, but the L3 caches are not visible");
            inference(Mode::NpsOrL3AsNuma(n), Confidence::Low, false, reason)
        }
        1 => inference(Mode::Nps(1), Confidence::High, false, spread),
        2 | 4 if nodes < l3 => {
            // L3 as NUMA would have made as many nodes as L3s; distances can only confirm.
            let confirmed = pair_distances(evidence).contains(&SAME_SOCKET);
            let confidence = if confirmed { Confidence::High } else { Confidence::Medium };
            inference(Mode::Nps(n), confidence, confirmed, spread)
        }
        2 | 4 if nodes == l3 => match quadrants {
            Some(underlying) => {
                let reason = format!("{spread}, at distance {SAME_QUADRANT}");
                inference(Mode::L3AsNuma(Some(underlying)), Confidence::Medium, true, reason)
            }
            None if pair_distances(evidence).contains(&SAME_SOCKET) => {
                let reason = format!("{spread}, at distance {SAME_SOCKET}");
                inference(Mode::Nps(n), Confidence::Medium, true, reason)
            }
            None => inference(Mode::NpsOrL3AsNuma(n), Confidence::Low, false, spread),
        },
        _ if nodes == l3 => {
            let confidence =
                if quadrants.is_some() { Confidence::High } else { Confidence::Medium };
            inference(Mode::L3AsNuma(quadrants), confidence, quadrants.is_some(), spread)
        }
        _ => inference(Mode::Irregular, Confidence::Medium, false, spread),
    }
}

fn infer_intel(evidence: &Evidence, nodes: usize) -> Inference {
    let flat = match evidence.cpuless_nodes {
        0 => String::new(),
        n => format!("; {n} nodes with memory only (HBM in flat mode, or CXL)"),
    };
    match nodes {
        1 => {
            // Quadrant and hemisphere modes look the same from here.
            let reason = format!("one node a socket{flat}");
            inference(Mode::Snc(1), Confidence::High, false, reason)
        }
        2..=4 => {
            let reason = format!("{nodes} nodes a socket{flat}");
            inference(Mode::Snc(nodes as u32), Confidence::High, false, reason)
        }
        _ => inference(
            Mode::Irregular,
            Confidence::Medium,
            false,
            format!("{nodes} nodes a socket{flat}"),
        ),
    }
}

/// Distances between different nodes of the same socket.
fn pair_distances(evidence: &Evidence) -> Vec<u64> {
    let pairs = evidence.sockets.iter().flat_map(|s| {
        s.nodes.iter().flat_map(|&a| s.nodes.iter().filter(move |&&b| a != b).map(move |&b| (a, b)))
    });
    pairs.filter_map(|pair| evidence.distances.get(&pair).copied()).collect()
}

/// Groups of nodes at distance 11 in a socket: the nodes per socket under L3 as NUMA. `None` when no pair is at 11,
/// or the sockets differ.
fn quadrants(evidence: &Evidence) -> Option<u32> {
    if !pair_distances(evidence).contains(&SAME_QUADRANT) {
        return None;
    }
    let near =
        |a: usize, b: usize| evidence.distances.get(&(a, b)).is_some_and(|&d| d <= SAME_QUADRANT);
    let mut counts = evidence.sockets.iter().map(|socket| {
        let mut heads: Vec<usize> = Vec::new();
        for &node in &socket.nodes {
            if !heads.iter().any(|&head| near(head, node)) {
                heads.push(node);
            }
        }
        heads.len() as u32
    });
    let first = counts.next()?;
    counts.all(|count| count == first).then_some(first)
}

fn inference(mode: Mode, confidence: Confidence, by_distance: bool, reason: String) -> Inference {
    let mut inferred_by = vec!["topology".to_owned()];
    if by_distance {
        inferred_by.push("slit".into());
    }
    Inference { mode, confidence, inferred_by, reason }
}

fn unknown(reason: &str) -> Inference {
    Inference {
        mode: Mode::Unknown,
        confidence: Confidence::None,
        inferred_by: Vec::new(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
