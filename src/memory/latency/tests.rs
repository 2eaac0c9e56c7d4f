//! Cycles of every page kind and cache level, and memory that is not where it is said to be.

use super::*;

#[test]
fn each_page_kind_runs_or_says_why_not() {
    let cpu = affinity().unwrap()[0];
    for pages in [Pages::Small, Pages::Transparent, Pages::Huge, Pages::Giant] {
        match Latency::sized(Latency::id(pages), pages, cpu, 8 << 20, None) {
            Ok(mut latency) => {
                assert_eq!(latency.verify().unwrap().checked, 1 << 17);
                latency.run(1).unwrap();
                latency.verify().unwrap();
                assert_eq!(latency.placement().cpus, [cpu]);
            }
            Err(Error::Unavailable(why)) => assert_ne!(pages, Pages::Small, "{why}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn memory_on_another_node_than_the_label_says_is_caught() {
    let cpu = first_cpu().unwrap();
    let mut latency =
        Latency::sized(Latency::id(Pages::Small), Pages::Small, cpu, 1 << 20, None).unwrap();
    let Some((&node, _)) = latency.cycle.buffer().census().by_node.first_key_value() else {
        return;
    };
    latency.node = Some(node);
    latency.verify().unwrap();
    latency.node = Some(node + 1);
    assert!(matches!(latency.verify(), Err(Error::Wrong(_))));
}

#[test]
fn cached_cycles_are_hot_and_smaller_than_their_level() {
    for level in Level::ALL {
        match Latency::cached(level) {
            Ok(mut latency) => {
                latency.verify().unwrap();
                latency.run(1).unwrap();
                assert_eq!(latency.cache(), Cache::Hot);
            }
            Err(Error::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn names_tell_the_page_kind() {
    assert_eq!(Latency::id(Pages::Transparent).as_str(), "dram/latency/random/thp");
    assert_eq!(Latency::id(Pages::Small).as_str(), "dram/latency/random/4k");
}
