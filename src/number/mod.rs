//! Number formats: encode, decode, pack, quantise.
//!
//! A [`Matrix`] is what a kernel is given: rows of codes with the scales that its [`Format`] needs. The codecs are
//! the reference that every kernel's own decoding is tested against.

use crate::{Error, Result};

/// Elements of one OCP MX block: they share one E8M0 scale (OCP Microscaling Formats v1.0, section 5.2).
pub const MX_BLOCK: usize = 32;

/// How the elements of a matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// bfloat16, no scale.
    Bf16,
    /// Symmetric int8 in -127..=127, one f32 scale a row.
    Int8,
    /// OCP FP8 E4M3 (finite, NaN, no infinity; largest 448), one f32 scale a row.
    Fp8E4m3,
    /// OCP FP8 E5M2 (largest finite 57344), one f32 scale a row.
    Fp8E5m2,
    /// OCP MX v1.0: E2M1 elements, two a byte (low nibble first), one E8M0 scale per 32 along the row.
    Mxfp4,
}

impl Format {
    /// The four formats of the default tables, in the order in which they are reported.
    pub const MAIN: [Self; 4] = [Self::Bf16, Self::Int8, Self::Fp8E4m3, Self::Mxfp4];

    /// Name in metric ids and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Fp8E4m3 => "fp8",
            Self::Fp8E5m2 => "fp8-e5m2",
            Self::Mxfp4 => "mxfp4",
        }
    }

    /// Bits of one element without its share of a scale.
    pub const fn element_bits(self) -> usize {
        match self {
            Self::Bf16 => 16,
            Self::Int8 | Self::Fp8E4m3 | Self::Fp8E5m2 => 8,
            Self::Mxfp4 => 4,
        }
    }

    /// Bytes of the codes of one row of `columns` elements.
    pub const fn row_bytes(self, columns: usize) -> usize {
        columns * self.element_bits() / 8
    }

    /// Bytes of one row of `columns` elements with its scales: what a kernel has to read.
    pub const fn stored_row_bytes(self, columns: usize) -> usize {
        let scales = match self {
            Self::Bf16 => 0,
            Self::Int8 | Self::Fp8E4m3 | Self::Fp8E5m2 => size_of::<f32>(),
            Self::Mxfp4 => columns / MX_BLOCK,
        };
        self.row_bytes(columns) + scales
    }

    /// Whether rows of `columns` elements can be stored.
    ///
    /// # Errors
    /// `columns` is zero, or is not a multiple of 32 for mxfp4.
    pub fn check_columns(self, columns: usize) -> Result<()> {
        if columns == 0 || (self == Self::Mxfp4 && columns % MX_BLOCK != 0) {
            return Err(Error::input(
                format!("{columns} columns can't be stored as {}", self.name()),
                format!("Give a positive K; for mxfp4 a multiple of {MX_BLOCK}"),
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

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
