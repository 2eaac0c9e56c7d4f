//! The attention oracle against right and wrong kernels that multiply weights as mxfp4.

use super::*;
use crate::number::{E2M1, E2M1_VALUES, Format, MX_BLOCK};

const PREFILL: Attention = Attention {
    phase: Phase::Prefill,
    heads: 4,
    kv_heads: 2,
    queries: 33,
    keys: 110,
    qk_dim: 64,
    v_dim: 64,
    latent: false,
    scale_dim: 64,
};

struct Operands {
    q: Matrix,
    k: Matrix,
    /// Transposed.
    v: Matrix,
}

impl Operands {
    fn random(problem: &Attention) -> Self {
        let seed = rand::random::<u64>();
        println!("operands' seed {seed}");
        let matrix = |(rows, columns), salt| {
            Matrix::random(Format::Mxfp4, rows, columns, seed ^ salt).unwrap()
        };
        Self {
            q: matrix((problem.heads * problem.queries, problem.qk_dim), 0),
            k: matrix((problem.kv_heads * problem.keys, problem.qk_dim), 1),
            v: matrix(problem.transposed_values(), 2),
        }
    }

    fn inputs(&self) -> AttentionInputs<'_> {
        AttentionInputs { q: &self.q, k: &self.k, v: Some(&self.v) }
    }
}

/// A kernel in f32, and every mistake that the tests make it make.
#[derive(Clone, Copy)]
struct Kernel {
    /// Keys seen beyond those that the mask leaves.
    extra_keys: isize,
    /// The largest weight of a block over its scale.
    largest: f32,
    /// Keys that share a scale.
    block: usize,
    /// Whether weights are divided by the sum of the rounded.
    rounded_sum: bool,
    /// Whether weights are rounded at all.
    rounds: bool,
}

const RIGHT: Kernel =
    Kernel { extra_keys: 0, largest: 7.0, block: MX_BLOCK, rounded_sum: true, rounds: true };

impl Kernel {
    fn run(&self, problem: &Attention, operands: &Operands) -> Vec<f32> {
        let &Attention { heads, queries, keys, v_dim, .. } = problem;
        let factor = std::f32::consts::LOG2_E / (problem.scale_dim as f32).sqrt();
        let mut o = Vec::new();
        for row in 0..heads * queries {
            let kv_head = problem.kv_head(row / queries);
            let visible =
                problem.visible_keys(row % queries).saturating_add_signed(self.extra_keys);
            let query = row_f32(&operands.q, row);
            let score = |key: usize| {
                let key = row_f32(&operands.k, kv_head * keys + key);
                query.iter().zip(&key).fold(0f32, |s, (q, k)| q.mul_add(*k, s)) * factor
            };
            let scores: Vec<f32> = (0..visible.min(keys)).map(score).collect();
            let mut total = 0f32;
            let mut weights = Vec::new();
            for block in scores.chunks(self.block) {
                let largest = block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let exponent = (largest - self.largest.log2()).ceil();
                for score in block {
                    let over = (score - exponent).exp2();
                    let code = E2M1_VALUES[usize::from(E2M1.encode(over))];
                    let weight = if self.rounds { code } else { over };
                    weights.push(weight * exponent.exp2());
                    total += if self.rounded_sum { weight } else { over } * exponent.exp2();
                }
            }
            o.extend((0..v_dim).map(|column| {
                let values = row_f32(&operands.v, kv_head * v_dim + column);
                weights.iter().zip(&values).fold(0f32, |s, (w, v)| w.mul_add(*v, s)) / total
            }));
        }
        o
    }

    fn verify(&self, problem: &Attention, operands: &Operands) -> Result<Verified> {
        let o = self.run(problem, operands);
        verify_attention(problem, operands.inputs(), &o, Rounding::Mxfp4)
    }
}

#[test]
fn right_kernels_pass() {
    let one = Attention { queries: 1, keys: 1, ..PREFILL };
    let long = Attention { heads: 2, queries: 3, keys: 2049, ..PREFILL };
    for problem in [PREFILL, Attention { keys: 33, ..PREFILL }, one, long] {
        let operands = Operands::random(&problem);
        let verified = RIGHT.verify(&problem, &operands).unwrap();
        assert_eq!(verified.checked as usize, problem.heads * problem.queries * problem.v_dim);
    }
}

