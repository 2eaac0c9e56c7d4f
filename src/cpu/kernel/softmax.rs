//! Between the two products of attention: scores become weights, a block of keys at a time.
//!
//! The softmax is the online one (Milakov, Gimelshein, Online normalizer calculation for softmax, 2018): a row keeps the
//! largest score so far and the sum of its weights relative to it; when a block brings a larger one, what was summed
//! before is scaled down. Plain Rust, compiled once per instruction set.

use super::target::{Job, LANES};
use crate::workload::Weights;

/// One row's state over the blocks of keys seen so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowState {
    /// The largest score, in units of log2: score x log2(e).
    pub max: f32,
    /// The sum of 2^(score - max).
    pub sum: f32,
}

impl RowState {
    /// No key seen.
    pub const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };
}

/// Turns one row's scores of a block of keys into weights, and scales down what the row has of O.
pub struct Softmax<'a> {
    /// Scores; becomes weights, zero for keys that the row does not see. A multiple of 16.
    pub scores: &'a mut [f32],
    /// Keys that the row sees, from the first.
    pub visible: usize,
    /// What turns a score into units of log2: log2(e) / sqrt(d).
    pub scale: f32,
    /// The row's state.
    pub state: &'a mut RowState,
    /// The row's weighted values so far.
    pub o: &'a mut [f32],
}

impl Job for Softmax<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { scores, visible, scale, state, o } = self;
        scores[visible..].fill(f32::NEG_INFINITY);
        let mut largest = [state.max; LANES];
        for lanes in scores.as_chunks_mut::<LANES>().0 {
            for (largest, score) in largest.iter_mut().zip(lanes) {
                *score *= scale;
                *largest = if *score > *largest { *score } else { *largest };
            }
        }
        let max = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
        if max == f32::NEG_INFINITY {
            // Nothing is visible yet: no weight, and nothing to scale.
            scores.fill(0.0);
            return;
        }
        let mut sums = [0.0; LANES];
        for lanes in scores.as_chunks_mut::<LANES>().0 {
            for (sum, score) in sums.iter_mut().zip(lanes) {
                *score = exp2(*score - max);
                *sum += *score;
            }
        }
        let sum: f32 = sums.into_iter().sum();
        let shrink = if state.sum > 0.0 { exp2(state.max - max) } else { 0.0 };
        if max > state.max && state.sum > 0.0 {
            o.iter_mut().for_each(|o| *o *= shrink);
        }
        *state = RowState { max, sum: state.sum * shrink + sum };
    }
}

/// 2^x for x <= 0, to 2e-7 relative; 0 below 2^-126, where f32 would be subnormal.
///
/// x = n + f with f in [-1/2, 1/2]: adding 1.5 x 2^23 rounds to an integer in the low bits, and 2^f is a polynomial that
/// interpolates at the Chebyshev nodes (largest relative error 2e-8 with these coefficients).
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const C: [f32; 7] = [
        1.0,
        std::f32::consts::LN_2,
        0.240_226_5,
        0.055_503_27,
        0.009_618_057,
        0.001_340_043,
        0.000_154_614_4,
    ];
    let clamped = if x < -126.0 { -126.0 } else { x };
    let rounded = clamped + ROUND;
    let f = clamped - (rounded - ROUND);
    let p = ((((((C[6] * f + C[5]) * f + C[4]) * f + C[3]) * f + C[2]) * f + C[1]) * f) + C[0];
    let power = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
    if x < -126.0 { 0.0 } else { power }
}

/// Turns a row of weights into units of A for the product with the values: one f32, or two neighbours as bf16.
pub struct PackWeights<'a> {
    /// Weights: an even number of them.
    pub from: &'a [f32],
    /// One a weight, by which it is multiplied before it is rounded: what the value of its key is to be scaled by.
    pub factors: Option<&'a [f32]>,
    /// What they become.
    pub as_: Weights,
    /// The units.
    pub to: &'a mut [u32],
}

