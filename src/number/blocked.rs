//! The block-scaled formats that only vendors' libraries multiply here: mxfp8 and nvfp4.
//!
//! [`super::Format`] holds what every part of hostdyno computes in; these two exist as operands of a GPU's library, with
//! what an oracle needs to know of them.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

use super::matrix::Rows;
use super::minifloat::{E2M1, E4M3, E4M3_VALUES, Minifloat};
use super::scalar::{decode_e8m0, pack_nibbles, shared_scale_of, unpack_nibbles};
use crate::{Error, Result};

/// A format of small floats that share a scale with their neighbours along the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockFormat {
    /// OCP MX v1.0: E4M3 elements, one E8M0 scale per 32.
    Mxfp8,
    /// NVIDIA's: E2M1 elements, two a byte (low nibble first), one E4M3 scale per 16. Its further f32 scale of the whole
    /// matrix is left at 1.
    Nvfp4,
}

impl BlockFormat {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mxfp8, Self::Nvfp4];

    /// Name in metric ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mxfp8 => "mxfp8",
            Self::Nvfp4 => "nvfp4",
        }
    }

    /// Elements that share a scale.
    pub const fn block(self) -> usize {
        match self {
            Self::Mxfp8 => 32,
            Self::Nvfp4 => 16,
        }
    }

    /// Bytes of the codes of one row of `columns` elements.
    pub const fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Mxfp8 => columns,
            Self::Nvfp4 => columns / 2,
        }
    }

    const fn element(self) -> Minifloat {
        match self {
            Self::Mxfp8 => E4M3,
            Self::Nvfp4 => E2M1,
        }
    }

    /// The scale of a block whose largest magnitude is `max`, a finite number: OCP's rule for mxfp8; for nvfp4 the
    /// nearest to max / 6, so that the largest element uses the whole range, and never zero.
    fn scale(self, max: f32) -> u8 {
        match self {
            Self::Mxfp8 => shared_scale_of(E4M3, max),
            Self::Nvfp4 => E4M3.encode_f64(f64::from(max) / f64::from(E2M1.max())).max(1),
        }
    }

    fn scale_value(self, code: u8) -> f64 {
        match self {
            Self::Mxfp8 => f64::from(decode_e8m0(code)),
            Self::Nvfp4 => f64::from(E4M3_VALUES[usize::from(code)]),
        }
    }

    /// Powers of two that the blocks of a random matrix are multiplied by: eight of them, so that a kernel which confuses
    /// two scales is caught. nvfp4's begin where its scales are normal numbers and have fractions of their own.
    const fn exponents(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::Mxfp8 => -7..=0,
            Self::Nvfp4 => 0..=7,
        }
    }
}

/// `rows` x `columns` codes, row-major, the reduction dimension along the row, and one scale a block.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockMatrix {
    /// How `codes` are to be read.
    pub format: BlockFormat,
    /// Number of rows.
    pub rows: usize,
    /// Elements a row (K).
    pub columns: usize,
    /// `rows` x [`BlockFormat::row_bytes`]`(columns)` bytes.
    pub codes: Vec<u8>,
    /// One code a block, row after row.
    pub scales: Vec<u8>,
}

impl BlockMatrix {
    /// Uniform in [-1, 1), each block multiplied by a random power of two, quantised. Depends on nothing but the
    /// arguments.
    ///
    /// # Errors
    /// [`Error::Input`] when `columns` is no multiple of a block.
    pub fn random(format: BlockFormat, rows: usize, columns: usize, seed: u64) -> Result<Self> {
        let block = format.block();
        if columns == 0 || !columns.is_multiple_of(block) {
            return Err(Error::input(
                format!(
                    "K = {columns} can't be stored as {}: its blocks hold {block} elements",
                    format.name()
                ),
                format!("Use a multiple of {block}, or another format"),
            ));
        }
        let (row_bytes, blocks) = (format.row_bytes(columns), columns / block);
        let (mut codes, mut scales) = (vec![0; rows * row_bytes], vec![0; rows * blocks]);
        let row_of_codes = codes.par_chunks_exact_mut(row_bytes).enumerate();
        row_of_codes.zip(scales.par_chunks_exact_mut(blocks)).for_each(|((row, codes), scales)| {
            let mut rng = Pcg64Mcg::seed_from_u64(super::random::row_seed(seed, row));
            let mut values = vec![0f32; block];
            let blocks = codes.chunks_exact_mut(format.row_bytes(block)).zip(scales);
            for (codes, scale) in blocks {
                let factor = 2f32.powi(rng.random_range(format.exponents()));
                values.fill_with(|| (2.0 * rng.random::<f32>() - 1.0) * factor);
                *scale = quantise(format, &values, codes);
            }
        });
        Ok(Self { format, rows, columns, codes, scales })
    }
}