#[test]
fn weights_rounded_otherwise_are_wrong() {
    // Scores as far apart as those of eight times the operands: of weights that are all alike, most rules make the same.
    let apart = Attention { scale_dim: 1, ..PREFILL };
    let long = Attention { heads: 2, queries: 3, keys: 2049, ..apart };
    for problem in [apart, long] {
        let operands = Operands::random(&problem);
        for kernel in [
            Kernel { largest: 8.0, ..RIGHT }, // OCP's scale
            Kernel { largest: 6.0, ..RIGHT },
            Kernel { block: 16, ..RIGHT },
            Kernel { rounded_sum: false, ..RIGHT },
            Kernel { rounds: false, ..RIGHT },
        ] {
            wrong(kernel.verify(&problem, &operands));
        }
    }
}

#[test]
fn a_mask_that_is_off_by_one_and_values_by_rows_are_wrong() {
    let long = Attention { heads: 2, queries: 3, keys: 2049, ..PREFILL };
    for problem in [PREFILL, long] {
        for extra_keys in [-1, 1] {
            let kernel = Kernel { extra_keys, ..RIGHT };
            wrong(kernel.verify(&problem, &Operands::random(&problem)));
        }
    }
    let mut operands = Operands::random(&PREFILL);
    let o = RIGHT.run(&PREFILL, &operands);
    let check =
        |operands: &Operands| verify_attention(&PREFILL, operands.inputs(), &o, Rounding::Mxfp4);
    check(&operands).unwrap();
    // As decode's cache has them: a row a key.
    operands.v = Matrix::random(Format::Mxfp4, 2 * 110, 64, 0).unwrap();
    assert!(matches!(check(&operands), Err(Error::Input { .. })));
}

/// What the rounding costs, against softmax in f64: a weight is off by a fifth of itself or a 14th of its block's largest.
/// Sums of such errors obey Hoeffding's inequality: with nine standard deviations no run of this test fails.
#[test]
fn rounded_weights_are_as_near_to_softmax_as_the_format_allows() {
    let problem = Attention { heads: 2, queries: 5, keys: 700, ..PREFILL };
    let operands = Operands::random(&problem);
    let o = RIGHT.run(&problem, &operands);
    let exact = |matrix: &Matrix, row: usize| {
        let mut values = vec![0.0; matrix.columns];
        matrix.decode_row(row, &mut values);
        values
    };
    for row in 0..problem.heads * problem.queries {
        let head = problem.kv_head(row / problem.queries);
        let query = exact(&operands.q, row);
        let weights: Vec<f64> = (0..problem.visible_keys(row % problem.queries))
            .map(|key| {
                let key = exact(&operands.k, head * problem.keys + key);
                (query.iter().zip(&key).map(|(q, k)| q * k).sum::<f64>() / 8.0).exp()
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let errors: Vec<f64> = weights
            .chunks(MX_BLOCK)
            .flat_map(|block| {
                let largest = block.iter().copied().fold(0.0, f64::max);
                block.iter().map(move |weight| (weight / 5.0).max(largest / 14.0))
            })
            .collect();
        let by_weights = errors.iter().map(|e| e * e).sum::<f64>().sqrt() * 9.0 / total;
        for column in 0..problem.v_dim {
            let values = exact(&operands.v, head * problem.v_dim + column);
            let pairs = || weights.iter().zip(&values);
            let expected = pairs().map(|(w, v)| w * v).sum::<f64>() / total;
            let spread = errors.iter().zip(&values).map(|(e, v)| (e * (v - expected)).powi(2));
            let tolerance = 9.0 * spread.sum::<f64>().sqrt() / total / (1.0 - by_weights);
            let got = f64::from(o[row * problem.v_dim + column]);
            assert!((got - expected).abs() <= tolerance, "{got} {expected} {tolerance}");
        }
    }
}
