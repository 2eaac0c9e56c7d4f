//! The GEMM oracle against right and wrong kernels.

use super::*;
use crate::number::{Format, Scales};

type DotF32 = fn(&[f32], &[f32]) -> f32;

/// How a right kernel may order its additions.
const ORDERS: [DotF32; 4] = [
    |a, b| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b),
    |a, b| a.iter().zip(b).fold(0.0, |sum, (a, b)| a.mul_add(*b, sum)),
    |a, b| a.iter().zip(b).rev().fold(0.0, |sum, (a, b)| a.mul_add(*b, sum)),
    |a, b| {
        let mut lanes = [0.0f32; 16];
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            lanes[i % 16] = a.mul_add(*b, lanes[i % 16]);
        }
        lanes.iter().sum()
    },
];

/// C in f32; int8 as its definition asks, summed in i32 and scaled at the end.
fn kernel(a: &Matrix, b: &Matrix, order: DotF32) -> Vec<f32> {
    let rows = |matrix: &Matrix| (0..matrix.rows).map(|i| row_f32(matrix, i)).collect::<Vec<_>>();
    let (a_rows, b_rows) = (rows(a), rows(b));
    let mut c = Vec::with_capacity(a.rows * b.rows);
    for (i, a_row) in a_rows.iter().enumerate() {
        for (j, b_row) in b_rows.iter().enumerate() {
            c.push(if a.format == Format::Int8 {
                let pairs = a.row_codes(i).iter().zip(b.row_codes(j));
                let sum: i32 = pairs.map(|(&a, &b)| i32::from(a as i8) * i32::from(b as i8)).sum();
                sum as f32 * a.row_scale(i) * b.row_scale(j)
            } else {
                order(a_row, b_row)
            });
        }
    }
    c
}

fn operands(format: Format, Gemm { m, n, k }: Gemm) -> (Matrix, Matrix) {
    let seed = rand::random();
    println!("operands' seed {seed}");
    let a = Matrix::random(format, m, k, seed).unwrap();
    (a, Matrix::random(format, n, k, seed.wrapping_add(1)).unwrap())
}

/// A problem that is checked completely, and one that is sampled.
const SMALL: Gemm = Gemm::new(13, 37, 480);
const LARGE: Gemm = Gemm::new(261, 389, 480);

#[test]
fn right_kernels_pass_in_every_format_order_and_size() {
    for format in Format::ALL {
        for problem in [Gemm::new(1, 1, 32), Gemm::new(1, 331, 96), SMALL, Gemm::new(331, 1, 64)] {
            let (a, b) = operands(format, problem);
            for order in ORDERS {
                let verified = verify_gemm(&a, &b, &kernel(&a, &b, order)).unwrap();
                assert_eq!(verified.checked, (problem.m * problem.n) as u64);
                assert!(verified.error_over_tolerance <= 1.0);
            }
        }
        let (a, b) = operands(format, LARGE);
        let verified = verify_gemm(&a, &b, &kernel(&a, &b, ORDERS[1])).unwrap();
        assert!(verified.checked >= 1000 + 2 * (261 + 389) - 4, "{verified:?}");
    }
}

/// Thin problems, where most outputs are edges or crossings: no output is missed, none counted twice.
#[test]
fn thin_problems_are_checked_once_and_completely() {
    for (m, n) in [(1, 400), (2, 300), (400, 1), (300, 2), (5, 5)] {
        let problem = Gemm::new(m, n, (1 << 24) / (m * n) / 32 * 32 + 32);
        let (a, b) = operands(Format::Bf16, problem);
        let verified = verify_gemm(&a, &b, &kernel(&a, &b, ORDERS[3])).unwrap();
        assert_eq!(verified.checked, (m * n) as u64, "{problem}");
    }
}

