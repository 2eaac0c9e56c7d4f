//! A or B on the host: what is uploaded, and what the oracle multiplies.

use super::matrix::DeviceMatrix;
use super::numbers::Numbers;
use crate::Result;
use crate::cuda::Gpu;
use crate::number::{BlockMatrix, Matrix};
use crate::workload::{Sums, Verified, verify_gemm_blocked, verify_gemm_summed};

/// One operand, K along the row.
pub(in crate::cuda) enum Operand {
    /// In a format of the suite.
    Plain(Matrix),
    /// In one that exists on GPUs only.
    Blocked(BlockMatrix),
}

impl Operand {
    /// Random, from `seed`.
    ///
    /// # Errors
    /// When K does not suit the format.
    pub(in crate::cuda) fn random(
        numbers: Numbers,
        rows: usize,
        k: usize,
        seed: u64,
    ) -> Result<Self> {
        match numbers {
            Numbers::Plain(format) => Matrix::random(format, rows, k, seed).map(Self::Plain),
            Numbers::Blocked(format) => {
                BlockMatrix::random(format, rows, k, seed).map(Self::Blocked)
            }
        }
    }

    /// On the device as our kernels take it, as often as `copies` says.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub(super) fn upload(&self, gpu: &Gpu, copies: usize) -> Result<Vec<DeviceMatrix>> {
        match self {
            Self::Plain(matrix) => DeviceMatrix::upload(gpu, matrix, copies),
            Self::Blocked(matrix) => DeviceMatrix::upload_blocked(gpu, matrix, copies),
        }
    }

    /// Compares `c` with this times `b` transposed.
    ///
    /// # Errors
    /// [`crate::Error::Wrong`] with the first output outside its tolerance.
    pub(in crate::cuda) fn verify(&self, b: &Self, c: &[f32], sums: Sums) -> Result<Verified> {
        match (self, b) {
            (Self::Plain(a), Self::Plain(b)) => verify_gemm_summed(a, b, c, sums),
            (Self::Blocked(a), Self::Blocked(b)) => verify_gemm_blocked(a, b, c),
            _ => unreachable!("no product mixes them"),
        }
    }
}
