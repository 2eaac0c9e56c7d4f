//! Kernels compiled by Triton, as a check of the layouts by somebody else: they pass, and with a
//! rule broken on purpose, a wait shortened or a barrier taken out, at least one of them fails.
//!
//! `triton/` holds matrix products for every target (see its make.py). Rules that this PTX does not
//! exercise (other selectors, shapes and modes) are tested by `mutation.rs` and, against the ISA's
//! text, in `src/tensor`.

use emulator::corpus::{Options, run};
use emulator::tensor::descriptor::Field;
use emulator::tensor::{ISA, Rules, fragment, matrix, scale, swizzle, tcgen05, tmem};
use std::path::Path;

fn failures(options: &Options) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/triton");
    let results = run(&directory, options).expect("the corpus is there");
    let failed = results.into_iter().filter_map(|case| Some((case.name, case.outcome.err()?)));
    failed.map(|(name, why)| format!("{name}: {why}")).collect()
}

#[test]
fn every_case_passes_under_several_schedules() {
    for seed in 0..4 {
        assert_eq!(failures(&Options { seed, ..Options::default() }), [""; 0], "seed {seed}");
    }
}

/// A rule's name and how to break it.
type Mutation = (&'static str, fn(&mut Rules));

const MUTATIONS: [Mutation; 24] = [
    ("A fragment: registers 1 and 2 exchanged", |r| {
        r.fragment_a = |lane, register, e, n| fragment::a(lane, [0, 2, 1, 3][register & 3], e, n);
    }),
    ("B fragment: registers exchanged", |r| {
        r.fragment_b = |lane, register, e, n| fragment::b(lane, register ^ 1, e, n);
    }),
    ("B fragment: column of the next quad", |r| {
        r.fragment_b = |lane, register, e, n| fragment::b((lane + 4) % 32, register, e, n);
    }),
    ("accumulator: rows exchanged", |r| {
        r.accumulator = |lane, i| fragment::accumulator(lane, i ^ 2)
    }),
    ("accumulator: columns exchanged", |r| {
        r.accumulator = |lane, i| fragment::accumulator(lane, i ^ 1)
    }),
    ("ldmatrix: lanes of a quad reversed", |r| {
        r.matrix_b16 = |lane, e| matrix::place_b16(lane ^ 3, e);
    }),
    ("SFA: rows as the accumulator has them", |r| {
        r.scale_a = |m, block, byte, _| (4 * (m % 8), byte + block);
    }),
    ("SFA: bytes exchanged", |r| {
        r.scale_a = |m, block, byte, thread| scale::place_a(m, block ^ 1, byte, thread);
    }),
    ("SFB: next column", |r| {
        r.scale_b = |n, block, byte, thread| scale::place_b((n + 1) % 8, block, byte, thread);
    }),
    ("SFB: bytes exchanged", |r| {
        r.scale_b = |n, block, byte, thread| scale::place_b(n, block ^ 1, byte, thread);
    }),
    ("swizzle: one bit less", |r| r.swizzle = |mode, line| swizzle::pattern(mode, line) & !0x10),
    ("swizzle: lines of 256 bytes", |r| r.swizzle = |mode, line| swizzle::pattern(mode, line >> 1)),
    ("wgmma descriptor: start address", |r| r.wgmma_descriptor.start = Field(1, 13)),
    ("wgmma descriptor: leading offset", |r| r.wgmma_descriptor.leading = Field(17, 13)),
    ("wgmma descriptor: stride offset", |r| r.wgmma_descriptor.stride = Field(33, 13)),
    ("wgmma descriptor: swizzle modes", |r| r.wgmma_descriptor.modes.swap(1, 2)),
    ("tcgen05 descriptor: stride offset", |r| r.tcgen05_descriptor.stride = Field(33, 13)),
    ("tcgen05 descriptor: swizzle modes", |r| r.tcgen05_descriptor.modes.swap(2, 4)),
    ("tcgen05 instruction: N", |r| r.instruction.n = Field(16, 6)),
    ("tcgen05 instruction: scale ids", |r| {
        (r.instruction.scale_a, r.instruction.scale_b) = (Field(30, 1), Field(5, 1));
    }),
    ("Tensor Memory: rows of 64-row products", |r| {
        r.row_lane =
            |row, m, base| if m == 64 { base + row } else { tcgen05::row_lane(row, m, base) };
    }),
    ("Tensor Memory: scales' columns", |r| {
        r.tensor_scale = |index, id, block| (index / 4 % 32, index % 4, id + block);
    }),
    ("Tensor Memory: scales' bytes", |r| {
        r.tensor_scale = |index, id, block| tcgen05::scale_place(index, id ^ 1, block);
    }),
    ("tcgen05.ld: registers in reverse", |r| {
        r.tensor_memory = |shape, thread, register| tmem::place(shape, thread, register ^ 1);
    }),
];

#[test]
fn each_broken_rule_is_noticed() {
    let survivors: Vec<&str> = MUTATIONS
        .iter()
        .filter(|(_, mutate)| {
            let mut rules = ISA;
            mutate(&mut rules);
            failures(&Options { rules, ..Options::default() }).is_empty()
        })
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(survivors, [""; 0], "broken rules that no case notices");
}

/// Runs the corpus with every kernel's text edited; an edit that changes nothing is left out of the
/// run.
fn failures_of_edited(tag: &str, edit: impl Fn(&str) -> String) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/triton");
    let target =
        std::env::temp_dir().join(format!("emulator-mutation-{tag}-{}", std::process::id()));
    std::fs::create_dir_all(&target).expect("a temporary directory");
    for entry in std::fs::read_dir(&source).expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        let to = target.join(path.file_name().expect("a name"));
        if path.extension().is_some_and(|e| e == "ptx") {
            std::fs::write(to, edit(&std::fs::read_to_string(&path).expect("text")))
                .expect("written");
        } else {
            std::fs::copy(&path, to).expect("copied");
        }
    }
    let results = run(&target, &Options::default()).expect("a corpus");
    std::fs::remove_dir_all(&target).expect("removed");
    results
        .into_iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, case.outcome.err()?)))
        .collect()
}

