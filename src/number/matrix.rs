//! A quantised matrix, read back exactly.

use half::bf16;

use super::format::{Format, MX_BLOCK};
use super::minifloat::{E2M1_VALUES, E4M3_VALUES, E5M2_VALUES};
use super::scalar::{decode_e8m0, unpack_nibbles};

/// The scales of a [`Matrix`].
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// bf16 has none.
    None,
    /// One factor a row: value = code x scale.
    PerRow(Vec<f32>),
    /// One E8M0 code per [`MX_BLOCK`] elements, row after row: value = element x 2^(code - 127).
    PerBlock(Vec<u8>),
}

/// `rows` x `columns` codes, row-major, the reduction dimension along the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// How `codes` are to be read.
    pub format: Format,
    /// Number of rows.
    pub rows: usize,
    /// Elements a row (K).
    pub columns: usize,
    /// `rows` x [`Format::row_bytes`]`(columns)` bytes; bf16 little-endian.
    pub codes: Vec<u8>,
    /// The scales that `format` needs.
    pub scales: Scales,
}

/// A matrix whose rows can be decoded exactly: what an oracle multiplies.
pub trait Rows: Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Elements a row (K).
    fn columns(&self) -> usize;

    /// Writes the values of one row, exact in f64, to `values`.
    ///
    /// # Panics
    /// When `row` is not below [`Self::rows`], or `values` does not hold [`Self::columns`] elements.
    fn decode_row(&self, row: usize, values: &mut [f64]);
}

impl Rows for Matrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn decode_row(&self, row: usize, values: &mut [f64]) {
        Self::decode_row(self, row, values);
    }
}

impl Matrix {
    /// The codes of one row.
    ///
    /// # Panics
    /// When `row` is not below `rows`.
    pub fn row_codes(&self, row: usize) -> &[u8] {
        let bytes = self.format.row_bytes(self.columns);
        &self.codes[row * bytes..][..bytes]
    }

    /// The factor of one row's codes: 1 where the format has no scale a row.
    ///
    /// # Panics
    /// When `row` is not below `rows`.
    pub fn row_scale(&self, row: usize) -> f32 {
        match &self.scales {
            Scales::PerRow(scales) => scales[row],
            Scales::None | Scales::PerBlock(_) => 1.0,
        }
    }

    /// The E8M0 codes of one row's blocks: empty where the format has none.
    ///
    /// # Panics
    /// When `row` is not below `rows`.
    pub fn row_blocks(&self, row: usize) -> &[u8] {
        match &self.scales {
            Scales::PerBlock(scales) => {
                let blocks = self.columns / MX_BLOCK;
                &scales[row * blocks..][..blocks]
            }
            Scales::None | Scales::PerRow(_) => &[],
        }
    }

    /// Writes the values of one row, code x scale, exact in f64, to `values`.
    ///
    /// # Panics
    /// When `row` is not below `rows`, or `values` does not hold `columns` elements.
    pub fn decode_row(&self, row: usize, values: &mut [f64]) {
        assert_eq!(values.len(), self.columns, "one value a column");
        let codes = self.row_codes(row);
        let scale = f64::from(self.row_scale(row));
        match self.format {
            Format::Bf16 => {
                for (value, code) in values.iter_mut().zip(codes.as_chunks().0) {
                    *value = bf16::from_le_bytes(*code).to_f64();
                }
            }
            Format::Int8 => {
                for (value, &code) in values.iter_mut().zip(codes) {
                    *value = f64::from(code as i8) * scale;
                }
            }
            Format::Fp8E4m3 => decode_bytes(&E4M3_VALUES, codes, scale, values),
            Format::Fp8E5m2 => decode_bytes(&E5M2_VALUES, codes, scale, values),
            Format::Mxfp4 => {
                let blocks =
                    values.chunks_exact_mut(MX_BLOCK).zip(codes.chunks_exact(MX_BLOCK / 2));
                for ((values, codes), &scale) in blocks.zip(self.row_blocks(row)) {
                    let scale = f64::from(decode_e8m0(scale));
                    for (pair, &byte) in values.as_chunks_mut().0.iter_mut().zip(codes) {
                        *pair = unpack_nibbles(byte)
                            .map(|code| f64::from(E2M1_VALUES[usize::from(code)]) * scale);
                    }
                }
            }
        }
    }

    /// The value of one element, exact in f64.
    ///
    /// # Panics
    /// When `row` or `column` is out of range.
    pub fn value(&self, row: usize, column: usize) -> f64 {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        let codes = self.row_codes(row);
        let scale = f64::from(self.row_scale(row));
        let table = |values: &[f32; 256]| f64::from(values[usize::from(codes[column])]) * scale;
        match self.format {
            Format::Bf16 => {
                bf16::from_le_bytes([codes[2 * column], codes[2 * column + 1]]).to_f64()
            }
            Format::Int8 => f64::from(codes[column] as i8) * scale,
            Format::Fp8E4m3 => table(&E4M3_VALUES),
            Format::Fp8E5m2 => table(&E5M2_VALUES),
            Format::Mxfp4 => {
                let code = unpack_nibbles(codes[column / 2])[column % 2];
                let scale = decode_e8m0(self.row_blocks(row)[column / MX_BLOCK]);
                f64::from(E2M1_VALUES[usize::from(code)]) * f64::from(scale)
            }
        }
    }
}

fn decode_bytes(table: &[f32; 256], codes: &[u8], scale: f64, values: &mut [f64]) {
    for (value, &code) in values.iter_mut().zip(codes) {
        *value = f64::from(table[usize::from(code)]) * scale;
    }
}