/// A long sum, where the worst-case bound would be useless: dropping one term of 7168 must show.
#[test]
fn a_lost_term_of_a_long_sum_is_wrong() {
    for format in Format::ALL {
        let (a, b) = operands(format, Gemm::new(4, 64, 7168));
        verify_gemm(&a, &b, &kernel(&a, &b, ORDERS[0])).unwrap();
        let mut short = b.clone();
        for row in 0..b.rows {
            let bytes = format.row_bytes(7168);
            let last = (row + 1) * bytes - format.element_bits().div_ceil(8);
            short.codes[last..(row + 1) * bytes].fill(0);
        }
        wrong(verify_gemm(&a, &b, &kernel(&a, &short, ORDERS[0])));
    }
}

#[test]
fn one_wrong_output_at_any_edge_is_found() {
    for format in Format::MAIN {
        let (a, b) = operands(format, LARGE);
        let right = kernel(&a, &b, ORDERS[1]);
        let (m, n) = (LARGE.m, LARGE.n);
        for (row, column) in [
            (0, 0),
            (0, n - 1),
            (m - 1, 0),
            (m - 1, n - 1),
            (0, 200),
            (101, 0),
            (101, n - 1),
            (m - 1, 77),
            (255, 256),
            (15, 16),
            (260, 383),
        ] {
            let mut c = right.clone();
            c[row * n + column] += 0.5;
            let message = wrong(verify_gemm(&a, &b, &c));
            assert!(message.contains(&format!("C[{row}, {column}]")), "{message}");
            assert!(message.contains("1 of") && message.contains("seed"), "{message}");
        }
    }
}

#[test]
fn what_was_not_written_is_found() {
    for problem in [SMALL, LARGE] {
        let (a, b) = operands(Format::Bf16, problem);
        let right = kernel(&a, &b, ORDERS[1]);
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1e30] {
            wrong(verify_gemm(&a, &b, &vec![poison; right.len()]));
            let mut c = right.clone();
            *c.last_mut().unwrap() = poison;
            wrong(verify_gemm(&a, &b, &c));
            // One tile of 64 x 64, somewhere inside: found by the sample.
            if problem == LARGE {
                let mut c = right.clone();
                for row in 130..194 {
                    c[row * problem.n + 130..][..64].fill(poison);
                }
                wrong(verify_gemm(&a, &b, &c));
            }
        }
        assert!(wrong(verify_gemm(&a, &b, &right[1..])).contains("outputs instead of"));
    }
}

#[test]
fn swapped_outputs_and_operands_are_wrong() {
    for format in Format::ALL {
        let (a, b) = operands(format, SMALL);
        let mut c = kernel(&a, &b, ORDERS[0]);
        c.swap(100, 101);
        assert!(wrong(verify_gemm(&a, &b, &c)).contains("C[2, 26]"));
        wrong(verify_gemm(&a, &b, &kernel(&b, &a, ORDERS[0])));
    }
}

/// The mistakes that a decoder of a format makes.
#[test]
fn a_kernel_that_misreads_the_format_is_wrong() {
    let (a, b) = operands(Format::Mxfp4, SMALL);
    let mut nibbles = b.clone();
    nibbles.codes.iter_mut().for_each(|byte| *byte = byte.rotate_left(4));
    wrong(verify_gemm(&a, &b, &kernel(&a, &nibbles, ORDERS[0])));
    let mut scales = b.clone();
    let Scales::PerBlock(codes) = &mut scales.scales else { panic!("mxfp4 has block scales") };
    codes.rotate_left(1);
    wrong(verify_gemm(&a, &b, &kernel(&a, &scales, ORDERS[0])));

    for format in [Format::Int8, Format::Fp8E4m3, Format::Fp8E5m2] {
        let (a, b) = operands(format, SMALL);
        let mut scales = b.clone();
        let Scales::PerRow(factors) = &mut scales.scales else { panic!("one scale a row") };
        factors[36] *= 1.0 + 1e-3;
        let message = wrong(verify_gemm(&a, &b, &kernel(&a, &scales, ORDERS[0])));
        assert!(message.contains(", 36]"), "{message}");
    }
}

