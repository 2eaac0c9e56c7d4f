//! Where `mma.sync` keeps its operands: one rule for every shape and type.
//!
//! A lane is `4 * group + thread`. With `n` elements a register (32 bits over the element's
//! container; one for `f64`), register `r` and element `e` counted from the low bits:
//!
//! - A is row `group + 8 * (r & 1)`, k `thread * n + e + (r >> 1) * 4n`,
//! - B is k `thread * n + e + r * 4n`, column `group`,
//! - C and D element `i` is row `group + 8 * (i >> 1)`, column `2 * thread + (i & 1)`.
//!
//! This is PTX ISA 9.0, 9.7.14.5.2 to 9.7.14.5.13 (all figures but the `m8n8k4` of `f16`) in one
//! formula.

/// Place of element `e` of register `r` of a lane, with `n` elements a register.
pub type Place = fn(lane: usize, register: usize, element: usize, n: usize) -> (usize, usize);

/// (row, k) of an element of A.
pub fn a(lane: usize, register: usize, element: usize, n: usize) -> (usize, usize) {
    let (group, thread) = (lane / 4, lane % 4);
    (group + 8 * (register & 1), thread * n + element + (register >> 1) * 4 * n)
}

/// (k, column) of an element of B.
pub fn b(lane: usize, register: usize, element: usize, n: usize) -> (usize, usize) {
    let (group, thread) = (lane / 4, lane % 4);
    (thread * n + element + register * 4 * n, group)
}

/// (row, column) of accumulator element `i`.
pub fn accumulator(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane / 4, lane % 4);
    (group + 8 * (i >> 1), 2 * thread + (i & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ISA's formulas for each figure, written out as it gives them: (bits, M, K, row/k of A's
    /// `a_i`, k of B's `b_i`), against the one rule.
    #[test]
    fn one_rule_covers_every_figure() {
        type Formula = fn(usize, usize, usize) -> (usize, usize);
        let figures: [(usize, usize, Formula, Formula); 9] = [
            // m16n8k4 tf32 (9.7.14.5.6)
            (32, 4, |g, t, i| (g + 8 * i, t), |g, t, _| (t, g)),
            // m16n8k8 f16/bf16 (9.7.14.5.7)
            (
                16,
                8,
                |g, t, i| (if i < 2 { g } else { g + 8 }, 2 * t + (i & 1)),
                |g, t, i| (2 * t + i, g),
            ),
            // m16n8k8 tf32
            (
                32,
                8,
                |g, t, i| (if i == 0 || i == 2 { g } else { g + 8 }, if i < 2 { t } else { t + 4 }),
                |g, t, i| (if i == 0 { t } else { t + 4 }, g),
            ),
            // m16n8k16 f16/bf16 (9.7.14.5.8)
            (
                16,
                16,
                |g, t, i| {
                    let row = if i < 2 || (4..6).contains(&i) { g } else { g + 8 };
                    (row, 2 * t + (i & 1) + if i >= 4 { 8 } else { 0 })
                },
                |g, t, i| (2 * t + (i & 1) + if i >= 2 { 8 } else { 0 }, g),
            ),
            // m16n8k16 s8 (9.7.14.5.9)
            (
                8,
                16,
                |g, t, i| (if i < 4 { g } else { g + 8 }, 4 * t + (i & 3)),
                |g, t, i| (4 * t + i, g),
            ),
            // m16n8k32 8-bit (9.7.14.5.10)
            (
                8,
                32,
                |g, t, i| {
                    let row = if i < 4 || (8..12).contains(&i) { g } else { g + 8 };
                    (row, 4 * t + (i & 3) + if i >= 8 { 16 } else { 0 })
                },
                |g, t, i| (4 * t + (i & 3) + if i >= 4 { 16 } else { 0 }, g),
            ),
            // m16n8k32 4-bit
            (
                4,
                32,
                |g, t, i| (if i < 8 { g } else { g + 8 }, 8 * t + (i & 7)),
                |g, t, i| (8 * t + i, g),
            ),
            // m16n8k64 4-bit (9.7.14.5.11)
            (
                4,
                64,
                |g, t, i| {
                    let row = if i < 8 || (16..24).contains(&i) { g } else { g + 8 };
                    (row, 8 * t + (i & 7) + if i >= 16 { 32 } else { 0 })
                },
                |g, t, i| (8 * t + (i & 7) + if i >= 8 { 32 } else { 0 }, g),
            ),
            // m16n8k128 b1 (9.7.14.5.12)
            (
                1,
                128,
                |g, t, i| (if i < 32 { g } else { g + 8 }, 32 * t + (i & 31)),
                |g, t, i| (32 * t + i, g),
            ),
        ];
        for (bits, k, formula_a, formula_b) in figures {
            let n = 32 / bits;
            for lane in 0..32 {
                let (g, t) = (lane / 4, lane % 4);
                for i in 0..16 * k / 32 {
                    assert_eq!(
                        a(lane, i / n, i % n, n),
                        formula_a(g, t, i),
                        "A {bits} bits k{k} lane {lane} a{i}"
                    );
                }
                for i in 0..8 * k / 32 {
                    assert_eq!(
                        b(lane, i / n, i % n, n),
                        formula_b(g, t, i),
                        "B {bits} bits k{k} lane {lane} b{i}"
                    );
                }
            }
        }
    }

    #[test]
    fn fragments_cover_each_element_once() {
        for (bits, k) in [(64, 4), (64, 16), (32, 8), (16, 16), (8, 32), (4, 64), (1, 256)] {
            let n = (32 / bits).max(1);
            let mut seen = vec![0u8; 16 * k];
            let registers = 16 * k / 32 / n;
            for (lane, r, e) in (0..32)
                .flat_map(|l| (0..registers).flat_map(move |r| (0..n).map(move |e| (l, r, e))))
            {
                let (row, at) = a(lane, r, e, n);
                seen[row * k + at] += 1;
            }
            assert!(seen.iter().all(|&count| count == 1), "{bits} bits, k = {k}");
        }
    }
}
