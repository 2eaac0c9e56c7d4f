//! What a measurement adds to what the topology suggests.

use super::{Confidence, Inference, Mode};

/// Half the factor between two settings: a share is taken for the nearest power of two.
const HALF_WAY: f64 = std::f64::consts::SQRT_2;

/// What an inference becomes when bandwidth was measured: `share` is what all cores of a socket read from one of its
/// `nodes` nodes, of what they read when each reads its own.
///
/// Memory of a real node is behind its share of the channels, 1/2 or 1/4 of them. Where each L3 is only presented as a
/// node, the memory of every "node" is interleaved over more channels than that, and all of them under NPS1.
pub fn measured(topology: &Inference, nodes: u32, share: f64) -> Inference {
    if nodes < 2 || !(share.is_finite() && share > 0.0) {
        return topology.clone();
    }
    // Nodes that the channels are divided into: the reciprocal of the share, rounded to a setting.
    let groups = [1u32, 2, 4]
        .into_iter()
        .find(|&groups| 1.0 / share < f64::from(groups) * HALF_WAY)
        .unwrap_or(4);
    let found = format!(
        "all cores of a socket read one of its {nodes} nodes at {:.0} % of what they read from all",
        share * 100.0
    );
    let mut inferred_by = topology.inferred_by.clone();
    inferred_by.push("bandwidth".into());
    let concluded = |mode: Mode, confidence: Confidence, why: &str| Inference {
        mode,
        confidence,
        inferred_by: inferred_by.clone(),
        reason: format!("{}; {found}: {why}", topology.reason),
    };
    match topology.mode {
        Mode::Nps(n) if n == groups => {
            concluded(Mode::Nps(n), Confidence::High, "as many shares of the channels as nodes")
        }
        Mode::L3AsNuma(None) => {
            let why = "the channels are divided less than the nodes";
            concluded(Mode::L3AsNuma(Some(groups)), Confidence::High, why)
        }
        Mode::L3AsNuma(Some(n)) if n == groups => {
            concluded(topology.mode.clone(), Confidence::High, "as the distances say")
        }
        Mode::NpsOrL3AsNuma(n) if n == groups => {
            concluded(Mode::Nps(n), Confidence::Medium, "each node has channels of its own")
        }
        Mode::NpsOrL3AsNuma(_) => {
            let why = "nodes share channels";
            concluded(Mode::L3AsNuma(Some(groups)), Confidence::Medium, why)
        }
        Mode::Snc(n) if n == groups || n == 3 => {
            concluded(topology.mode.clone(), topology.confidence, "does not contradict it")
        }
        Mode::Nps(_) | Mode::L3AsNuma(_) | Mode::Snc(_) => concluded(
            topology.mode.clone(),
            Confidence::Low,
            "this contradicts the topology: other work may have disturbed the measurement",
        ),
        Mode::Interleaved | Mode::Irregular | Mode::Unknown => concluded(
            topology.mode.clone(),
            topology.confidence,
            "no setting is concluded from bandwidth alone",
        ),
    }
}
