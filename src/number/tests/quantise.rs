//! Quantised matrices: every element nearest, scales by their rule, extremes survived.

use half::bf16;
use proptest::prelude::*;

use super::{DEFINITIONS, Definition};
use crate::Error;
use crate::number::*;

fn definition(name: &str) -> &'static Definition {
    DEFINITIONS.iter().find(|definition| definition.name == name).unwrap()
}

fn decoded(matrix: &Matrix) -> Vec<f64> {
    let mut values = vec![f64::NAN; matrix.rows * matrix.columns];
    for (row, values) in values.chunks_exact_mut(matrix.columns).enumerate() {
        matrix.decode_row(row, values);
    }
    values
}

/// What the element at `row`, `column` must be stored as, from the definition.
fn expected_code(matrix: &Matrix, row: usize, column: usize, value: f32) -> u16 {
    let row_scale = f64::from(matrix.row_scale(row));
    let value = f64::from(value);
    match matrix.format {
        Format::Bf16 => nearest_bf16(value as f32),
        Format::Int8 => {
            let distance = |code: i16| (value - f64::from(code) * row_scale).abs();
            let nearest = (-127..=127).min_by(|&a, &b| {
                distance(a).total_cmp(&distance(b)).then((a % 2).abs().cmp(&(b % 2).abs()))
            });
            u16::from(nearest.unwrap() as i8 as u8)
        }
        Format::Fp8E4m3 => definition("E4M3").nearest(value, row_scale).into(),
        Format::Fp8E5m2 => definition("E5M2").nearest(value, row_scale).into(),
        Format::Mxfp4 => {
            let scale = decode_e8m0(matrix.row_blocks(row)[column / MX_BLOCK]);
            definition("E2M1").nearest(value, scale.into()).into()
        }
    }
}

/// The nearer of the two bfloat16 beside a finite value; half's own conversion from f64 breaks ties wrongly.
fn nearest_bf16(value: f32) -> u16 {
    let towards_zero = (value.to_bits() >> 16) as u16;
    let distance = |bits: u16| (f64::from(value) - bf16::from_bits(bits).to_f64()).abs();
    let (low, high) = (distance(towards_zero), distance(towards_zero + 1));
    if low < high || (low == high && towards_zero.is_multiple_of(2)) {
        towards_zero
    } else {
        towards_zero + 1
    }
}

fn code(matrix: &Matrix, row: usize, column: usize) -> u16 {
    let codes = matrix.row_codes(row);
    match matrix.format {
        Format::Bf16 => u16::from_le_bytes([codes[2 * column], codes[2 * column + 1]]),
        Format::Mxfp4 => unpack_nibbles(codes[column / 2])[column % 2].into(),
        _ => codes[column].into(),
    }
}

