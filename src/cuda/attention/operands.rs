//! Queries and a key/value cache in device memory, as the kernels take them.

use cudarc::driver::CudaSlice;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use super::plan::Plan;
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::number::{MX_BLOCK, Matrix, Scales};
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
        let laid_out = |bytes: &[u8]| {
            let padded = in_heads(bytes, matrix, heads, stride);
            match pages {
                Some(pages) => pages.place(&padded, heads),
                None => padded,
            }
        };
        Self::copied(gpu, laid_out(&matrix.codes), laid_out(&scales))
    }

    /// For a kernel that multiplies blocks of mxfp4: scales of a row are padded to 2, 4 or 8 bytes, so that they can be
    /// loaded at once.
    fn blocks(gpu: &Gpu, matrix: &Matrix, heads: usize, stride: usize) -> Result<Self> {
        let (codes, scales) = (&matrix.codes, block_scales(matrix));
        let each = scales.len() / matrix.rows;
        let scales = padded(scales, each, each.next_power_of_two());
        let laid_out = |bytes: &[u8]| in_heads(bytes, matrix, heads, stride);
        Self::copied(gpu, laid_out(codes), laid_out(&scales))
    }

    /// Transposed values in blocks along keys: rows of `stride` codes, and the scales of [`WORD`] blocks row after row, then
    /// those of the next.
    fn transposed(gpu: &Gpu, matrix: &Matrix, heads: usize, stride: usize) -> Result<Self> {
        let codes = padded(&matrix.codes, matrix.columns / 2, stride / 2);
        let scales = padded(block_scales(matrix), matrix.columns / MX_BLOCK, stride / MX_BLOCK);
        Self::copied(gpu, codes, in_words(&scales, matrix.rows / heads, stride / MX_BLOCK))
    }

    /// An allocation has at least one vector.
    fn copied(gpu: &Gpu, codes: Vec<u8>, scales: Vec<u8>) -> Result<Self> {
        let upload = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().max(16), POISON);
            gpu.stream().clone_htod(&bytes).map_err(|e| driver("upload an operand", e))
        };
        Ok(Self { codes: upload(codes)?, scales: upload(scales)? })
    }
}

/// Scales that a word holds.
const WORD: usize = 4;

/// The E8M0 codes of a matrix; none where it has no blocks.
fn block_scales(matrix: &Matrix) -> &[u8] {
    match &matrix.scales {
        Scales::PerBlock(scales) => scales,
        Scales::None | Scales::PerRow(_) => &[],
    }
}

/// Heads of `rows` rows of `each` bytes, in words: the first word of every row of a head, then the second.
fn in_words(bytes: &[u8], rows: usize, each: usize) -> Vec<u8> {
    let heads = bytes.chunks_exact((rows * each).max(1));
    heads
        .flat_map(|head| {
            (0..each / WORD).flat_map(move |word| {
                head.chunks_exact(each).flat_map(move |row| &row[word * WORD..][..WORD])
            })
        })
        .copied()
        .collect()
}

/// `bytes` of the rows of `matrix`, each of its `heads` filled up to `stride` rows.
fn in_heads(bytes: &[u8], matrix: &Matrix, heads: usize, stride: usize) -> Vec<u8> {
    let each = bytes.len() / matrix.rows;
    padded(bytes, matrix.rows / heads * each, stride * each)
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
    /// Uploads one copy as `plan`'s kernel takes it.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn upload(
        gpu: &Gpu,
        problem: &Attention,
        inputs: AttentionInputs<'_>,
        plan: &Plan,
        pages: Option<&Pages>,
    ) -> Result<Self> {
        let AttentionInputs { q, k, v } = inputs;
        let stride = plan.stride;
        if plan.weights.transposes_values() {
            let v = v.map(|v| Rows::transposed(gpu, v, problem.kv_heads, stride)).transpose()?;
            return Ok(Self {
                q: Rows::blocks(gpu, q, problem.heads, problem.queries)?,
                k: Rows::blocks(gpu, k, problem.kv_heads, stride)?,
                v,
            });
        }
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
    fn words_of_scales_lie_row_after_row() {
        // Two heads of two rows of eight blocks.
        let bytes: Vec<u8> = (0..32).collect();
        let words = in_words(&bytes, 2, 8);
        assert_eq!(words[..16], [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]);
        assert_eq!(words[16..20], [16, 17, 18, 19]);
    }

    #[test]
    fn each_head_is_padded() {
        assert_eq!(padded(&[1, 2, 3, 4], 2, 3), [1, 2, POISON, 3, 4, POISON]);
        assert!(padded(&[], 0, 0).is_empty());
    }
}
