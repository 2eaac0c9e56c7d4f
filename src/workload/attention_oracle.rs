//! The oracle of attention: softmax in f64 and what a correct kernel may differ by.
//!
//! # Tolerance
//!
//! One output is o = sum p_i v_i over the keys i, p = softmax(s). A kernel computes weights p_i (1 + t_i), and
//! dividing by their sum gives o + sum p_i t_i (v_i - o) to first order. With u the unit roundoff of f32, gamma and
//! lambda as in `workload::rounding`, A = sum p |v| + |o| and Q = |p v| + |o| |p| (Euclidean norms, so that lambda Q
//! bounds a sum of independent errors):
//!
//! - **Scores.** The dot product of a query and a key, with its scales, is off by gamma(D + 6) sum |q k| / sqrt(D');
//!   exp turns an absolute error of the score into the same relative error of the weight. They are independent from
//!   key to key: the smaller of gamma(D + 6) B A and lambda sqrt(D + 6) u B Q, B the largest sum |q k| / sqrt(D').
//! - **Exponential.** The factor log2(e) / sqrt(D'), the subtraction of the maximum and the exponential itself err
//!   alike for all keys: (8 + 4 max|s| + 4 |max s|) u A. An exponential of 8 units in the last place fits, one made
//!   for half precision does not.
//! - **Weights.** A kernel that rounds them to bf16 for the second product says so ([`Weights`]): the smaller of
//!   2^-8 A and lambda 2^-8 Q.
//! - **Weights as codes** of the largest number L, scaled with the values ([`Rounding`]): with S the largest scale of a
//!   row of V and p' the largest weight, one unit is p' S / L. Int8 is off by half of it a key, times the value's code
//!   c: the smaller of sqrt(n) and lambda times sqrt(sum c^2), and by half of it a tile of keys where sums are integers.
//!   E4M3 is off by 2^-4, as bf16 by 2^-8, and by half of its smallest number, 2^-10 units, times codes as before.
//! - **Weights as mxfp4** are rounded here, too ([`super::attention_mxfp4`]): p is what they are then, by which neither
//!   errors of the scores nor of the exponential count but where they carry a weight over a tie, by e: (sum e |v| + |o| E) /
//!   (1 - E), E = sum e.
//! - **Sums over keys.** Weights and weighted values are summed in f32 with at most one rescaling an addition:
//!   gamma(2 n) times the largest partial sum, which is at most A, and for values drawn independently (contract 2 of
//!   the measurement) at most |o| + lambda Q: a sharper limit, without which a key too much or too little would
//!   disappear in a long context.
//! - **Division** and the scales of values: 4 u |o|. **Flushed** weights: 2^-126 max|v| a key.
//!
//! # Which outputs
//!
//! Whole rows of O: all of a small problem; of a large one those of the first and last head and query, of the heads
//! where one key/value head follows another, and random ones, fresh in each call, of at least 1024 outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::LOG2_E;
use std::fmt;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

use super::attention_mxfp4::{self, ByKey};
use super::dot::{Row, dot};
use super::rounding::{self, BF16, E4M3, E4M3_MAX, E4M3_STEP, F32, FLUSHED, LAMBDA};
use super::verified::{Comparisons, check_length};
use super::{Attention, AttentionInputs, Verified};
use crate::Result;
use crate::number::Rows;

/// How a kernel keeps the softmax weights between the two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weights {
    /// As f32.
    F32,
    /// Rounded to bfloat16, for units that multiply bf16.
    Bf16,
}

/// What a kernel makes of the softmax weights before the second product.
///
/// As codes, the largest weight so far in the row times the largest scale of a row of V becomes the largest number: what
/// is rounded is a weight times the scale of its value, and the second product is one of codes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Floating-point numbers, which values are multiplied by.
    Float(Weights),
    /// Multiples of a 127th of the largest.
    Int8,
    /// E4M3, the largest being 448.
    Fp8E4m3,
    /// E2M1, with a power of two for 32 keys of a row, by which the largest of them becomes 4 or 6, the nearest; their sum,
    /// too, is that of the rounded. V is transposed: see [`Attention::transposed_values`].
    Mxfp4,
}

impl Rounding {
    /// Whether V is transposed, so that its blocks lie along keys.
    pub fn transposes_values(self) -> bool {
        self == Self::Mxfp4
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float(Weights::F32) => "f32",
            Self::Float(Weights::Bf16) => "bf16",
            Self::Int8 => "int8, scaled with their values: the largest of a row is 127",
            Self::Fp8E4m3 => "fp8, scaled with their values: the largest of a row is 448",
            Self::Mxfp4 => {
                "mxfp4, a scale for 32 keys of a query: the largest is 4 or 6; divided by their rounded sum"
            }
        })
    }
}

