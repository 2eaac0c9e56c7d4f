//! Softmax weights as mxfp4: what a kernel of [`Rounding::Mxfp4`](super::Rounding) multiplies, and how far it may be from it.
//!
//! With y = score log2(e), the largest of a block of 32 keys being Y, the block's scale is 2^F, F = the least integer with
//! Y - F <= log2(7); a weight is the E2M1 number nearest to 2^(y - F), times 2^F. That depends on nothing but the scores of
//! the block, not even on the row's maximum: so the oracle rounds the same way, and what is left to tolerate is that an error
//! of the score carries a weight, or a block's scale, over a tie. A weight that no tie is near is exact.
//!
//! Against exact softmax, a weight is off by at most a fifth of itself, half a step of a number of two significant bits, or
//! by a 14th of the largest of its block: half of E2M1's smallest number, 1/4, where the largest is above 7/2.

use crate::number::{E2M1, E2M1_VALUES, MX_BLOCK, Matrix, Rows};

/// Up to here the E2M1 number nearest is the largest, 6; the next power of two begins a step above it, at 8.
const LARGEST: f64 = 7.0;

/// A weight, and how far a right kernel's may be from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) value: f64,
    pub(super) uncertainty: f64,
}

/// The weights of one row, from the scores of its visible keys and how far those may be off, both times log2(e). They are
/// relative to the power of two at or above the largest.
pub(super) fn round(scores: &[(f64, f64)]) -> Vec<Weight> {
    let max = scores.iter().fold(f64::NEG_INFINITY, |max, (score, _)| max.max(*score)).ceil();
    scores.chunks(MX_BLOCK).flat_map(|block| round_block(block, max)).collect()
}

fn round_block(scores: &[(f64, f64)], max: f64) -> impl Iterator<Item = Weight> {
    let largest = |by: f64| {
        let moved = scores.iter().map(|(score, error)| score + by * error);
        moved.fold(f64::NEG_INFINITY, f64::max)
    };
    let exponent = |by: f64| (largest(by) - LARGEST.log2()).ceil();
    let (chosen, others) = (exponent(0.0), [exponent(-1.0), exponent(1.0)]);
    scores.iter().map(move |(score, error)| {
        let weight = |exponent: f64, score: f64| {
            let code = E2M1.encode_f64((score - exponent).exp2());
            f64::from(E2M1_VALUES[usize::from(code)]) * (exponent - max).exp2()
        };
        let value = weight(chosen, *score);
        let far = |exponent: f64, by: f64| (weight(exponent, score + by * error) - value).abs();
        let all = others.iter().flat_map(|&exponent| [far(exponent, -1.0), far(exponent, 1.0)]);
        Weight { value, uncertainty: all.fold(0.0, f64::max) }
    })
}

/// V transposed, read key after key: row `keys` h + i is key i of head h.
pub(super) struct ByKey<'a> {
    pub(super) transposed: &'a Matrix,
    pub(super) keys: usize,
    pub(super) v_dim: usize,
}

impl Rows for ByKey<'_> {
    fn rows(&self) -> usize {
        self.transposed.rows / self.v_dim * self.keys
    }

    fn columns(&self) -> usize {
        self.v_dim
    }

    fn decode_row(&self, row: usize, values: &mut [f64]) {
        let (head, key) = (row / self.keys, row % self.keys);
        for (column, value) in values.iter_mut().enumerate() {
            *value = self.transposed.value(head * self.v_dim + column, key);
        }
    }
}
