//! Queries and a key/value cache in device memory, as the kernels take them.

use cudarc::driver::CudaSlice;

use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::number::{Matrix, Scales};
use crate::workload::{Attention, AttentionInputs};

/// What stands behind the last key of a head: no number in any format, so that a kernel that reads it is caught.
const POISON: u8 = 0xff;

/// Codes and scales of one matrix. The keys of each head are padded with [`POISON`].
pub struct Rows {
    /// As the format packs them.
    pub codes: CudaSlice<u8>,
    /// One f32 a row, one E8M0 code a block, or nothing worth reading.
    pub scales: CudaSlice<u8>,
}

impl Rows {
    fn upload(gpu: &Gpu, matrix: &Matrix, heads: usize, stride: usize) -> Result<Self> {
        let scales: Vec<u8> = match &matrix.scales {
            Scales::None => Vec::new(),
            Scales::PerRow(scales) => scales.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Scales::PerBlock(scales) => scales.clone(),
        };
        let upload = |bytes: &[u8]| {
            let each = bytes.len() / matrix.rows;
            let mut padded = padded(bytes, matrix.rows / heads * each, stride * each);
            // An allocation has at least one vector.
            padded.resize(padded.len().max(16), POISON);
            gpu.stream().clone_htod(&padded).map_err(|e| driver("upload an operand", e))
        };
        Ok(Self { codes: upload(&matrix.codes)?, scales: upload(&scales)? })
    }
}

/// `bytes` in heads of `from` bytes, each filled up to `to`.
fn padded(bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(bytes.len() / from.max(1) * to);
    for head in bytes.chunks_exact(from.max(1)) {
        padded.extend_from_slice(head);
        padded.resize(padded.len() + to - from, POISON);
    }
    padded
}

/// One copy of the inputs.
pub struct Operands {
    /// Queries.
    pub q: Rows,
    /// Keys.
    pub k: Rows,
    /// Values; none where they are a part of the keys.
    pub v: Option<Rows>,
}

impl Operands {
    /// Uploads one copy, each head's keys in `stride` rows.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn upload(
        gpu: &Gpu,
        problem: &Attention,
        inputs: AttentionInputs<'_>,
        stride: usize,
    ) -> Result<Self> {
        let AttentionInputs { q, k, v } = inputs;
        Ok(Self {
            q: Rows::upload(gpu, q, problem.heads, problem.queries)?,
            k: Rows::upload(gpu, k, problem.kv_heads, stride)?,
            v: v.map(|v| Rows::upload(gpu, v, problem.kv_heads, stride)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_is_padded() {
        assert_eq!(padded(&[1, 2, 3, 4], 2, 3), [1, 2, POISON, 3, 4, POISON]);
        assert!(padded(&[], 0, 0).is_empty());
    }
}