impl From<Weights> for Rounding {
    fn from(weights: Weights) -> Self {
        Self::Float(weights)
    }
}

/// Product terms that are computed for rows beyond the required ones: some 100 ms of one core.
const BUDGET: u64 = 1 << 26;

/// Outputs in random rows at least.
const SAMPLE: usize = 1024;

/// Roundings of a score besides its D additions: two row scales, the factor, the maximum.
const SCORE_ROUNDINGS: usize = 6;

/// Keys that one task reads at least.
const TASK_KEYS: usize = 64;

/// Compares O, `heads x queries` rows of `v_dim`, with the attention of `inputs`. The random part of the sample is
/// seeded by the operating system.
///
/// # Errors
/// [`crate::Error::Wrong`] with the first output outside its tolerance, or when O has another size;
/// [`crate::Error::Input`] when the matrices don't suit the problem.
pub fn verify_attention(
    problem: &Attention,
    inputs: AttentionInputs<'_>,
    o: &[f32],
    weights: impl Into<Rounding>,
) -> Result<Verified> {
    verify_attention_seeded(problem, inputs, o, weights, rand::random())
}

/// [`verify_attention`] with the sample that an earlier error named by its seed.
///
/// # Errors
/// As [`verify_attention`].
pub fn verify_attention_seeded(
    problem: &Attention,
    inputs: AttentionInputs<'_>,
    o: &[f32],
    weights: impl Into<Rounding>,
    seed: u64,
) -> Result<Verified> {
    let weights = weights.into();
    let by_key;
    let values: &dyn Rows = if weights.transposes_values() {
        inputs.check_transposed(problem)?;
        let &Attention { keys, v_dim, .. } = problem;
        by_key = ByKey { transposed: inputs.values(), keys, v_dim };
        &by_key
    } else {
        inputs.check(problem)?;
        inputs.values()
    };
    check_length("O", o.len(), problem.heads * problem.queries * problem.v_dim)?;
    // Rows that share a key/value head share the decoding of its keys and values.
    let mut by_kv_head: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in sample_rows(problem, seed) {
        let head = row / problem.queries;
        by_kv_head.entry(problem.kv_head(head)).or_default().push(row);
    }
    let oracle = Oracle { problem, inputs, values, weights };
    let mut comparisons = Comparisons::default();
    for (kv_head, rows) in by_kv_head {
        comparisons = comparisons.merge(oracle.kv_head(kv_head, &rows, o));
    }
    let format = inputs.q.format;
    comparisons.finish(&format!("attention {problem} in {format}"), seed, |index| {
        let (row, column) = (index / problem.v_dim, index % problem.v_dim);
        let (head, query) = (row / problem.queries, row % problem.queries);
        format!("O[head {head}, query {query}, {column}]")
    })
}

/// Rows of O to check, ascending.
fn sample_rows(problem: &Attention, seed: u64) -> BTreeSet<usize> {
    let &Attention { heads, kv_heads, queries, keys, qk_dim, v_dim, .. } = problem;
    let rows = heads * queries;
    let affordable = (BUDGET / (keys * (qk_dim + v_dim)) as u64) as usize;
    if rows <= affordable {
        return (0..rows).collect();
    }
    let group = heads / kv_heads;
    let edge_heads = [0, group - 1, group % heads, heads - 1];
    let edges = edge_heads.iter().flat_map(|head| [head * queries, head * queries + queries - 1]);
    let mut sample: BTreeSet<_> = edges.collect();
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let random = affordable.max(SAMPLE.div_ceil(v_dim));
    sample.extend((0..random).map(|_| rng.random_range(0..rows)));
    sample
}

struct Oracle<'a> {
    problem: &'a Attention,
    inputs: AttentionInputs<'a>,
    /// Values, a row for each key.
    values: &'a dyn Rows,
    weights: Rounding,
}

/// What the scores of one row of O tell.
struct Softmax {
    /// The weight of each key; 0 where the mask hides it.
    weights: Vec<f64>,
    /// By how much a right kernel may round each weight otherwise; empty where only [`Rounding`] tells.
    uncertain: Vec<f64>,
    /// Euclidean norm of the weights.
    norm: f64,
    /// The largest weight.
    largest: f64,
    /// Number of visible keys.
    visible: usize,
    /// Largest sum of |q k| / sqrt(D') over the visible keys.
    score_terms: f64,
    /// Largest |score|.
    score: f64,
    /// The score of the maximum, in magnitude.
    max_score: f64,
}

