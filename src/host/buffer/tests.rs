//! Alignment, limits and placement of buffers on this host.

use super::super::pages::HUGE;
use super::*;

#[test]
fn buffers_are_aligned_zero_and_writable() {
    for pages in [Pages::Small, Pages::Transparent] {
        let mut buffer = Buffer::new(5_000_001, pages).unwrap();
        assert_eq!(buffer.as_ptr().addr() % HUGE, 0);
        assert_eq!((buffer.len(), buffer.as_slice::<f32>().len()), (5_000_001, 1_250_000));
        assert!(buffer.as_slice::<u8>().iter().all(|&b| b == 0));
        buffer.as_mut_slice::<u64>().fill(7);
        assert_eq!(buffer.as_slice::<u64>()[624_999], 7);
    }
}

#[test]
fn nothing_is_as_good_as_something() {
    let buffer = Buffer::new(0, Pages::Small).unwrap();
    assert!(buffer.is_empty() && buffer.as_slice::<u8>().is_empty());
}

#[test]
fn untouched_pages_are_nowhere_and_touched_ones_somewhere() {
    let mut buffer = Buffer::new(4 * HUGE, Pages::Small).unwrap();
    let census = buffer.census();
    if census.unproved.is_some() {
        return; // a sandbox that forbids move_pages
    }
    assert_eq!((census.by_node.len(), census.untouched), (0, 2048));
    buffer.as_mut_slice::<u8>()[..HUGE].fill(1);
    let census = buffer.census();
    assert_eq!((census.by_node.values().sum::<u64>(), census.untouched), (512, 1536));
}

#[test]
fn declined_huge_pages_stay_away() {
    let mut buffer = Buffer::new(8 * HUGE, Pages::Small).unwrap();
    buffer.as_mut_slice::<u8>().fill(1);
    assert_eq!(buffer.huge_bytes(), Some(0));
}

#[test]
fn wrong_placement_is_caught() {
    let nodes = Root::host().list("/sys/devices/system/node/has_memory").unwrap_or_default();
    let Some(&node) = nodes.first() else { return };
    let buffer = match Buffer::on_node(4 * HUGE, Pages::Transparent, node) {
        Ok(buffer) => buffer,
        Err(Error::Unavailable(why)) => {
            assert!(why.contains("binding denied"), "{why}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let census = buffer.census();
    assert_eq!(census.untouched, 0);
    census.prove(&[node]).unwrap();
    // The same pages, claimed for another node.
    assert!(matches!(census.prove(&[node + 1]), Err(Error::Wrong(_))));
    // With a second node the pages themselves can be put wrong.
    if let Some(&other) = nodes.get(1) {
        let census = Buffer::on_node(HUGE, Pages::Small, other).unwrap().census();
        assert!(matches!(census.prove(&[node]), Err(Error::Wrong(_))));
    }
}

#[test]
fn a_node_that_does_not_exist_is_denied() {
    for node in [1_000, 100_000] {
        let error = Buffer::on_node(HUGE, Pages::Small, node).unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(why) if why.contains("binding denied")),
            "{error}"
        );
    }
}

#[test]
fn more_than_free_memory_is_refused_before_it_is_mapped() {
    for bytes in [1usize << 46, usize::MAX - 5, usize::MAX] {
        let error = Buffer::new(bytes, Pages::Transparent).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
    }
}

#[test]
fn promises_count_before_they_are_touched() {
    const GIB: u64 = 1 << 30;
    assert_eq!(room(10 * GIB, 0, 0), 10 * GIB - RESERVE);
    // Six promised: untouched they are among the ten free ones, touched they are not.
    assert_eq!(room(10 * GIB, 6 * GIB, 0), 4 * GIB - RESERVE);
    assert_eq!(room(4 * GIB, 6 * GIB, 6 * GIB), 4 * GIB - RESERVE);
    assert_eq!(room(GIB, 6 * GIB, 0), 0);
    let buffer = Buffer::new(HUGE, Pages::Small).unwrap();
    assert!(PROMISED.load(Ordering::Relaxed) >= HUGE as u64);
    drop(buffer);
}

#[test]
fn huge_pages_that_are_not_reserved_are_unavailable() {
    let error = Buffer::new(1 << 45, Pages::Huge).unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("reserved")), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let pool = dir.path().join("sys/kernel/mm/hugepages/hugepages-2048kB");
    std::fs::create_dir_all(&pool).unwrap();
    std::fs::write(pool.join("free_hugepages"), "3\n").unwrap();
    let root = Root::at(dir.path());
    assert!(refuse_if_short(&root, 3 * HUGE as u64, Pages::Huge, &Policy::FirstTouch).is_ok());
    assert!(refuse_if_short(&root, 4 * HUGE as u64, Pages::Huge, &Policy::FirstTouch).is_err());
    assert!(refuse_if_short(&root, HUGE as u64, Pages::Huge, &Policy::Node(1)).is_err());
}

#[test]
fn a_node_that_is_too_small_refuses_before_anything_is_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    };
    write("proc/meminfo", "MemAvailable: 17179869184 kB\n");
    write("proc/self/status", "RssAnon: 0 kB\n");
    write("sys/devices/system/node/has_memory", "0,2\n");
    write("sys/devices/system/node/node0/meminfo", "Node 0 MemFree: 12884901888 kB\n");
    write("sys/devices/system/node/node2/meminfo", "Node 2 MemFree: 1073741824 kB\n");
    let root = Root::at(dir.path());
    let ask = |bytes: u64, policy: Policy| refuse_if_short(&root, bytes, Pages::Small, &policy);
    // Sizes beside which the buffers of tests that run at the same time do not count.
    const TIB: u64 = 1 << 40;
    ask(8 * TIB, Policy::Node(0)).unwrap();
    assert!(matches!(ask(2 * TIB, Policy::Node(2)), Err(Error::Input { .. })));
    let error = ask(8 * TIB, Policy::Interleaved(vec![0, 2])).unwrap_err().to_string();
    assert!(error.contains("free memory of node 2"), "{error}");
    assert!(ask(20 * TIB, Policy::FirstTouch).is_err());
}
