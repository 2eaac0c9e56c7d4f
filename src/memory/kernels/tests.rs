//! Every instruction set against plain loops, on odd lengths, odd alignments and poisoned destinations.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

const POISON: u64 = 0xdead_beef_dead_beef;

/// Lengths around every edge: nothing, less than a line, lines, blocks, and more.
const LENGTHS: [usize; 14] = [0, 1, 3, 7, 8, 9, 31, 32, 33, 40, 63, 257, 1000, 4099];

struct Case {
    b: Vec<u64>,
    c: Vec<u64>,
    /// Destination, with poison around it that must stay.
    a: Vec<u64>,
    seed: u64,
}

/// Runs `check` on every kernel, length and offset from a line; the check gets the three operands.
fn each(check: impl Fn(&Kernels, &mut [u64], &[u64], &[u64], u64)) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    for kernels in Kernels::all() {
        for length in LENGTHS {
            for offset in 0..9 {
                let words = |rng: &mut Pcg64Mcg| -> Vec<u64> {
                    (0..length + 9).map(|_| rng.random_range(-1.0..1.0f64).to_bits()).collect()
                };
                let mut case = Case {
                    b: words(&mut rng),
                    c: words(&mut rng),
                    a: vec![POISON; length + 9],
                    seed: rng.random(),
                };
                let other = (offset * 5) % 9;
                check(
                    &kernels,
                    &mut case.a[offset..offset + length],
                    &case.b[other..other + length],
                    &case.c[offset..offset + length],
                    case.seed,
                );
                let outside = case.a[..offset].iter().chain(&case.a[offset + length..]);
                assert!(
                    outside.into_iter().all(|&w| w == POISON),
                    "{} {length} {offset}",
                    kernels.path
                );
            }
        }
    }
}

#[test]
fn reads_add_up_every_word() {
    each(|kernels, _, b, _, _| {
        let plain = b.iter().fold(0u64, |sum, &word| sum.wrapping_add(word));
        assert_eq!((kernels.read)(b), plain, "{} {}", kernels.path, b.len());
    });
}

#[test]
fn writes_leave_the_pattern() {
    each(|kernels, a, _, _, seed| {
        for (write, seed) in [(kernels.write, seed), (kernels.write_temporal, seed ^ 1)] {
            write(a, seed);
            for (i, &word) in a.iter().enumerate() {
                assert_eq!(word, pattern(seed, i), "{} {} {i}", kernels.path, a.len());
            }
        }
    });
}

#[test]
fn copies_are_equal() {
    each(|kernels, a, b, _, _| {
        (kernels.copy)(a, b);
        assert_eq!(a, b, "{}", kernels.path);
    });
}

#[test]
fn triads_are_rounded_once() {
    each(|kernels, a, b, c, seed| {
        let s = (seed >> 11) as f64 / (1u64 << 53) as f64;
        (kernels.triad)(a, b, c, s);
        for i in 0..a.len() {
            let plain = s.mul_add(f64::from_bits(c[i]), f64::from_bits(b[i]));
            assert_eq!(a[i], plain.to_bits(), "{} {} {i}", kernels.path, a.len());
        }
    });
}

#[test]
fn mixes_add_word_by_word() {
    each(|kernels, a, b, c, seed| {
        let d: Vec<u64> = (0..a.len()).map(|i| pattern(seed, i)).collect();
        (kernels.mix_2r1w)(a, [b, c]);
        for i in 0..a.len() {
            assert_eq!(a[i], b[i].wrapping_add(c[i]), "{} {} {i}", kernels.path, a.len());
        }
        a.fill(POISON);
        (kernels.mix_3r1w)(a, [b, c, &d]);
        for i in 0..a.len() {
            let plain = b[i].wrapping_add(c[i]).wrapping_add(d[i]);
            assert_eq!(a[i], plain, "{} {} {i}", kernels.path, a.len());
        }
    });
}

#[test]
fn unequal_lengths_are_refused() {
    for kernels in Kernels::all() {
        let copy = std::panic::catch_unwind(|| (kernels.copy)(&mut [0; 3], &[0; 4]));
        let triad =
            std::panic::catch_unwind(|| (kernels.triad)(&mut [0; 3], &[0; 3], &[0; 2], 1.0));
        let mix = std::panic::catch_unwind(|| {
            (kernels.mix_3r1w)(&mut [0; 3], [&[0; 3], &[0; 3], &[0; 4]])
        });
        assert!(copy.is_err() && triad.is_err() && mix.is_err(), "{}", kernels.path);
    }
}

#[test]
fn patterns_differ_in_every_word() {
    let words: std::collections::BTreeSet<u64> = (0..10_000).map(|i| pattern(7, i)).collect();
    assert_eq!(words.len(), 10_000);
}