/// Writes the codes of a block; returns its scale.
fn quantise(format: BlockFormat, values: &[f32], codes: &mut [u8]) -> u8 {
    let max = values.iter().fold(0f32, |max, value| max.max(value.abs()));
    let scale = format.scale(max);
    let value = format.scale_value(scale);
    let encode = |v: &f32| format.element().encode_f64(f64::from(*v) / value);
    match format {
        BlockFormat::Mxfp8 => {
            codes.iter_mut().zip(values).for_each(|(code, v)| *code = encode(v));
        }
        BlockFormat::Nvfp4 => {
            for (byte, [low, high]) in codes.iter_mut().zip(values.as_chunks().0) {
                *byte = pack_nibbles(encode(low), encode(high));
            }
        }
    }
    scale
}

impl Rows for BlockMatrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn decode_row(&self, row: usize, values: &mut [f64]) {
        let block = self.format.block();
        let row_bytes = self.format.row_bytes(self.columns);
        let (codes, element) = (&self.codes[row * row_bytes..][..row_bytes], self.format.element());
        let code = |column: usize| match self.format {
            BlockFormat::Mxfp8 => codes[column],
            BlockFormat::Nvfp4 => unpack_nibbles(codes[column / 2])[column % 2],
        };
        let blocks = self.columns / block;
        for (column, value) in values.iter_mut().enumerate() {
            let scale = self.format.scale_value(self.scales[row * blocks + column / block]);
            *value = f64::from(element.decode(code(column))) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(matrix: &BlockMatrix) -> Vec<f64> {
        let mut values = vec![0.0; matrix.rows * matrix.columns];
        for (row, values) in values.chunks_exact_mut(matrix.columns).enumerate() {
            matrix.decode_row(row, values);
        }
        values
    }

    #[test]
    fn codes_and_scales_mean_what_the_formats_say() {
        // 0x38 is 1 in E4M3, 0xc0 is -2; E8M0's 128 is 2.
        let mut codes = vec![0x38; 64];
        codes[33] = 0xc0;
        let mx = BlockMatrix {
            format: BlockFormat::Mxfp8,
            rows: 1,
            columns: 64,
            codes,
            scales: vec![127, 128],
        };
        let values = decoded(&mx);
        assert_eq!((values[0], values[31], values[32], values[33]), (1.0, 1.0, 2.0, -4.0));
        // Nibbles 2 and 0xd are 1 and -3; 0x3c is 1.5 in E4M3.
        let nv = BlockMatrix {
            format: BlockFormat::Nvfp4,
            rows: 2,
            columns: 16,
            codes: vec![0xd2; 16],
            scales: vec![0x38, 0x3c],
        };
        let values = decoded(&nv);
        assert_eq!((values[0], values[1], values[16], values[17]), (1.0, -3.0, 1.5, -4.5));
    }

    #[test]
    fn quantising_is_as_good_as_the_format_and_uses_its_range() {
        for (format, worst) in [(BlockFormat::Mxfp8, 1.0 / 8.0), (BlockFormat::Nvfp4, 0.2)] {
            let values: Vec<f32> =
                (0..format.block()).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
            let mut codes = vec![0; format.row_bytes(format.block())];
            let scale = quantise(format, &values, &mut codes);
            let matrix = BlockMatrix {
                format,
                rows: 1,
                columns: format.block(),
                codes,
                scales: vec![scale],
            };
            let max = values.iter().fold(0f32, |max, v| max.max(v.abs()));
            for (value, decoded) in values.iter().zip(decoded(&matrix)) {
                let off = (f64::from(*value) - decoded).abs();
                assert!(off <= worst * f64::from(max), "{value} became {decoded} in {format:?}");
            }
        }
        assert!(quantise(BlockFormat::Nvfp4, &[0.0; 16], &mut [0; 8]) > 0, "no scale is zero");
    }

    #[test]
    fn random_blocks_differ_in_scale_and_depend_on_the_seed_alone() {
        for format in BlockFormat::ALL {
            let of = |seed| BlockMatrix::random(format, 5, 256, seed).unwrap();
            assert_eq!(of(3), of(3));
            assert_ne!(of(3).codes, of(4).codes);
            let mut scales = of(3).scales;
            scales.sort_unstable();
            scales.dedup();
            assert!(scales.len() >= 5, "{scales:?}");
            assert!(decoded(&of(3)).iter().all(|value| value.is_finite()));
        }
        assert!(BlockMatrix::random(BlockFormat::Nvfp4, 1, 24, 0).is_err());
    }
}
