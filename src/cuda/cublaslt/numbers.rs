//! The formats that are asked for, and what cuBLASLt calls them.

use cudarc::cublaslt::sys::cublasLtMatmulMatrixScale_t as ScaleMode;
use cudarc::cublaslt::sys::{cublasComputeType_t as Compute, cudaDataType_t as Type};

use crate::number::{BlockFormat, Format, MX_BLOCK};

/// Format of A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// One that our kernels multiply too.
    Plain(Format),
    /// One that only the library multiplies.
    Blocked(BlockFormat),
}

impl Numbers {
    /// What is asked of the library, in the order in which it is reported.
    pub const ALL: [Self; 6] = [
        Self::Plain(Format::Bf16),
        Self::Plain(Format::Int8),
        Self::Plain(Format::Fp8E4m3),
        Self::Blocked(BlockFormat::Mxfp8),
        Self::Plain(Format::Mxfp4),
        Self::Blocked(BlockFormat::Nvfp4),
    ];

    /// Name in metric ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain(format) => format.name(),
            Self::Blocked(format) => format.name(),
        }
    }

    /// Bytes of the codes of one row of `columns` elements.
    pub const fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Plain(format) => format.row_bytes(columns),
            Self::Blocked(format) => format.row_bytes(columns),
        }
    }

    /// Type of the elements of A and B.
    pub(super) const fn data_type(self) -> Type {
        match self {
            Self::Plain(Format::Bf16) => Type::CUDA_R_16BF,
            Self::Plain(Format::Int8) => Type::CUDA_R_8I,
            Self::Plain(Format::Fp8E5m2) => Type::CUDA_R_8F_E5M2,
            Self::Plain(Format::Fp8E4m3) | Self::Blocked(BlockFormat::Mxfp8) => {
                Type::CUDA_R_8F_E4M3
            }
            Self::Plain(Format::Mxfp4) | Self::Blocked(BlockFormat::Nvfp4) => Type::CUDA_R_4F_E2M1,
        }
    }

    /// Types of the sums: of the arithmetic, of alpha and beta, of C.
    pub(super) const fn sums(self) -> (Compute, Type, Type) {
        if self.integers() {
            (Compute::CUBLAS_COMPUTE_32I, Type::CUDA_R_32I, Type::CUDA_R_32I)
        } else {
            (Compute::CUBLAS_COMPUTE_32F, Type::CUDA_R_32F, Type::CUDA_R_32F)
        }
    }

    /// Whether C holds i32.
    pub const fn integers(self) -> bool {
        matches!(self, Self::Plain(Format::Int8))
    }

    /// The ways of scaling that suit, best first.
    pub(super) const fn scalings(self) -> &'static [Scaling] {
        match self {
            Self::Plain(Format::Bf16 | Format::Int8) => &[Scaling::None],
            Self::Plain(Format::Fp8E4m3 | Format::Fp8E5m2) => &[Scaling::Rows, Scaling::None],
            Self::Plain(Format::Mxfp4) | Self::Blocked(BlockFormat::Mxfp8) => {
                &[Scaling::Blocks { mode: ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0 }]
            }
            Self::Blocked(BlockFormat::Nvfp4) => {
                &[Scaling::Blocks { mode: ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3 }]
            }
        }
    }

    /// Elements that share a block scale.
    pub(super) const fn block(self) -> Option<usize> {
        match self {
            Self::Plain(Format::Mxfp4) => Some(MX_BLOCK),
            Self::Plain(_) => None,
            Self::Blocked(format) => Some(format.block()),
        }
    }
}

/// What A and B are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Nothing.
    None,
    /// One f32 a row of A and a row of B.
    Rows,
    /// One byte a block.
    Blocks {
        /// Of how many elements, and how to read it.
        mode: ScaleMode,
    },
}

impl Scaling {
    /// What the library calls it; `None` for its default.
    pub(super) const fn mode(self) -> Option<ScaleMode> {
        match self {
            Self::None => None,
            Self::Rows => Some(ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F),
            Self::Blocks { mode } => Some(mode),
        }
    }

    /// For the record.
    pub(super) const fn name(self, numbers: Numbers) -> &'static str {
        match (self, numbers) {
            (Self::None, Numbers::Plain(Format::Bf16)) => "none",
            (Self::None, _) => "left out: the library takes no scale a row and column here",
            (Self::Rows, _) => "f32 a row and column",
            (Self::Blocks { .. }, Numbers::Blocked(BlockFormat::Nvfp4)) => "E4M3 per 16",
            (Self::Blocks { .. }, _) => "E8M0 per 32",
        }
    }
}
