//! From f32 to a quantised matrix: scales first, then each element to the nearest code of element over scale.
//!
//! Rules, for one row (int8, fp8) or one block of 32 (mxfp4):
//!
//! - Row scale = max|x| / largest code, so that the largest element uses the whole range: see [`row_scale`]. Block
//!   scale = the specification's shared exponent: see [`shared_scale`].
//! - The quotient is taken in f64. There it is exact enough that no tie between two codes is made or broken (a tie has
//!   at most 5 significant bits, a scale 24: quotients nearer to a tie than 2^-29 are ties), so each code is the
//!   nearest one, rounded once.
//! - Infinity counts as the largest finite f32, and saturates. Finite input never gives a scale of NaN, 0 or infinity,
//!   nor an element that reads as infinite.
//! - NaN stays visible: fp8 elements have it; for int8 and mxfp4, whose elements don't, the scale becomes NaN.

use rayon::prelude::*;

use super::format::{Format, MX_BLOCK};
use super::matrix::{Matrix, Scales};
use super::minifloat::{E2M1, E4M3, E5M2, Minifloat};
use super::scalar::{
    INT8_MAX, decode_e8m0, encode_bf16, encode_int8_f64, pack_nibbles, shared_scale,
};
use crate::{Error, Result};

/// Elements that one task quantises at least: fewer are not worth a thread.
const TASK_ELEMENTS: usize = 1 << 14;

impl Matrix {
    /// Quantises `values`, `rows` x `columns` row-major, by the rules of the module `number::quantise`: every element
    /// to the nearest code, ties to even, saturating.
    ///
    /// # Errors
    /// [`Error::Input`] when `columns` does not suit the format or `values` is not `rows` x `columns` long.
    pub fn quantise(format: Format, rows: usize, columns: usize, values: &[f32]) -> Result<Self> {
        if rows.checked_mul(columns) != Some(values.len()) {
            return Err(Error::input(
                format!("{} values are no matrix of {rows} x {columns}", values.len()),
                "Give rows x columns values",
            ));
        }
        Self::quantise_rows(format, rows, columns, |row, out| {
            out.copy_from_slice(&values[row * columns..][..columns]);
        })
    }

    /// Quantises rows that `fill(row, values)` writes, so that the f32 matrix need not exist. Rows are filled by
    /// several threads, in any order.
    pub(super) fn quantise_rows(
        format: Format,
        rows: usize,
        columns: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Self> {
        format.check_columns(columns)?;
        let row_bytes = format.row_bytes(columns);
        let Some(bytes) = rows.checked_mul(row_bytes) else {
            return Err(Error::input(
                format!(
                    "{rows} rows of {columns} {format} elements are more than any memory holds"
                ),
                "Use a smaller shape",
            ));
        };
        let mut codes = vec![0u8; bytes];
        // A scale is 4 bytes a row, one byte a block, or nothing; each row's part goes to the thread that has the row.
        let mut row_scales = vec![0f32; if format.has_row_scale() { rows } else { 0 }];
        let blocks = if format == Format::Mxfp4 { columns / MX_BLOCK } else { 0 };
        let mut block_scales = vec![0u8; rows * blocks];
        let least = TASK_ELEMENTS.div_ceil(columns);
        let row_of_codes = codes.par_chunks_exact_mut(row_bytes).with_min_len(least).enumerate();
        let buffer = || vec![0f32; columns];
        match format {
            Format::Bf16 => row_of_codes.for_each_init(buffer, |values, (row, codes)| {
                fill(row, values);
                for (code, &value) in codes.as_chunks_mut().0.iter_mut().zip(&*values) {
                    *code = encode_bf16(value).to_le_bytes();
                }
            }),
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => row_of_codes
                .zip(&mut row_scales)
                .for_each_init(buffer, |values, ((row, codes), scale)| {
                    fill(row, values);
                    *scale = match format {
                        Format::Fp8E4m3 => minifloat_row(E4M3, values, codes),
                        Format::Fp8E5m2 => minifloat_row(E5M2, values, codes),
                        _ => int8_row(values, codes),
                    };
                }),
            Format::Mxfp4 => row_of_codes
                .zip(block_scales.par_chunks_exact_mut(blocks))
                .for_each_init(buffer, |values, ((row, codes), scales)| {
                    fill(row, values);
                    mxfp4_row(values, codes, scales);
                }),
        }
        let scales = match format {
            Format::Bf16 => Scales::None,
            Format::Int8 | Format::Fp8E4m3 | Format::Fp8E5m2 => Scales::PerRow(row_scales),
            Format::Mxfp4 => Scales::PerBlock(block_scales),
        };
        Ok(Self { format, rows, columns, codes, scales })
    }
}

/// The scale of a row whose largest finite magnitude is `max`, for a format whose largest code is `max_code`:
/// `max / max_code` rounded to f32, except that
///
/// - a row of zeros has scale 1;
/// - the scale is at least 2^-126, so that it and its products with codes stay normal: tiny rows lose precision
///   instead of dividing by zero;
/// - it is one step smaller where rounding would make `max_code x scale` infinite.
pub fn row_scale(max: f32, max_code: f32) -> f32 {
    if max == 0.0 {
        return 1.0;
    }
    let scale = (max / max_code).max(f32::MIN_POSITIVE);
    if (scale * max_code).is_finite() { scale } else { scale.next_down() }
}

/// Largest magnitude of the numbers among `values`, infinity counted as the largest finite f32; and whether there is a
/// NaN among them.
fn max_magnitude(values: &[f32]) -> (f32, bool) {
    // f32::max ignores NaN.
    let max = values.iter().fold(0f32, |max, value| max.max(value.abs()));
    (max.min(f32::MAX), values.iter().any(|value| value.is_nan()))
}

fn int8_row(values: &[f32], codes: &mut [u8]) -> f32 {
    let (max, nan) = max_magnitude(values);
    let scale = row_scale(max, INT8_MAX);
    for (code, &value) in codes.iter_mut().zip(values) {
        *code = encode_int8_f64(f64::from(value) / f64::from(scale)) as u8;
    }
    if nan { f32::NAN } else { scale }
}

fn minifloat_row(format: Minifloat, values: &[f32], codes: &mut [u8]) -> f32 {
    let scale = row_scale(max_magnitude(values).0, format.max());
    for (code, &value) in codes.iter_mut().zip(values) {
        *code = format.encode_f64(f64::from(value) / f64::from(scale));
    }
    scale
}

fn mxfp4_row(values: &[f32], codes: &mut [u8], scales: &mut [u8]) {
    let blocks = values.chunks_exact(MX_BLOCK).zip(codes.chunks_exact_mut(MX_BLOCK / 2));
    for ((values, codes), scale) in blocks.zip(scales) {
        let (max, nan) = max_magnitude(values);
        let shared = shared_scale(max);
        let reciprocal = f64::from(decode_e8m0(shared)).recip();
        for (byte, [low, high]) in codes.iter_mut().zip(values.as_chunks().0) {
            let encode = |value: &f32| E2M1.encode_f64(f64::from(*value) * reciprocal);
            *byte = pack_nibbles(encode(low), encode(high));
        }
        *scale = if nan { shared_scale(f32::NAN) } else { shared };
    }
}
