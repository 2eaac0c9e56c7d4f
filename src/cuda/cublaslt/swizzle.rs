//! The order in which cuBLASLt wants block scales: tiles of 128 rows by 4 blocks, each 512 consecutive bytes.
//!
//! NVIDIA, cuBLAS documentation, "1D Block Scaling Factors Layout": within a tile, the scale of row `outer` and block `inner`
//! is at `(outer % 32) * 16 + (outer / 32) * 4 + inner`; tiles follow each other along the row of blocks first. A tensor that
//! does not fill its last tiles is padded, with zeros.

/// Rows of a tile.
const ROWS: usize = 128;
/// Blocks of a tile.
const BLOCKS: usize = 4;

/// Where the scale of block `block` of row `row` lies when a row has `blocks` blocks.
fn offset(row: usize, block: usize, blocks: usize) -> usize {
    let tile = row / ROWS * blocks.div_ceil(BLOCKS) + block / BLOCKS;
    let (outer, inner) = (row % ROWS, block % BLOCKS);
    tile * ROWS * BLOCKS + outer % 32 * 16 + outer / 32 * 4 + inner
}

/// Bytes of the scales of `rows` rows of `blocks` blocks.
pub const fn swizzled_bytes(rows: usize, blocks: usize) -> usize {
    rows.next_multiple_of(ROWS) * blocks.next_multiple_of(BLOCKS)
}

/// `scales`, `rows` x `blocks` bytes row after row, in the library's order.
///
/// # Panics
/// When `scales` are not `rows` x `blocks`.
pub fn swizzle(scales: &[u8], rows: usize, blocks: usize) -> Vec<u8> {
    assert_eq!(scales.len(), rows * blocks, "one scale a block");
    let mut swizzled = vec![0; swizzled_bytes(rows, blocks)];
    for (row, scales) in scales.chunks_exact(blocks.max(1)).enumerate() {
        for (block, &scale) in scales.iter().enumerate() {
            swizzled[offset(row, block, blocks)] = scale;
        }
    }
    swizzled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_a_tile_are_those_of_rows_32_apart() {
        let scales: Vec<u8> = (0..128 * 4).map(|index| (index / 4) as u8).collect();
        let swizzled = swizzle(&scales, 128, 4);
        let of = |range: std::ops::Range<usize>| swizzled[range].to_vec();
        assert_eq!(of(0..16), [[0; 4], [32; 4], [64; 4], [96; 4]].concat());
        assert_eq!(of(16..32), [[1; 4], [33; 4], [65; 4], [97; 4]].concat());
        assert_eq!(of(496..512), [[31; 4], [63; 4], [95; 4], [127; 4]].concat());
    }

    #[test]
    fn tiles_go_along_the_row_first_and_the_rest_is_zero() {
        // 130 rows of 6 blocks: 2 x 2 tiles, none of them full but the first.
        let (rows, blocks) = (130, 6);
        let scales: Vec<u8> = (0..rows * blocks).map(|index| (index % 251) as u8 + 1).collect();
        let swizzled = swizzle(&scales, rows, blocks);
        assert_eq!(swizzled.len(), 4 * 512);
        let at = |row: usize, block: usize| scales[row * blocks + block];
        assert_eq!(swizzled[512], at(0, 4));
        assert_eq!(swizzled[513], at(0, 5));
        assert_eq!(swizzled[514], 0);
        assert_eq!(swizzled[2 * 512 + 16 + 3], at(129, 3));
        assert_eq!(swizzled[3 * 512], at(128, 4));
        let mut all = swizzled;
        all.retain(|&scale| scale != 0);
        let mut given = scales;
        all.sort_unstable();
        given.sort_unstable();
        assert_eq!(all, given, "each scale once");
    }
}