#[test]
fn int8_must_be_exact_before_it_is_scaled() {
    let (a, b) = operands(Format::Int8, Gemm::new(3, 5, 7168));
    let mut c = kernel(&a, &b, ORDERS[0]);
    verify_gemm(&a, &b, &c).unwrap();
    c[7] += a.row_scale(1) * b.row_scale(2);
    assert!(wrong(verify_gemm(&a, &b, &c)).contains("C[1, 2]"));
}

/// Codes cancel exactly; the scaled terms, summed in f64, do not.
#[test]
fn an_int8_sum_of_zero_is_zero() {
    let k = 2048;
    let halves = |sign: f32| {
        let value = |i: usize| if i < k / 2 { (i + 1) as f32 } else { sign * (k - i) as f32 };
        (0..k).map(|i| value(i) * 0.1).collect::<Vec<f32>>()
    };
    let row = |values: &[f32]| Matrix::quantise(Format::Int8, 1, k, values).unwrap();
    let (a, b) = (row(&halves(1.0)), row(&halves(-1.0)));
    let c = kernel(&a, &b, ORDERS[0]);
    assert_eq!(c, [0.0]);
    verify_gemm(&a, &b, &c).unwrap();
    let unit = a.row_scale(0) * b.row_scale(0);
    assert!(wrong(verify_gemm(&a, &b, &[unit])).contains("C[0, 0]"));
}

#[test]
fn the_seed_repeats_the_sample() {
    let (a, b) = operands(Format::Bf16, LARGE);
    let mut c = kernel(&a, &b, ORDERS[1]);
    c.iter_mut().for_each(|c| *c += 1.0);
    let messages: Vec<_> =
        [5, 5].iter().map(|&seed| wrong(verify_gemm_seeded(&a, &b, &c, seed))).collect();
    assert_eq!(messages[0], messages[1]);
    assert!(messages[0].contains("sample seed 5"));
    assert_ne!(wrong(verify_gemm(&a, &b, &c)), wrong(verify_gemm(&a, &b, &c)), "a fresh seed");
}

#[test]
fn weights_may_have_a_format_of_their_own() {
    for format in [Format::Fp8E4m3, Format::Fp8E5m2, Format::Mxfp4] {
        let (a, _) = operands(Format::Bf16, SMALL);
        let (_, b) = operands(format, SMALL);
        let mut c = kernel(&a, &b, ORDERS[2]);
        verify_gemm(&a, &b, &c).unwrap();
        // Not a share of the output, which may be next to nothing.
        c[7] += 0.1;
        let message = wrong(verify_gemm(&a, &b, &c));
        assert!(message.contains(&format!("in bf16 by {format}")), "{message}");
    }
}

#[test]
fn operands_that_do_not_belong_together_are_refused() {
    let (a, b) = operands(Format::Bf16, SMALL);
    let (_, other) = operands(Format::Int8, SMALL);
    let (_, longer) = operands(Format::Bf16, Gemm::new(1, 37, 512));
    for b in [&other, &longer] {
        assert!(matches!(verify_gemm(&a, b, &[0.0; 13 * 37]), Err(Error::Input { .. })));
    }
    assert!(verify_gemm(&a, &b, &[]).is_err());
}

/// Data of extreme magnitude: a kernel that flushes subnormals is still right, one that returns zeros is not.
#[test]
fn tolerance_covers_flushed_subnormals_only() {
    let tiny: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) * 1e-21).collect();
    let matrix = Matrix::quantise(Format::Bf16, 1, 64, &tiny).unwrap();
    verify_gemm(&matrix, &matrix, &[0.0]).unwrap(); // every product is below 2^-126
    let ones = Matrix::quantise(Format::Bf16, 1, 64, &[1e18; 64]).unwrap();
    wrong(verify_gemm(&matrix, &ones, &[1.0]));
}
