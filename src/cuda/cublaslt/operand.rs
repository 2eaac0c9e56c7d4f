//! A and B: on the host for the oracle, on the device as the library takes them.

use super::numbers::{Numbers, Scaling};
use super::swizzle::{swizzle, swizzled_bytes};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gemm::DeviceMatrix;
use crate::number::{BlockMatrix, Matrix, Scales};
use crate::workload::{Sums, Verified, verify_gemm_blocked, verify_gemm_summed};

/// One operand, K along the row.
pub(super) enum Operand {
    /// In a format of ours.
    Plain(Matrix),
    /// In one that only the library multiplies.
    Blocked(BlockMatrix),
}

impl Operand {
    /// Random, from `seed`; the same elements as our kernels get. Scales that the library can't take are 1.
    ///
    /// # Errors
    /// When K does not suit the format.
    pub(super) fn random(
        numbers: Numbers,
        scaling: Scaling,
        (rows, k): (usize, usize),
        seed: u64,
    ) -> Result<Self> {
        match numbers {
            Numbers::Plain(format) => {
                let mut matrix = Matrix::random(format, rows, k, seed)?;
                if let (Scaling::None, Scales::PerRow(scales)) = (scaling, &mut matrix.scales) {
                    scales.fill(1.0);
                }
                Ok(Self::Plain(matrix))
            }
            Numbers::Blocked(format) => {
                BlockMatrix::random(format, rows, k, seed).map(Self::Blocked)
            }
        }
    }

    /// On the device, as often as `copies` says.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub(super) fn upload(&self, gpu: &Gpu, copies: usize) -> Result<Vec<DeviceMatrix>> {
        let (rows, columns, row_bytes, codes) = match self {
            Self::Plain(m) => (m.rows, m.columns, m.format.row_bytes(m.columns), &m.codes),
            Self::Blocked(m) => (m.rows, m.columns, m.format.row_bytes(m.columns), &m.codes),
        };
        let scales = match self {
            Self::Plain(Matrix { scales: Scales::PerRow(scales), .. }) => {
                scales.iter().flat_map(|scale| scale.to_le_bytes()).collect()
            }
            Self::Plain(Matrix { scales: Scales::PerBlock(scales), .. })
            | Self::Blocked(BlockMatrix { scales, .. }) => {
                swizzle(scales, rows, scales.len() / rows)
            }
            // It is not read, but an allocation has at least a byte.
            Self::Plain(Matrix { scales: Scales::None, .. }) => vec![0; 16],
        };
        DeviceMatrix::upload_parts(gpu, (rows, columns, row_bytes), codes, &scales, copies)
    }

    /// Compares `c` with this times `b` transposed.
    ///
    /// # Errors
    /// [`crate::Error::Wrong`] with the first output outside its tolerance.
    pub(super) fn verify(&self, b: &Self, c: &[f32], sums: Sums) -> Result<Verified> {
        match (self, b) {
            (Self::Plain(a), Self::Plain(b)) => verify_gemm_summed(a, b, c, sums),
            (Self::Blocked(a), Self::Blocked(b)) => verify_gemm_blocked(a, b, c),
            _ => unreachable!("both are random in one format"),
        }
    }
}

/// Bytes of device memory that one copy of an operand takes.
pub(super) fn device_bytes(numbers: Numbers, rows: usize, k: usize) -> u64 {
    let scales = match numbers.block() {
        Some(block) => swizzled_bytes(rows, k / block),
        None => rows * size_of::<f32>(),
    };
    (rows * numbers.row_bytes(k).next_multiple_of(16) + scales) as u64
}

/// Bytes of one row with its scales: what the library has to read.
pub(super) const fn stored_row_bytes(numbers: Numbers, scaling: Scaling, k: usize) -> usize {
    let scales = match (scaling, numbers.block()) {
        (Scaling::Rows, _) => size_of::<f32>(),
        (Scaling::Blocks { .. }, Some(block)) => k / block,
        _ => 0,
    };
    numbers.row_bytes(k) + scales
}
