//! The oracle of GEMM: dot products in f64 and what a correct kernel may differ by.
//!
//! # Tolerance
//!
//! With S = sum of |a b| over K, gamma and u as in `workload::rounding`:
//!
//! - **bf16, fp8, mxfp4, mxfp8, nvfp4**, and of the first three any two: gamma(K + 4) S. A product of two elements has at
//!   most 16 significant bits, so f32 holds it exactly and only the additions round: at most K of them on the way of a
//!   term, in any order, in any number of partial sums, with or without FMA. The 4 are the row scales of fp8, wherever they are applied. Fewer roundings
//!   fit as well: integer dot products within an mxfp4 block are exact, and its scales are powers of two. nvfp4's have 4
//!   bits each, so that its scaled products have at most 12.
//!   A unit that cuts off more than f32 would has what [`Sums`] allows on top.
//! - **int8**: the sum is exact in i32; conversion to f32 and the two row scales round once each: 3 u |c|, to first
//!   order. A kernel that sums in f32 does not fit.
//! - The oracle's own sum in f64 may be off by (K + 1) 2^-53 S. That matters where an int8 sum is zero and nothing else
//!   is allowed: row scales are no powers of two, so the scaled terms cancel in integers but not in f64.
//! - Each operation may flush a subnormal operand or result to zero (AVX512-BF16 always does), which loses at most
//!   2^-126 times the other factor: 2^-126 (64 K + sum |a| + sum |b|), where 64 is above the largest product of two
//!   E2M1 codes, 36, that may still have to be multiplied by a flushed scale.
//!
//! # Which outputs
//!
//! All of a small problem. Of a large one: the first and last row and column, every crossing of rows and columns at
//! the boundaries of usual tiles, and a random sample that is fresh in each call, so that no kernel is right only
//! where somebody looks.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

use super::dot::{Row, dot, dot_error};
use super::rounding::{self, F32, FLUSHED};
use super::sums::Sums;
use super::verified::{Comparisons, check_length};
use super::{Gemm, Verified};
use crate::number::{BlockMatrix, Format, Matrix, Rows};
use crate::{Error, Result};

/// Product terms up to which every output is checked: some 20 ms of one core.
const SMALL: u64 = 1 << 24;

/// Random outputs of a large problem.
const SAMPLE: usize = 1024;

/// Sizes of register tiles, cache blocks and thread blocks in use, in rows or columns.
const TILES: [usize; 14] = [4, 6, 8, 12, 14, 16, 24, 32, 48, 64, 96, 128, 256, 512];

/// Roundings besides the K additions: row scales.
const SCALE_ROUNDINGS: usize = 4;

/// Compares C, row-major M x N, with `a` times `b` transposed. The random part of the sample is seeded by the
/// operating system.
///
/// # Errors
/// [`Error::Wrong`] with the first output outside its tolerance, or when C has another size; [`Error::Input`] when
/// the matrices don't belong together.
pub fn verify_gemm(a: &Matrix, b: &Matrix, c: &[f32]) -> Result<Verified> {
    verify_gemm_summed(a, b, c, Sums::F32)
}

/// [`verify_gemm`] of a unit that adds up products as `sums` says.
///
/// # Errors
/// As [`verify_gemm`].
pub fn verify_gemm_summed(a: &Matrix, b: &Matrix, c: &[f32], sums: Sums) -> Result<Verified> {
    verify(a, b, c, sums, rand::random())
}

/// [`verify_gemm`] with the sample that an earlier error named by its seed.
///
/// # Errors
/// As [`verify_gemm`].
pub fn verify_gemm_seeded(a: &Matrix, b: &Matrix, c: &[f32], seed: u64) -> Result<Verified> {
    verify(a, b, c, Sums::F32, seed)
}

fn verify(a: &Matrix, b: &Matrix, c: &[f32], sums: Sums, seed: u64) -> Result<Verified> {
    // Integers are summed as such: with numbers of another kind they have no sum of their own.
    let integers = a.format == Format::Int8;
    if integers != (b.format == Format::Int8) || a.columns != b.columns {
        return Err(Error::input(
            format!("A is {} with K = {}, B {} with {}", a.format, a.columns, b.format, b.columns),
            "Give operands of one K, and int8 with int8 only",
        ));
    }
    let problem = Gemm::new(a.rows, b.rows, a.columns);
    problem.check(a.format)?;
    problem.check(b.format)?;
    check_length("C", c.len(), problem.m * problem.n)?;
    let formats = if a.format == b.format {
        a.format.to_string()
    } else {
        format!("{} by {}", a.format, b.format)
    };
    Oracle { a, b, c, sums, integers }.verify(problem, &formats, seed)
}

/// [`verify_gemm`] of operands in a vendor's format.
///
/// # Errors
/// As [`verify_gemm`].
pub fn verify_gemm_blocked(a: &BlockMatrix, b: &BlockMatrix, c: &[f32]) -> Result<Verified> {
    if a.format != b.format || a.columns != b.columns {
        return Err(Error::input(
            format!("A is {:?} x {}, B {:?} x {}", a.format, a.columns, b.format, b.columns),
            "Give operands of one format and one K",
        ));
    }
    let problem = Gemm::new(a.rows, b.rows, a.columns);
    check_length("C", c.len(), problem.m * problem.n)?;
    let oracle = Oracle { a, b, c, sums: Sums::F32, integers: false };
    oracle.verify(problem, a.format.name(), rand::random())
}

