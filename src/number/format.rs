//! Which formats there are, what they are called and how many bytes they take.

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

    /// Every format.
    pub const ALL: [Self; 5] = [Self::Bf16, Self::Int8, Self::Fp8E4m3, Self::Fp8E5m2, Self::Mxfp4];

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

    /// Whether each row has an f32 scale.
    pub const fn has_row_scale(self) -> bool {
        matches!(self, Self::Int8 | Self::Fp8E4m3 | Self::Fp8E5m2)
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
    /// `columns` is zero, or is not a multiple of 32 for mxfp4; the error names the nearest that is.
    pub fn check_columns(self, columns: usize) -> Result<()> {
        if columns == 0 {
            return Err(Error::input("A matrix with 0 columns holds nothing", "Give a positive K"));
        }
        if self == Self::Mxfp4 && !columns.is_multiple_of(MX_BLOCK) {
            let below = columns / MX_BLOCK * MX_BLOCK;
            let above = columns.next_multiple_of(MX_BLOCK);
            let nearest =
                if below > 0 && columns - below <= above - columns { below } else { above };
            return Err(Error::input(
                format!(
                    "K = {columns} can't be stored as mxfp4: its blocks hold {MX_BLOCK} elements"
                ),
                format!(
                    "Use K = {nearest} (the nearest multiple of {MX_BLOCK}), or another format"
                ),
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
