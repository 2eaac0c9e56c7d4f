//! Every layout and ordering rule, broken one at a time: the corpus must notice.
//!
//! The corpus in `tests/corpus` states the layouts in its kernels' own index arithmetic. Where the shared corpus of
//! compiled Triton kernels is there (beside the workspace, not part of the repository), it runs too, unbroken.

use emulator::corpus::{CaseResult, Options, run};
use emulator::tensor::descriptor::Field;
use emulator::tensor::swizzle::{self, Swizzle};
use emulator::tensor::{ISA, Rules, fragment, matrix, scale, tcgen05, tensor_copy, tmem};
use std::path::{Path, PathBuf};

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn failures(directory: &Path, options: &Options) -> Vec<CaseResult> {
    let results = run(directory, options).unwrap_or_else(|e| panic!("{e}"));
    results.into_iter().filter(|r| r.outcome.is_err()).collect()
}

/// Rules with one of them replaced.
fn broken() -> Vec<(&'static str, Rules)> {
    let field = |at: Field| Field(at.0 + 1, at.1);
    vec![
        (
            "A's register order",
            Rules { fragment_a: |l, r, e, n| fragment::a(l, r ^ 1, e, n), ..ISA },
        ),
        ("A's k order", Rules { fragment_a: |l, r, e, n| fragment::a(l, r, e ^ 1, n), ..ISA }),
        (
            "B's register order",
            Rules { fragment_b: |l, r, e, n| fragment::b(l, r ^ 1, e, n), ..ISA },
        ),
        ("B's columns", Rules { fragment_b: |l, r, e, n| fragment::b(l ^ 4, r, e, n), ..ISA }),
        ("C's rows", Rules { accumulator: |l, i| fragment::accumulator(l, i ^ 2), ..ISA }),
        ("C's columns", Rules { accumulator: |l, i| fragment::accumulator(l, i ^ 1), ..ISA }),
        ("scale lanes of A", Rules { scale_a: |m, j, b, t| scale::place_a(m ^ 1, j, b, t), ..ISA }),
        (
            "scale threads of A",
            Rules { scale_a: |m, j, b, t| scale::place_a(m, j, b, t ^ 1), ..ISA },
        ),
        ("scale bytes of A", Rules { scale_a: |m, j, b, t| scale::place_a(m, j, b ^ 1, t), ..ISA }),
        (
            "scale blocks of A",
            Rules { scale_a: |m, j, b, t| scale::place_a(m, j & 2, b, t), ..ISA },
        ),
        ("scale lanes of B", Rules { scale_b: |n, j, b, t| scale::place_b(n ^ 1, j, b, t), ..ISA }),
        (
            "scale threads of B",
            Rules { scale_b: |n, j, b, t| scale::place_b(n, j, b, t ^ 1), ..ISA },
        ),
        ("scale bytes of B", Rules { scale_b: |n, j, b, t| scale::place_b(n, j, b ^ 1, t), ..ISA }),
        ("ldmatrix rows", Rules { matrix_b16: |l, e| matrix::place_b16(l ^ 4, e), ..ISA }),
        (
            "ldmatrix lanes",
            Rules { matrix_b16: |l, e| matrix::place_b16(l.reverse_bits() >> 59 & 31, e), ..ISA },
        ),
        (
            "128-byte swizzle",
            Rules { swizzle: |s, line| only(s, Swizzle::B128, line, line ^ 1), ..ISA },
        ),
        ("32-byte swizzle", Rules { swizzle: |s, line| only(s, Swizzle::B32, line, 0), ..ISA }),
        ("wait counts", Rules { groups_left: |n| n + 1, ..ISA }),
        (
            "mbarrier parity",
            Rules { parity_passed: |phase, parity| phase & 1 == parity & 1, ..ISA },
        ),
        ("wgmma: start address", wgmma(|d| d.start = field(d.start))),
        ("wgmma: stride", wgmma(|d| d.stride = field(d.stride))),
        ("wgmma: swizzle mode", wgmma(|d| d.mode = Field(d.mode.0 - 1, d.mode.1))),
        ("tcgen05: start address", tensor(|d| d.start = field(d.start))),
        ("tcgen05: stride", tensor(|d| d.stride = field(d.stride))),
        ("tcgen05: swizzle mode", tensor(|d| d.mode = Field(d.mode.0 - 1, d.mode.1))),
        ("instruction descriptor: N", instruction(|d| d.n = field(d.n))),
        ("instruction descriptor: M", instruction(|d| d.m_scaled = field(d.m_scaled))),
        ("instruction descriptor: scale type", instruction(|d| d.scale_type = field(d.scale_type))),
        (
            "rows of D in tensor memory",
            Rules { row_lane: |r, m, b| tcgen05::row_lane(r ^ 1, m, b), ..ISA },
        ),
        (
            "scales in tensor memory",
            Rules { tensor_scale: |i, id, j| tcgen05::scale_place(i ^ 32, id, j), ..ISA },
        ),
        ("tcgen05.ld lanes", Rules { tensor_memory: |s, t, r| tmem::place(s, t ^ 1, r), ..ISA }),
        ("tcgen05.ld columns", Rules { tensor_memory: |s, t, r| tmem::place(s, t, r ^ 1), ..ISA }),
        ("tcgen05.cp lanes", Rules { copy_lanes: |s, r| tensor_copy::lanes(s, r ^ 1), ..ISA }),
    ]
}

/// The pattern of a mode, of another line for the one mode that is broken.
fn only(mode: Swizzle, which: Swizzle, line: u32, wrong: u32) -> u32 {
    swizzle::pattern(mode, if mode == which { wrong } else { line })
}

fn wgmma(change: impl Fn(&mut emulator::tensor::descriptor::DescriptorFields)) -> Rules {
    let mut rules = ISA;
    change(&mut rules.wgmma_descriptor);
    rules
}

fn tensor(change: impl Fn(&mut emulator::tensor::descriptor::DescriptorFields)) -> Rules {
    let mut rules = ISA;
    change(&mut rules.tcgen05_descriptor);
    rules
}

fn instruction(change: impl Fn(&mut emulator::tensor::instruction::InstructionFields)) -> Rules {
    let mut rules = ISA;
    change(&mut rules.instruction);
    rules
}

#[test]
fn the_own_corpus_passes_under_every_schedule() {
    for seed in 0..4 {
        let failed = failures(&own(), &Options { seed, ..Options::default() });
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
    }
}

#[test]
fn a_broken_rule_fails_the_corpus() {
    let unnoticed: Vec<&str> = broken()
        .into_iter()
        .filter(|(_, rules)| {
            failures(&own(), &Options { rules: *rules, ..Options::default() }).is_empty()
        })
        .map(|(name, _)| name)
        .collect();
    assert!(unnoticed.is_empty(), "the corpus does not notice: {unnoticed:?}");
}

#[test]
fn the_shared_corpus_passes() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ptx-corpus");
    if !shared.is_dir() {
        println!("skipped: no shared corpus at {}", shared.display());
        return;
    }
    for seed in [0, 1] {
        let failed = failures(&shared, &Options { seed, ..Options::default() });
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
    }
}
