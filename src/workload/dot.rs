//! Exact rows and their products in f64: what both oracles are made of.

use crate::number::Rows;

/// A row of a matrix, decoded.
pub(super) struct Row {
    /// Its values.
    pub(super) values: Vec<f64>,
    /// The sum of their magnitudes.
    pub(super) magnitude: f64,
}

impl Row {
    /// Room for a row of `matrix`.
    pub(super) fn empty(matrix: &dyn Rows) -> Self {
        Self { values: vec![0.0; matrix.columns()], magnitude: 0.0 }
    }

    /// Row `index` of `matrix`.
    pub(super) fn of(matrix: &dyn Rows, index: usize) -> Self {
        let mut row = Self::empty(matrix);
        row.load(matrix, index);
        row
    }

    /// Replaces this row by row `index` of `matrix`, of as many columns.
    pub(super) fn load(&mut self, matrix: &dyn Rows, index: usize) {
        matrix.decode_row(index, &mut self.values);
        self.magnitude = self.values.iter().map(|value| value.abs()).sum();
    }
}

/// A dot product, and the sum of its terms' magnitudes.
pub(super) struct Dot {
    pub(super) sum: f64,
    pub(super) magnitude: f64,
}

/// Independent sums, so that additions need not wait for each other and fit in vector registers.
const LANES: usize = 8;

/// How far [`dot`] of `terms` products may be off, as a share of their magnitudes: each is rounded once where there are
/// row scales, and at most `terms` additions follow. A 2^-29th of what f32 may lose.
pub(super) fn dot_error(terms: usize) -> f64 {
    (terms + 1) as f64 * (f64::EPSILON / 2.0)
}

/// `a` times `b`, within [`dot_error`].
pub(super) fn dot(a: &[f64], b: &[f64]) -> Dot {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0; LANES];
    let mut magnitudes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            let term = a[lane] * b[lane];
            sums[lane] += term;
            magnitudes[lane] += term.abs();
        }
    }
    let mut dot = Dot { sum: sums.iter().sum(), magnitude: magnitudes.iter().sum() };
    for (a, b) in a_rest.iter().zip(b_rest) {
        let term = a * b;
        dot.sum += term;
        dot.magnitude += term.abs();
    }
    dot
}