struct Oracle<'a> {
    a: &'a dyn Rows,
    b: &'a dyn Rows,
    c: &'a [f32],
    sums: Sums,
    /// The elements are integers, whose sums are exact.
    integers: bool,
}

/// Whose rows are decoded once and kept, while those of the other operand are decoded one after the other.
#[derive(Clone, Copy)]
enum Keep {
    A,
    B,
}

impl Oracle<'_> {
    fn verify(&self, problem: Gemm, format: &str, seed: u64) -> Result<Verified> {
        let comparisons = if problem.flops() / 2 <= SMALL {
            self.everything(problem)
        } else {
            self.sample(problem, seed)
        };
        comparisons.finish(&format!("GEMM {problem} in {format}"), seed, |index| {
            format!("C[{}, {}]", index / problem.n, index % problem.n)
        })
    }

    fn everything(&self, Gemm { m, n, .. }: Gemm) -> Comparisons {
        if m <= n {
            self.grid(Keep::A, &every(m), &every(n))
        } else {
            self.grid(Keep::B, &every(n), &every(m))
        }
    }

    fn sample(&self, problem: Gemm, seed: u64) -> Comparisons {
        let Gemm { m, n, .. } = problem;
        // No output is counted twice.
        let tiles = (boundaries(m), boundaries(n));
        let points = random_points(problem, &tiles, seed);
        self.grid(Keep::A, &edges(m), &every(n))
            .merge(self.grid(Keep::B, &edges(n), &every(m)[1..m.max(2) - 1]))
            .merge(self.grid(Keep::A, &tiles.0, &tiles.1))
            .merge(self.points(&points))
    }

    /// Checks every crossing of the rows `kept` of one operand with the rows `moving` of the other.
    fn grid(&self, keep: Keep, kept: &[usize], moving: &[usize]) -> Comparisons {
        let (kept_matrix, moving_matrix) = match keep {
            Keep::A => (self.a, self.b),
            Keep::B => (self.b, self.a),
        };
        let kept: Vec<_> = kept.iter().map(|&index| (index, Row::of(kept_matrix, index))).collect();
        let checked = moving.par_iter().map_init(
            || Row::empty(moving_matrix),
            |row, &index| {
                row.load(moving_matrix, index);
                let mut comparisons = Comparisons::default();
                for (kept_index, kept_row) in &kept {
                    let output = match keep {
                        Keep::A => (*kept_index, index),
                        Keep::B => (index, *kept_index),
                    };
                    self.compare(output, kept_row, row, &mut comparisons);
                }
                comparisons
            },
        );
        checked.reduce(Comparisons::default, Comparisons::merge)
    }

    fn points(&self, points: &[(usize, usize)]) -> Comparisons {
        let checked = points.par_iter().map_init(
            || (Row::empty(self.a), Row::empty(self.b)),
            |(a, b), &output| {
                a.load(self.a, output.0);
                b.load(self.b, output.1);
                let mut comparisons = Comparisons::default();
                self.compare(output, a, b, &mut comparisons);
                comparisons
            },
        );
        checked.reduce(Comparisons::default, Comparisons::merge)
    }

    /// Compares one output, `(row, column)` of C, with the product of its two rows.
    fn compare(&self, output: (usize, usize), x: &Row, y: &Row, comparisons: &mut Comparisons) {
        let product = dot(&x.values, &y.values);
        let terms = self.a.columns();
        let rounding = if self.integers {
            ((1.0 + F32).powi(3) - 1.0) * product.sum.abs()
        } else {
            rounding::accumulation(terms + SCALE_ROUNDINGS) * product.magnitude
                + self.sums.cut_off(&x.values, &y.values)
        };
        let own = dot_error(terms) * product.magnitude;
        let flushing = FLUSHED * (64.0 * terms as f64 + x.magnitude + y.magnitude);
        let index = output.0 * self.b.rows() + output.1;
        comparisons.compare(index, self.c[index], product.sum, rounding + own + flushing);
    }
}

/// All of `count` indices.
fn every(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// The first and the last of `count` indices.
fn edges(count: usize) -> Vec<usize> {
    if count == 1 { vec![0] } else { vec![0, count - 1] }
}

/// Both sides of the first and of the last boundary of every usual tile size, and of the half where two threads meet;
/// without the edges.
fn boundaries(count: usize) -> Vec<usize> {
    let starts = TILES.iter().flat_map(|tile| [*tile, count / tile * tile]).chain([count / 2]);
    let sides = starts.flat_map(|start| [start.saturating_sub(1), start]);
    let inside = sides.filter(|&index| index > 0 && index + 1 < count);
    inside.collect::<BTreeSet<_>>().into_iter().collect()
}

/// [`SAMPLE`] outputs, or half of them where there are few, that are neither at an edge nor at a crossing of `tiles`.
fn random_points(
    Gemm { m, n, .. }: Gemm,
    tiles: &(Vec<usize>, Vec<usize>),
    seed: u64,
) -> Vec<(usize, usize)> {
    let inside = m.saturating_sub(2) * n.saturating_sub(2);
    let count = SAMPLE.min((inside - tiles.0.len() * tiles.1.len()).div_ceil(2));
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut points = BTreeSet::new();
    while points.len() < count {
        let (row, column) = (rng.random_range(1..m - 1), rng.random_range(1..n - 1));
        let crossing =
            tiles.0.binary_search(&row).is_ok() && tiles.1.binary_search(&column).is_ok();
        if !crossing {
            points.insert((row, column));
        }
    }
    points.into_iter().collect()
}
