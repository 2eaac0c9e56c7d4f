//! The formats that are asked for, and what cuBLASLt calls them.

use cudarc::cublaslt::sys::cublasLtMatmulMatrixScale_t as ScaleMode;
use cudarc::cublaslt::sys::{cublasComputeType_t as Compute, cudaDataType_t as Type};

use crate::cuda::gemm::Numbers;
use crate::number::{BlockFormat, Format};

/// What is asked of the library, in the order in which it is reported.
pub const FORMATS: [Numbers; 6] = [
    Numbers::Plain(Format::Bf16),
    Numbers::Plain(Format::Int8),
    Numbers::Plain(Format::Fp8E4m3),
    Numbers::Blocked(BlockFormat::Mxfp8),
    Numbers::Plain(Format::Mxfp4),
    Numbers::Blocked(BlockFormat::Nvfp4),
];

impl Numbers {
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
