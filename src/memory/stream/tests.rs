//! Every loop end to end, and loops that are broken on purpose.

use super::super::kernels::Kernels;
use super::setup::GRANULE;
use super::*;
use crate::host::{Caches, Policy, Root};

fn small(kernels: Kernels, kind: Loop, words: usize) -> Stream {
    Stream::sized(Setup {
        id: kind.metric(),
        workers: Arc::new(Workers::new().unwrap()),
        kernels,
        kind,
        words,
        toucher: None,
        cache_bytes: 1 << 20,
        policy: Policy::FirstTouch,
        ceiling: DramCeiling::not_known("a test"),
        notes: BTreeMap::new(),
    })
    .unwrap()
}

#[test]
fn every_loop_verifies_with_every_instruction_set() {
    for kernels in Kernels::all() {
        for kind in Loop::ALL {
            for words in [1, 1001, GRANULE + 5, 3 * GRANULE] {
                let mut stream = small(kernels, kind, words);
                let before = stream.verify().unwrap();
                stream.run(3).unwrap();
                let after = stream.verify().unwrap();
                assert_eq!((before.checked, after.checked), (words as u64, words as u64));
            }
        }
    }
}

#[test]
fn work_counts_what_crosses_the_bus() {
    let (read, bytes) = (small(Kernels::best(), Loop::Read, 1 << 10), 8 << 10);
    assert_eq!((read.work().bytes_read, read.work().bytes_written), (bytes, 0));
    let portable = Kernels::all()[0];
    let triad = small(portable, Loop::TriadNt, 1 << 10).work();
    assert_eq!((triad.counted_bytes(), triad.wire_bytes), (3 * bytes, Some(4 * bytes)));
    // Through the caches, what is overwritten is read first.
    let write = small(Kernels::best(), Loop::Write, 1 << 10).work();
    assert_eq!((write.counted_bytes(), write.wire_bytes), (bytes, Some(2 * bytes)));
    let mix = small(Kernels::best(), Loop::Mix3, 1 << 10).work();
    assert_eq!((mix.bytes_read, mix.bytes_written), (3 * bytes, bytes));
    if Kernels::best().non_temporal {
        let copy = small(Kernels::best(), Loop::CopyNt, 1 << 10).work();
        assert_eq!((copy.counted_bytes(), copy.wire_bytes), (2 * bytes, Some(2 * bytes)));
    }
}

#[test]
fn a_read_that_skips_a_word_is_caught() {
    let mut kernels = Kernels::all()[0];
    kernels.read = |words| words.iter().skip(1).fold(0, |sum: u64, &w| sum.wrapping_add(w));
    let mut stream = small(kernels, Loop::Read, 5000);
    assert!(matches!(stream.verify(), Err(Error::Wrong(_))));
    assert!(matches!(stream.run(1), Err(Error::Wrong(_))));
}

#[test]
fn a_write_that_does_nothing_is_caught() {
    let mut kernels = Kernels::all()[0];
    kernels.write = |_, _| ();
    kernels.copy = |_, _| ();
    kernels.write_temporal = |_, _| ();
    kernels.triad = |_, _, _, _| ();
    kernels.mix_2r1w = |_, _| ();
    kernels.mix_3r1w = |_, _| ();
    for kind in Loop::ALL.into_iter().filter(|&kind| kind != Loop::Read) {
        assert!(matches!(small(kernels, kind, 5000).verify(), Err(Error::Wrong(_))), "{kind:?}");
    }
}

#[test]
fn streams_are_shifted_against_each_other_inside_each_part() {
    let stream = small(Kernels::best(), Loop::TriadNt, 8 * GRANULE);
    let setup = &stream.setup;
    setup.workers.run(|worker| {
        let part = part(worker, setup.words);
        let windows = [0, 1, 2].map(|stream| setup.window(worker, stream));
        assert!(windows.iter().all(|w| part.start <= w.start && w.end <= part.end));
        assert_eq!((windows[0].start, windows[2].end), (part.start, part.end));
        let [a, b, c] = windows.map(|window| (window.len(), window.start * size_of::<u64>()));
        assert!(a.0 == b.0 && b.0 == c.0);
        for (one, other) in [(a.1, b.1), (b.1, c.1), (a.1, c.1)] {
            assert_eq!((other - one) % 64, 0, "loads would cross lines");
            assert!((other - one) % 4096 >= 256, "streams would alias");
        }
    });
    // What is counted is what is moved.
    let shifted = 2 * (41 * 64) * setup.workers.count();
    let bytes = (8 * GRANULE * size_of::<u64>() - shifted) as u64;
    assert_eq!(stream.work().bytes_written, bytes);
    assert_eq!(stream.work().bytes_read, 2 * bytes);
}

#[test]
fn a_write_outside_its_window_is_caught() {
    let words = 8 * GRANULE;
    let mut stream = small(Kernels::best(), Loop::CopyNt, words);
    stream.verify().unwrap();
    assert_eq!(stream.wrong_words(), 0);
    stream.target.as_mut().unwrap().as_mut_slice::<u64>()[words - 1] = 1;
    assert_eq!(stream.wrong_words(), 1);
}

#[test]
fn memory_on_another_node_than_the_label_says_is_caught() {
    let mut stream = small(Kernels::best(), Loop::CopyNt, 5000);
    let Some((&node, _)) = stream.sources[0].census().by_node.first_key_value() else { return };
    stream.setup.policy = Policy::Node(node);
    stream.verify().unwrap();
    stream.setup.policy = Policy::Node(node + 1);
    assert!(matches!(stream.verify(), Err(Error::Wrong(_))));
}

#[test]
fn streams_are_cold_by_size_and_placed() {
    let workers = Arc::new(Workers::new().unwrap());
    let caches = Caches::of(workers.cpus());
    if caches.last_level_total > 64 << 20 {
        return; // too much memory for a test
    }
    let stream =
        Stream::new(workers.clone(), Loop::Read, DramCeiling::of(&Root::at("/x"))).unwrap();
    assert_eq!(stream.cache(), Cache::Cold);
    assert!(stream.work().bytes_read as usize >= LEAST_OF_CACHE * caches.last_level_total);
    let placement = stream.placement();
    assert_eq!(placement.cpus, workers.cpus());
    assert!(!placement.pages_by_node.contains_key("untouched"), "{placement:?}");
}

#[test]
fn every_home_verifies_where_it_can_be_had() {
    let workers = Arc::new(Workers::new().unwrap());
    if Caches::of(workers.cpus()).last_level_total > 64 << 20 {
        return; // too much memory for a test
    }
    let nodes = Root::host().list("/sys/devices/system/node/has_memory").unwrap_or_default();
    let node = nodes.first().copied().unwrap_or(0);
    for home in [
        Home::FirstWorker,
        Home::Node(node),
        Home::Interleaved(nodes),
        Home::Each(vec![node; workers.count()]),
    ] {
        let ceiling = DramCeiling::not_known("a test");
        match Stream::at(MetricId::new(["x"]), workers.clone(), Loop::CopyNt, &home, ceiling) {
            Ok(mut stream) => {
                stream.verify().unwrap();
                assert_eq!(stream.cache(), Cache::Cold);
            }
            Err(Error::Unavailable(why)) => assert!(why.contains("binding denied"), "{why}"),
            Err(other) => panic!("{home:?}: {other}"),
        }
    }
}
