//! A and B as the library takes them.

use super::numbers::Scaling;
use super::swizzle::{swizzle, swizzled_bytes};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gemm::{DeviceMatrix, Numbers, Operand};
use crate::number::{BlockMatrix, Matrix, Scales};

/// Random from `seed`, the same elements as our kernels get; scales that the library can't take are 1.
///
/// # Errors
/// When K does not suit the format.
pub(super) fn random(
    numbers: Numbers,
    scaling: Scaling,
    (rows, k): (usize, usize),
    seed: u64,
) -> Result<Operand> {
    let mut operand = Operand::random(numbers, rows, k, seed)?;
    if let (Scaling::None, Operand::Plain(Matrix { scales: Scales::PerRow(scales), .. })) =
        (scaling, &mut operand)
    {
        scales.fill(1.0);
    }
    Ok(operand)
}

/// `operand` on the device, as often as `copies` says, its block scales in the library's order.
///
/// # Errors
/// When the device has no memory for it.
pub(super) fn upload(operand: &Operand, gpu: &Gpu, copies: usize) -> Result<Vec<DeviceMatrix>> {
    let (rows, columns, row_bytes, codes) = match operand {
        Operand::Plain(m) => (m.rows, m.columns, m.format.row_bytes(m.columns), &m.codes),
        Operand::Blocked(m) => (m.rows, m.columns, m.format.row_bytes(m.columns), &m.codes),
    };
    let scales = match operand {
        Operand::Plain(Matrix { scales: Scales::PerRow(scales), .. }) => {
            scales.iter().flat_map(|scale| scale.to_le_bytes()).collect()
        }
        Operand::Plain(Matrix { scales: Scales::PerBlock(scales), .. })
        | Operand::Blocked(BlockMatrix { scales, .. }) => {
            swizzle(scales, rows, scales.len() / rows)
        }
        // It is not read, but an allocation has at least a byte.
        Operand::Plain(Matrix { scales: Scales::None, .. }) => vec![0; 16],
    };
    DeviceMatrix::upload_parts(gpu, (rows, columns, row_bytes), codes, &scales, copies)
}

/// Bytes of device memory that one copy of an operand takes.
pub(super) fn device_bytes(numbers: Numbers, rows: usize, k: usize) -> u64 {
    let scales = match numbers.block() {
        Some(block) => swizzled_bytes(rows, k / block),
        None => rows * size_of::<f32>(),
    };
    (rows * numbers.row_bytes(k).next_multiple_of(16) + scales) as u64
}

/// Bytes of one row with the scales that the library takes: what it has to read.
pub(super) const fn stored_row_bytes(numbers: Numbers, scaling: Scaling, k: usize) -> usize {
    match scaling {
        Scaling::None => numbers.row_bytes(k),
        Scaling::Rows | Scaling::Blocks { .. } => numbers.stored_row_bytes(k),
    }
}
