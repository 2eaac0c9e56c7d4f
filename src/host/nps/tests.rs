//! Real hosts' shapes (memory and distances as published), and shapes that must not be over-interpreted.

use super::*;

/// `sockets` sockets of `nodes` nodes and `l3` caches, numbered in order.
fn host(vendor: Vendor, sockets: usize, nodes: usize, l3: usize) -> Evidence {
    Evidence {
        vendor,
        virtualised: false,
        numa_option: None,
        hidden_nodes: false,
        sockets: (0..sockets)
            .map(|s| Socket { nodes: (s * nodes..(s + 1) * nodes).collect(), l3_caches: l3 })
            .collect(),
        cpuless_nodes: 0,
        distances: BTreeMap::new(),
    }
}

/// Fills distances: 10 to itself, 11 within groups of `quadrant` nodes, 12 within the socket, 32 beyond.
fn slit(mut evidence: Evidence, quadrant: usize) -> Evidence {
    let sockets = evidence.sockets.clone();
    for (i, a) in sockets.iter().enumerate() {
        for (j, b) in sockets.iter().enumerate() {
            for (x, &from) in a.nodes.iter().enumerate() {
                for (y, &to) in b.nodes.iter().enumerate() {
                    let distance = match () {
                        () if from == to => 10,
                        () if i != j => 32,
                        () if x / quadrant == y / quadrant => 11,
                        () => 12,
                    };
                    evidence.distances.insert((from, to), distance);
                }
            }
        }
    }
    evidence
}

fn check(evidence: &Evidence, name: &str, confidence: Confidence, slit: bool) {
    let found = infer(evidence);
    assert_eq!((found.to_string().as_str(), found.confidence), (name, confidence), "{found:?}");
    assert_eq!(found.inferred_by.contains(&"slit".to_owned()), slit, "{found:?}");
}

#[test]
fn nodes_per_socket() {
    use Confidence::{High, Medium};
    // EPYC 9654: 12 L3s a socket.
    for sockets in [1, 2] {
        check(&host(Vendor::Amd, sockets, 1, 12), "NPS1", High, false);
        check(&slit(host(Vendor::Amd, sockets, 2, 12), 1), "NPS2", High, true);
        check(&slit(host(Vendor::Amd, sockets, 4, 12), 1), "NPS4", High, true);
        check(&host(Vendor::Amd, sockets, 4, 12), "NPS4", Medium, false);
    }
    let mut nps0 = host(Vendor::Amd, 2, 1, 12);
    nps0.sockets[1].nodes = vec![0];
    check(&nps0, "NPS0", High, false);
    nps0.vendor = Vendor::Intel;
    check(&nps0, "sockets interleaved", High, false);
}

#[test]
fn l3_as_numa() {
    use Confidence::{High, Low, Medium};
    // 2 sockets, 20 nodes: 10 a socket in two groups of 5 (criteo/hwbench).
    check(&slit(host(Vendor::Amd, 2, 10, 10), 5), "L3 as NUMA on NPS2", High, true);
    // 1 socket, 8 nodes at 10/11/12: quadrants of 2.
    check(&slit(host(Vendor::Amd, 1, 8, 8), 2), "L3 as NUMA on NPS4", High, true);
    check(&slit(host(Vendor::Amd, 2, 12, 12), 12), "L3 as NUMA on NPS1", High, true);
    check(&host(Vendor::Amd, 2, 12, 12), "L3 as NUMA", Medium, false);
    // Parts with 4 L3s a socket: the distances decide, and without them nothing does.
    check(&slit(host(Vendor::Amd, 2, 4, 4), 4), "L3 as NUMA on NPS1", Medium, true);
    check(&slit(host(Vendor::Amd, 2, 4, 4), 1), "NPS4", Medium, true);
    check(&host(Vendor::Amd, 2, 4, 4), "NPS4 or L3 as NUMA", Low, false);
    check(&host(Vendor::Amd, 1, 2, 0), "NPS2 or L3 as NUMA", Low, false);
}