impl Job for PackWeights<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { from, factors, as_, to } = self;
        let (pairs, _) = from.as_chunks::<2>();
        match (as_, factors) {
            (Weights::F32, Some(factors)) => {
                for ((to, from), factor) in to.iter_mut().zip(from).zip(factors) {
                    *to = (from * factor).to_bits();
                }
            }
            (Weights::F32, None) => {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from.to_bits();
                }
            }
            (Weights::Bf16, Some(factors)) => {
                for ((to, &[a, b]), &[f, g]) in to.iter_mut().zip(pairs).zip(factors.as_chunks().0)
                {
                    *to = bf16_pair(a * f, b * g);
                }
            }
            (Weights::Bf16, None) => {
                for (to, &[a, b]) in to.iter_mut().zip(pairs) {
                    *to = bf16_pair(a, b);
                }
            }
        }
    }
}

/// Two f32 as bf16, the first in the low half; rounded to nearest, ties to even.
#[inline(always)]
fn bf16_pair(first: f32, second: f32) -> u32 {
    let rounded = |value: f32| {
        let bits = value.to_bits();
        let up = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        if value.is_nan() { bits | 0x40_0000 } else { up }
    };
    rounded(first) >> 16 | rounded(second) & 0xffff_0000
}

/// Lines of keys become lines of values, a panel of 16 features of 16 keys at a time: a line of one element of 16 keys
/// each (f32 weights), or of two neighbouring ones (bf16), becomes a line of 16 elements of one key each, or of two.
pub struct Transpose<'a> {
    /// A line an element, or two.
    pub from: &'a [[u32; LANES]],
    /// A line a key, or two.
    pub to: &'a mut [[u32; LANES]],
    /// What the values are multiplied with.
    pub for_: Weights,
}

impl Job for Transpose<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        match self.for_ {
            Weights::F32 => {
                for (element, line) in self.from.iter().enumerate() {
                    for (to, &value) in self.to.iter_mut().zip(line) {
                        to[element] = value;
                    }
                }
            }
            Weights::Bf16 => {
                for (pair, line) in self.from.iter().enumerate() {
                    for (to, &[first, second]) in self.to.iter_mut().zip(line.as_chunks().0) {
                        // Two keys of two elements: the inner two of four bf16 change places.
                        to[2 * pair] = first & 0xffff | second << 16;
                        to[2 * pair + 1] = first >> 16 | second & 0xffff_0000;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_is_exact_to_two_units_in_the_last_place() {
        let mut worst = 0f64;
        for step in 0..2_000_000 {
            let x = -126.0 * step as f32 / 2_000_000.0;
            let exact = f64::from(x).exp2();
            worst = worst.max((f64::from(exp2(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
        assert_eq!((exp2(0.0), exp2(-1.0), exp2(-126.0)), (1.0, 0.5, f32::MIN_POSITIVE));
        assert_eq!((exp2(-126.5), exp2(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp2(f32::NAN).is_nan());
    }

    #[test]
    fn weights_are_rounded_as_bf16_is_defined() {
        let known =
            [0.0, -0.0, 1.0, 1.001_953_1, 1.005_859_4, f32::MAX, f32::INFINITY, f32::MIN_POSITIVE];
        let random = (0..100_000).map(|_| f32::from_bits(rand::random()));
        for value in known.into_iter().chain(random).filter(|value| !value.is_nan()) {
            let expected = u32::from(half::bf16::from_f32(value).to_bits());
            assert_eq!(bf16_pair(value, 1.0), expected | 0x3f80_0000, "{value:e}");
            assert_eq!(bf16_pair(1.0, value), expected << 16 | 0x3f80, "{value:e}");
        }
        let nan = bf16_pair(f32::from_bits(0x7f80_0001), f32::NAN);
        assert!(half::bf16::from_bits(nan as u16).is_nan());
        assert!(half::bf16::from_bits((nan >> 16) as u16).is_nan());
    }
}