/// Sums over keys for one output.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// p v.
    value: f64,
    /// |p v|.
    magnitude: f64,
    /// (p v)^2.
    square: f64,
    /// Largest |v|.
    largest: f64,
    /// (v / the scale of its row)^2.
    codes: f64,
    /// |v|, times how uncertain the weight is.
    uncertain: f64,
}

impl Sums {
    /// `uncertain`: how far the weight may be off; `inverse`: of the scale of the row of `value`.
    fn add(&mut self, weight: f64, uncertain: f64, value: f64, inverse: f64) {
        let term = weight * value;
        self.value += term;
        self.magnitude += term.abs();
        self.square += term * term;
        self.largest = self.largest.max(value.abs());
        self.codes += (value * inverse).powi(2);
        self.uncertain += uncertain * value.abs();
    }

    fn merge(&mut self, other: &Self) {
        self.value += other.value;
        self.magnitude += other.magnitude;
        self.square += other.square;
        self.largest = self.largest.max(other.largest);
        self.codes += other.codes;
        self.uncertain += other.uncertain;
    }
}

impl Oracle<'_> {
    /// Checks `rows` of O, all of one key/value head.
    fn kv_head(&self, kv_head: usize, rows: &[usize], o: &[f32]) -> Comparisons {
        let v_dim = self.problem.v_dim;
        let softmax = self.softmax(kv_head, rows);
        let sums = self.sums(kv_head, &softmax);
        let keys = kv_head * self.problem.keys..(kv_head + 1) * self.problem.keys;
        let scales = keys.map(|key| f64::from(self.inputs.values().row_scale(key)));
        let scale = scales.fold(0.0, f64::max);
        let mut comparisons = Comparisons::default();
        for ((row, softmax), sums) in rows.iter().zip(&softmax).zip(sums.chunks_exact(v_dim)) {
            for (column, sums) in sums.iter().enumerate() {
                let index = row * v_dim + column;
                comparisons.compare(
                    index,
                    o[index],
                    sums.value,
                    self.tolerance(softmax, sums, scale),
                );
            }
        }
        comparisons
    }

    fn softmax(&self, kv_head: usize, rows: &[usize]) -> Vec<Softmax> {
        let &Attention { keys, queries, .. } = self.problem;
        let queries_of_rows: Vec<_> = rows.iter().map(|&row| Row::of(self.inputs.q, row)).collect();
        // Score and sum of its terms' magnitudes, key after key, so that a key is decoded once.
        let mut scores = vec![(0.0, 0.0); keys * rows.len()];
        scores.par_chunks_exact_mut(rows.len()).with_min_len(TASK_KEYS).enumerate().for_each_init(
            || Row::empty(self.inputs.k),
            |key, (index, scores)| {
                key.load(self.inputs.k, kv_head * keys + index);
                for (score, query) in scores.iter_mut().zip(&queries_of_rows) {
                    let product = dot(&query.values, &key.values);
                    *score = (product.sum, product.magnitude);
                }
            },
        );
        let factor = (self.problem.scale_dim as f64).sqrt().recip();
        let of_row = |(column, row): (usize, &usize)| {
            let visible = self.problem.visible_keys(row % queries);
            let seen = || (0..visible).map(|key| scores[key * rows.len() + column]);
            let max = seen().fold(f64::NEG_INFINITY, |max, (sum, _)| max.max(sum)) * factor;
            let (mut weights, mut uncertain): (Vec<f64>, Vec<f64>) =
                if self.weights == Rounding::Mxfp4 {
                    let scores: Vec<_> = seen()
                        .map(|(sum, terms)| {
                            let (score, terms) = (sum * factor, terms * factor);
                            let error = self.score_error(terms, score.abs(), max.abs());
                            (score * LOG2_E, error * LOG2_E)
                        })
                        .collect();
                    attention_mxfp4::round(&scores).iter().map(|w| (w.value, w.uncertainty)).unzip()
                } else {
                    (seen().map(|(sum, _)| (sum * factor - max).exp()).collect(), Vec::new())
                };
            let total: f64 = weights.iter().sum();
            weights.iter_mut().chain(&mut uncertain).for_each(|weight| *weight /= total);
            let largest = weights.iter().copied().fold(0.0, f64::max);
            let norm = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            weights.resize(keys, 0.0);
            Softmax {
                weights,
                uncertain,
                norm,
                largest,
                visible,
                score_terms: seen().fold(0.0, |max: f64, (_, terms)| max.max(terms)) * factor,
                score: seen().fold(0.0, |max: f64, (sum, _)| max.max(sum.abs())) * factor,
                max_score: max.abs(),
            }
        };
        rows.par_iter().enumerate().map(|(column, row)| of_row((column, row))).collect()
    }

    /// Row after row, the sums of each output.
    fn sums(&self, kv_head: usize, softmax: &[Softmax]) -> Vec<Sums> {
        let &Attention { keys, v_dim, .. } = self.problem;
        let start = || (Row::empty(self.values), vec![Sums::default(); softmax.len() * v_dim]);
        let add = |(mut value, mut sums): (Row, Vec<Sums>), key: usize| {
            value.load(self.values, kv_head * keys + key);
            let scale = f64::from(self.inputs.values().row_scale(kv_head * keys + key));
            let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
            for (softmax, sums) in softmax.iter().zip(sums.chunks_exact_mut(v_dim)) {
                let weight = softmax.weights[key];
                let uncertain = softmax.uncertain.get(key).copied().unwrap_or(0.0);
                if key < softmax.visible {
                    // Where the values are a prefix of the keys, `zip` ends with the prefix.
                    sums.iter_mut()
                        .zip(&value.values)
                        .for_each(|(sums, v)| sums.add(weight, uncertain, *v, inverse));
                }
            }
            (value, sums)
        };
        let merge = |(value, mut sums): (Row, Vec<Sums>), (_, others): (Row, Vec<Sums>)| {
            sums.iter_mut().zip(&others).for_each(|(sums, other)| sums.merge(other));
            (value, sums)
        };
        let keys = (0..keys).into_par_iter().with_min_len(TASK_KEYS);
        keys.fold(start, add).reduce(start, merge).1
    }

    /// How far one score, of the given magnitude and sum of magnitudes, and the exponential of it, may be off: relative to
    /// its weight, or absolutely for the score.
    fn score_error(&self, terms: f64, score: f64, max_score: f64) -> f64 {
        let roundings = self.problem.qk_dim + SCORE_ROUNDINGS;
        rounding::accumulation(roundings) * terms + exponential(score, max_score)
    }

    /// See the module's page. `scale`: the largest of a row of V.
    fn tolerance(&self, softmax: &Softmax, sums: &Sums, scale: f64) -> f64 {
        let o = sums.value.abs();
        let magnitude = sums.magnitude + o;
        let spread = sums.square.sqrt() + o * softmax.norm;
        let roundings = self.problem.qk_dim + SCORE_ROUNDINGS;
        let scores = softmax.score_terms
            * (rounding::accumulation(roundings) * magnitude)
                .min(rounding::deviation(roundings as f64) * spread);
        let exponential = exponential(softmax.score, softmax.max_score) * magnitude;
        // Of weights that are rounded here, only ties know of errors before.
        let before = if self.weights == Rounding::Mxfp4 { 0.0 } else { scores + exponential };
        let visible = softmax.visible as f64;
        let relative = magnitude.min(LAMBDA * spread);
        let codes = visible.sqrt().min(LAMBDA) * sums.codes.sqrt();
        let unit = |levels: f64| softmax.largest * scale / levels;
        let weights = match self.weights {
            Rounding::Float(Weights::F32) => 0.0,
            Rounding::Float(Weights::Bf16) => BF16 * relative,
            Rounding::Int8 => 0.5 * unit(127.0) * (codes + visible),
            Rounding::Fp8E4m3 => E4M3 * relative + 0.5 * E4M3_STEP * unit(E4M3_MAX) * codes,
            Rounding::Mxfp4 => {
                let total = softmax.uncertain.iter().sum::<f64>().min(1.0);
                (sums.uncertain + o * total) / (1.0 - total)
            }
        };
        let partial = magnitude.min(o + LAMBDA * spread);
        let summation = rounding::accumulation(2 * softmax.visible) * partial;
        let flushing = FLUSHED * visible * (1.0 + sums.largest);
        before + weights + summation + 4.0 * F32 * o + flushing
    }
}

/// The relative error of a weight by its exponential, of scores of these magnitudes: see the module's page.
fn exponential(score: f64, max_score: f64) -> f64 {
    (8.0 + 4.0 * score + 4.0 * max_score) * F32
}