/// The text without the lines that contain `word`.
fn without(text: &str, word: &str) -> String {
    text.lines().filter(|line| !line.contains(word)).collect::<Vec<_>>().join("\n")
}

#[test]
fn waiting_for_one_group_less_is_noticed() {
    let later = |name: &'static str| {
        move |text: &str| {
            let one_more = |line: &str| match line.split_once(name) {
                Some((before, count)) => {
                    let left: u32 = count.trim_end_matches(';').trim().parse().expect("a count");
                    format!("{before}{name} {};", left + 1)
                }
                None => line.to_owned(),
            };
            text.lines().map(one_more).collect::<Vec<_>>().join("\n")
        }
    };
    let failed = failures_of_edited("cp-async", later("cp.async.wait_group"));
    assert!(failed.iter().any(|case| case.starts_with("sm80_bf16")), "{failed:?}");
    let failed = failures_of_edited("wgmma", later("wgmma.wait_group.sync.aligned"));
    assert!(failed.iter().any(|case| case.starts_with("sm90_bf16")), "{failed:?}");
}

#[test]
fn missing_synchronisation_is_noticed() {
    for (word, case) in [
        ("bar.sync", "sm80_bf16"),
        ("fence.proxy.async", "sm90_bf16"),
        ("wgmma.fence", "sm90_bf16"),
        ("mbarrier.arrive.expect_tx", "sm90_tma"),
        ("tcgen05.wait::st", "sm100_mx"),
        ("tcgen05.commit", "sm100_bf16_m128"),
    ] {
        let tag = word.replace([':', '.'], "-");
        let failed = failures_of_edited(&tag, |text| without(text, word));
        assert!(failed.iter().any(|name| name.starts_with(case)), "without {word}: {failed:?}");
    }
}