/// Largest code of a format with a scale a row.
fn max_code(format: Format) -> f32 {
    match format {
        Format::Int8 => 127.0,
        Format::Fp8E4m3 => 448.0,
        _ => 57344.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Elements, scales and both ways to read them, at magnitudes from subnormal to the largest.
    #[test]
    fn every_element_is_nearest_and_every_scale_follows_its_rule(
        values in prop::collection::vec(-1f32..1.0, 2 * 64),
        exponents in [-149i32..=126, -149i32..=126],
    ) {
        let values: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(i, value)| (f64::from(*value) * 2f64.powi(exponents[i / 64])) as f32)
            .collect();
        for format in Format::ALL {
            let matrix = Matrix::quantise(format, 2, 64, &values).unwrap();
            let decoded = decoded(&matrix);
            for (i, &value) in values.iter().enumerate() {
                let (row, column) = (i / 64, i % 64);
                let expected = expected_code(&matrix, row, column, value);
                prop_assert_eq!(code(&matrix, row, column), expected, "{} {:e}", format, value);
                prop_assert_eq!(matrix.value(row, column).to_bits(), decoded[i].to_bits());
                prop_assert!(decoded[i].abs() <= f64::from(f32::MAX));
            }
            for row in 0..2 {
                let values = &values[row * 64..][..64];
                let max = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
                if format.has_row_scale() {
                    let scale = matrix.row_scale(row);
                    let exact = f64::from(max(values)) / f64::from(max_code(format));
                    prop_assert!(scale.is_normal() && scale > 0.0);
                    let rounding = exact * 2f64.powi(-23);
                    prop_assert!(
                        (f64::from(scale) - exact).abs() <= rounding
                            || scale == f32::MIN_POSITIVE && exact < f64::from(scale)
                            || scale == 1.0 && exact == 0.0
                    );
                }
                for (block, &scale) in values.chunks(MX_BLOCK).zip(matrix.row_blocks(row)) {
                    prop_assert_eq!(scale, shared_scale(max(block)));
                }
            }
        }
    }

    /// The error of one element, from the step of its format: what a user may expect.
    #[test]
    fn the_error_is_bounded(values in prop::collection::vec(-1f32..1.0, 96)) {
        for format in Format::ALL {
            let matrix = Matrix::quantise(format, 1, 96, &values).unwrap();
            let scale = f64::from(matrix.row_scale(0));
            for (column, &value) in values.iter().enumerate() {
                let value = f64::from(value);
                let block = matrix.row_blocks(0).get(column / MX_BLOCK);
                let bound = match format {
                    Format::Bf16 => value.abs() * 2f64.powi(-8),
                    Format::Int8 => scale / 2.0,
                    Format::Fp8E4m3 => (value.abs() * 2f64.powi(-4)).max(scale * 2f64.powi(-10)),
                    Format::Fp8E5m2 => (value.abs() * 2f64.powi(-3)).max(scale * 2f64.powi(-17)),
                    // Half of the largest step, 2; the specification's scale lets 8 saturate at 6.
                    Format::Mxfp4 => f64::from(decode_e8m0(*block.unwrap())) * 2.0,
                };
                let error = (matrix.value(0, column) - value).abs();
                prop_assert!(error <= bound * (1.0 + 1e-7), "{format} {value} {error}");
            }
        }
    }

    #[test]
    fn quantising_what_was_quantised_changes_nothing(values in prop::collection::vec(-4f32..4.0, 64)) {
        for format in [Format::Bf16, Format::Mxfp4] {
            let once = Matrix::quantise(format, 2, 32, &values).unwrap();
            let again: Vec<f32> = decoded(&once).iter().map(|&value| value as f32).collect();
            prop_assert_eq!(decoded(&Matrix::quantise(format, 2, 32, &again).unwrap()), decoded(&once));
        }
    }
}

#[test]
fn a_row_of_zeros_keeps_its_signs() {
    let values: Vec<f32> = (0..32).map(|i| if i % 3 == 0 { -0.0 } else { 0.0 }).collect();
    for format in Format::ALL {
        let matrix = Matrix::quantise(format, 1, 32, &values).unwrap();
        assert!(matrix.row_scale(0) == 1.0 && matrix.row_blocks(0).iter().all(|&scale| scale == 0));
        for (column, value) in values.iter().enumerate() {
            let read = matrix.value(0, column);
            assert_eq!(read, 0.0);
            // Two's complement has one zero.
            assert!(format == Format::Int8 || read.is_sign_negative() == value.is_sign_negative());
        }
    }
}

#[test]
fn extremes_stay_finite() {
    let tiny = f32::from_bits(1);
    for max in [f32::MAX, f32::INFINITY, f32::MAX.next_down(), tiny, f32::MIN_POSITIVE, 3.4e38] {
        let values: Vec<f32> = (0..32).map(|i| max * [1.0, -1.0, 0.25, 0.0][i % 4]).collect();
        let values: Vec<f32> = values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect();
        for format in Format::ALL {
            let matrix = Matrix::quantise(format, 1, 32, &values).unwrap();
            let scale = matrix.row_scale(0);
            assert!(scale.is_finite() && scale > 0.0, "{format} {max:e}: {scale}");
            assert!(matrix.row_blocks(0).iter().all(|&scale| scale != E8M0_NAN));
            if format != Format::Bf16 {
                let finite = decoded(&matrix).iter().all(|v| (*v as f32).is_finite());
                assert!(finite, "{format} {max:e}: {:?}", decoded(&matrix));
            }
        }
    }
    // 8 x 2^124 over its scale is 8, which saturates at 6.
    let largest = Matrix::quantise(Format::Mxfp4, 1, 32, &[f32::MAX; 32]).unwrap();
    assert_eq!(largest.value(0, 31), 6.0 * 2f64.powi(125));
}

