//! Queries and a key/value cache in device memory, as the kernels take them.

use cudarc::driver::CudaSlice;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::number::{Matrix, Scales};
use crate::workload::{Attention, AttentionInputs};

/// What stands behind the last key of a head: no number in any format, so that a kernel that reads it is caught.
const POISON: u8 = 0xff;

/// Where the pages of a cache lie: page after page of a few keys of every head, as they were allotted.
pub struct Pages {
    /// Of page i of every sequence of keys, its place.
    pub table: Vec<i32>,
}

impl Pages {
    /// Pages for `stride` keys a head, in random order.
    pub fn shuffled(keys: usize, stride: usize, seed: u64) -> Self {
        let mut table: Vec<i32> = (0..stride.div_ceil(keys) as i32).collect();
        table.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        Self { table }
    }

    /// `bytes` of `heads` heads, each as many pages, in the places of the pages.
    fn place(&self, bytes: &[u8], heads: usize) -> Vec<u8> {
        let mut placed = vec![POISON; bytes.len()];
        let page = bytes.len() / (heads * self.table.len());
        for (from, bytes) in bytes.chunks_exact(page.max(1)).enumerate() {
            let (head, index) = (from / self.table.len(), from % self.table.len());
            let to = self.table[index] as usize * heads + head;
            placed[to * page..][..page].copy_from_slice(bytes);
        }
        placed
    }
}

/// Codes and scales of one matrix. The keys of each head are padded with [`POISON`].
pub struct Rows {
    /// As the format packs them.
    pub codes: CudaSlice<u8>,
    /// One f32 a row, one E8M0 code a block, or nothing worth reading.
    pub scales: CudaSlice<u8>,
}

impl Rows {
    fn upload(
        gpu: &Gpu,
        matrix: &Matrix,
        heads: usize,
        stride: usize,
        pages: Option<&Pages>,
    ) -> Result<Self> {
        let scales: Vec<u8> = match &matrix.scales {
            Scales::None => Vec::new(),
            Scales::PerRow(scales) => scales.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Scales::PerBlock(scales) => scales.clone(),
        };
        let upload = |bytes: &[u8]| {
            let each = bytes.len() / matrix.rows;
            let mut padded = padded(bytes, matrix.rows / heads * each, stride * each);
            if let Some(pages) = pages {
                padded = pages.place(&padded, heads);
            }
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
        pages: Option<&Pages>,
    ) -> Result<Self> {
        let AttentionInputs { q, k, v } = inputs;
        Ok(Self {
            q: Rows::upload(gpu, q, problem.heads, problem.queries, None)?,
            k: Rows::upload(gpu, k, problem.kv_heads, stride, pages)?,
            v: v.map(|v| Rows::upload(gpu, v, problem.kv_heads, stride, pages)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_all_heads_lie_where_the_table_says() {
        // Two heads of three pages of two bytes.
        let pages = Pages { table: vec![2, 0, 1] };
        let bytes: Vec<u8> = (0..12).collect();
        assert_eq!(pages.place(&bytes, 2), [2, 3, 8, 9, 4, 5, 10, 11, 0, 1, 6, 7]);
        let mut table = Pages::shuffled(16, 100, 5).table;
        table.sort_unstable();
        assert_eq!(table, (0..7).collect::<Vec<i32>>());
    }

    #[test]
    fn each_head_is_padded() {
        assert_eq!(padded(&[1, 2, 3, 4], 2, 3), [1, 2, POISON, 3, 4, POISON]);
        assert!(padded(&[], 0, 0).is_empty());
    }
}
