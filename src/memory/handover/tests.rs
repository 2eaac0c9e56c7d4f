//! What cores are to each other, lines that go to and fro, and the matrix of all.

use super::*;
use crate::host::cpus::affinity;

#[test]
fn relations_follow_the_topology() {
    // Two sockets of two L3s with two cores of two threads: CPUs 0-15.
    let host = Topology::synthetic("Package:2 [numa(memory=1GB)] L3:2 Core:2 PU:2");
    let all: Vec<usize> = (0..16).collect();
    let pair = |relation: Relation| relation.pair(&host, &all);
    assert_eq!(pair(Relation::SameCore), Some([0, 1]));
    assert_eq!(pair(Relation::SameCache), Some([0, 2]));
    assert_eq!(pair(Relation::SamePackage), Some([0, 4]));
    assert_eq!(pair(Relation::RemotePackage), Some([0, 8]));
    let one = Topology::synthetic("Package:1 [numa(memory=1GB)] L3:1 Core:2 PU:1");
    assert_eq!(Relation::SameCore.pair(&one, &[0, 1]), None);
    assert_eq!(Relation::SameCache.pair(&one, &[0, 1]), Some([0, 1]));
    assert_eq!(Relation::RemotePackage.pair(&one, &[0, 1]), None);
}

#[test]
fn lines_go_to_and_fro() {
    let cpus = affinity().unwrap();
    let [a, b, ..] = cpus[..] else { return };
    let mut handover = Handover::new(Relation::SameCache.id(), [a, b]).unwrap();
    handover.verify().unwrap();
    // More iterations than there are lines: they come round again.
    handover.run(LINES as u64 + 3).unwrap();
    assert_eq!(handover.next, 4);
    assert!(handover.placement().cpus.contains(&a) && handover.placement().cpus.contains(&b));
}

#[test]
fn a_matrix_has_every_pair_twice_and_no_diagonal() {
    let cpus = affinity().unwrap();
    if cpus.len() < 2 {
        assert!(matches!(Handover::of_all(&cpus, 64), Err(Error::Unavailable(_))));
        return;
    }
    let handover = Handover::of_all(&cpus[..2], 64).unwrap();
    let matrix = handover.matrix.as_ref().unwrap();
    assert_eq!((matrix.at(0, 0), matrix.at(1, 1)), (None, None));
    assert!(matrix.at(0, 1).unwrap() > 0.0);
    assert_eq!(matrix.at(0, 1), matrix.at(1, 0));
    assert!(handover.details().contains_key(MATRIX));
}
