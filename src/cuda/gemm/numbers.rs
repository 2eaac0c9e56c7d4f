//! What A and B can hold: the formats of the suite, and the block-scaled ones that only tensor cores multiply.

use crate::number::{BlockFormat, Format, MX_BLOCK};
use crate::workload::Gemm;
use crate::{Error, Result};

/// Format of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// One that every part of the suite computes in.
    Plain(Format),
    /// One that exists on GPUs only.
    Blocked(BlockFormat),
}

impl Numbers {
    /// OCP mxfp8.
    pub const MXFP8: Self = Self::Blocked(BlockFormat::Mxfp8);

    /// Name in metric ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain(format) => format.name(),
            Self::Blocked(format) => format.name(),
        }
    }

    /// Bits of one element without its share of a scale.
    pub const fn element_bits(self) -> usize {
        self.row_bytes(8)
    }

    /// Bytes of the codes of one row of `columns` elements.
    pub const fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Plain(format) => format.row_bytes(columns),
            Self::Blocked(format) => format.row_bytes(columns),
        }
    }

    /// Elements that share a block scale.
    pub const fn block(self) -> Option<usize> {
        match self {
            Self::Plain(Format::Mxfp4) => Some(MX_BLOCK),
            Self::Plain(_) => None,
            Self::Blocked(format) => Some(format.block()),
        }
    }

    /// Bytes of one row of `columns` elements with its scales: what a kernel has to read.
    pub const fn stored_row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Plain(format) => format.stored_row_bytes(columns),
            Self::Blocked(format) => format.row_bytes(columns) + columns / format.block(),
        }
    }

    /// Whether sums are integers.
    pub const fn integers(self) -> bool {
        matches!(self, Self::Plain(Format::Int8))
    }

    /// Whether `problem` can be computed in it.
    ///
    /// # Errors
    /// [`Error::Input`] as [`Gemm::check`], for a K that is no multiple of a block too.
    pub fn check(self, problem: Gemm) -> Result<()> {
        let format = match self {
            Self::Plain(format) => return problem.check(format),
            Self::Blocked(format) => format,
        };
        // What holds for every format.
        problem.check(Format::Bf16)?;
        if problem.k.is_multiple_of(format.block()) {
            return Ok(());
        }
        let (k, name, block) = (problem.k, format.name(), format.block());
        Err(Error::input(
            format!("K = {k} can't be stored as {name}: its blocks hold {block} elements"),
            format!("Use a multiple of {block}, or another format"),
        ))
    }
}

impl From<Format> for Numbers {
    fn from(format: Format) -> Self {
        Self::Plain(format)
    }
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