#[test]
fn nan_is_never_lost() {
    let mut values = [1.0f32; 64];
    values[40] = f32::NAN;
    for format in Format::ALL {
        let matrix = Matrix::quantise(format, 1, 64, &values).unwrap();
        assert!(matrix.value(0, 40).is_nan(), "{format}");
        // Only int8 loses its row with it, only mxfp4 its block.
        assert_eq!(matrix.value(0, 33).is_nan(), matches!(format, Format::Int8 | Format::Mxfp4));
        assert_eq!(matrix.value(0, 0).is_nan(), format == Format::Int8);
    }
}

#[test]
fn one_scale_a_block_along_the_row() {
    // Row 0: blocks of 1 and 2^6; row 1: blocks of 2^-3 and 2^2.
    let powers = [0, 6, -3, 2];
    let values: Vec<f32> = (0..128).map(|i| 2f32.powi(powers[i / 32])).collect();
    let matrix = Matrix::quantise(Format::Mxfp4, 2, 64, &values).unwrap();
    assert_eq!(matrix.scales, Scales::PerBlock(vec![125, 131, 122, 127]));
    assert!(matrix.codes.iter().all(|&byte| byte == 0x66)); // 4 = 0b0110
    assert_eq!(decoded(&matrix), values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
}

#[test]
fn random_matrices_depend_on_their_seed_alone() {
    for format in Format::ALL {
        let matrix = Matrix::random(format, 64, 256, 7).unwrap();
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one_thread.install(|| Matrix::random(format, 64, 256, 7)).unwrap(), matrix);
        assert_ne!(Matrix::random(format, 64, 256, 8).unwrap().codes, matrix.codes);
        let values = decoded(&matrix);
        assert!(values.iter().all(|value| value.abs() <= 1.0 + 1e-6));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.03, "{format}: {mean}");
        assert!(matrix.row_codes(0) != matrix.row_codes(1));
    }
}

#[test]
fn random_mxfp4_uses_every_code_and_eight_scales() {
    let Matrix { codes, scales: Scales::PerBlock(scales), .. } =
        Matrix::random(Format::Mxfp4, 64, 256, 1).unwrap()
    else {
        panic!("mxfp4 has block scales");
    };
    let nibbles: std::collections::BTreeSet<_> =
        codes.into_iter().flat_map(unpack_nibbles).collect();
    assert_eq!(nibbles.len(), 16);
    let distinct: std::collections::BTreeSet<_> = scales.into_iter().collect();
    assert!(distinct.len() >= 8, "{distinct:?}");
}

#[test]
fn shapes_that_cannot_be_stored_are_refused() {
    for (format, rows, columns, length) in [
        (Format::Mxfp4, 1, 33, 33),
        (Format::Mxfp4, 1, 0, 0),
        (Format::Bf16, 1, 0, 0),
        (Format::Int8, 2, 4, 7),
        (Format::Int8, usize::MAX, 4, 7),
    ] {
        let error = Matrix::quantise(format, rows, columns, &vec![0.0; length]).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
    }
    let endless = Matrix::random(Format::Bf16, usize::MAX, 32, 0);
    assert!(matches!(endless, Err(Error::Input { .. })));
    let nearest = |columns| Format::Mxfp4.check_columns(columns).unwrap_err().to_string();
    assert!(nearest(33).contains("K = 32 ") && nearest(50).contains("K = 64 "));
    assert!(nearest(1).contains("K = 32 "), "{}", nearest(1));
}