#[test]
fn sub_numa_clustering() {
    use Confidence::High;
    check(&host(Vendor::Intel, 2, 1, 1), "SNC off", High, false);
    check(&host(Vendor::Intel, 2, 2, 1), "SNC2", High, false);
    check(&host(Vendor::Intel, 2, 3, 1), "SNC3", High, false);
    let mut flat = host(Vendor::Intel, 2, 4, 1);
    flat.cpuless_nodes = 8;
    check(&flat, "SNC4", High, false);
    assert!(infer(&flat).reason.contains("8 nodes with memory only"));
}

#[test]
fn what_can_not_be_told_is_not() {
    use Confidence::{High, Medium, None};
    let mut guest = host(Vendor::Amd, 1, 4, 12);
    guest.virtualised = true;
    check(&guest, "unknown", None, false);
    for option in ["off", "fake=4"] {
        let mut overridden = host(Vendor::Amd, 1, 1, 12);
        overridden.numa_option = Some(option.into());
        check(&overridden, "unknown", None, false);
        assert!(infer(&overridden).reason.contains(option));
    }
    let mut hidden = host(Vendor::Amd, 2, 1, 12);
    hidden.hidden_nodes = true;
    check(&hidden, "unknown", None, false);
    check(&host(Vendor::Other, 1, 2, 4), "unknown", None, false);
    check(&host(Vendor::Amd, 0, 0, 0), "unknown", None, false);
    // A socket without its memory, and a number that no setting makes.
    let mut lost = host(Vendor::Amd, 2, 4, 12);
    lost.sockets[1].nodes.pop();
    check(&lost, "irregular", High, false);
    check(&host(Vendor::Amd, 1, 3, 12), "irregular", Medium, false);
    check(&host(Vendor::Intel, 1, 6, 1), "irregular", Medium, false);
}

#[test]
fn bandwidth_tells_settings_apart_that_look_alike() {
    use Confidence::{High, Low, Medium};
    let after = |evidence: &Evidence, nodes: u32, share: f64| {
        let found = measured(&infer(evidence), nodes, share);
        (found.to_string(), found.confidence, found.inferred_by.contains(&"bandwidth".to_owned()))
    };
    // A part with four L3s: four nodes could be NPS4 or L3 as NUMA.
    let ambiguous = host(Vendor::Amd, 2, 4, 4);
    assert_eq!(after(&ambiguous, 4, 0.26), ("NPS4".into(), Medium, true));
    assert_eq!(after(&ambiguous, 4, 0.97), ("L3 as NUMA on NPS1".into(), Medium, true));
    assert_eq!(after(&ambiguous, 4, 0.5), ("L3 as NUMA on NPS2".into(), Medium, true));
    assert_eq!(after(&host(Vendor::Amd, 2, 4, 12), 4, 0.24), ("NPS4".into(), High, true));
    assert_eq!(after(&host(Vendor::Amd, 2, 2, 12), 2, 0.48), ("NPS2".into(), High, true));
    assert_eq!(
        after(&host(Vendor::Amd, 2, 12, 12), 12, 0.9),
        ("L3 as NUMA on NPS1".into(), High, true)
    );
    let by_distance = slit(host(Vendor::Amd, 2, 10, 10), 5);
    assert_eq!(after(&by_distance, 10, 0.5), ("L3 as NUMA on NPS2".into(), High, true));
    // Against the topology: said, not believed.
    assert_eq!(after(&host(Vendor::Amd, 2, 4, 12), 4, 0.9), ("NPS4".into(), Low, true));
    assert_eq!(after(&host(Vendor::Intel, 2, 2, 1), 2, 0.5), ("SNC2".into(), High, true));
    // Guests stay unknown, and nonsense changes nothing.
    let mut guest = host(Vendor::Amd, 1, 4, 12);
    guest.virtualised = true;
    assert_eq!(after(&guest, 4, 0.25).0, "unknown");
    for share in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        assert_eq!(after(&ambiguous, 4, share), ("NPS4 or L3 as NUMA".into(), Low, false));
    }
    assert_eq!(after(&host(Vendor::Amd, 2, 1, 12), 1, 1.0), ("NPS1".into(), High, false));
}

#[test]
fn inferences_survive_json() {
    for evidence in [
        slit(host(Vendor::Amd, 2, 10, 10), 5),
        host(Vendor::Intel, 2, 2, 1),
        host(Vendor::Other, 1, 1, 1),
    ] {
        let found = infer(&evidence);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Inference>(&text).unwrap(), found, "{text}");
    }
}
