//! Which tiles decode from a latent cache takes (absorbed MLA).

use super::plan::{Chip, Plan, code, from, missing, scale_bytes};
use crate::Result;
use crate::cuda::kernels::{ATTENTION_DECODE_LATENT, ATTENTION_MERGE};
use crate::number::Format;
use crate::workload::{Attention, Weights};

/// Elements of a key and of a value that the tiles are made for: DeepSeek's.
const DIMENSIONS: (usize, usize) = (576, 512);
/// The larger first: the more heads a block takes, the less often is the cache read from L2, and the more keys a tile
/// has, the rarer are barriers.
const TILES: [Tile; 3] = [
    Tile { rows: 64, keys: 64, warps: (2, 4) },
    Tile { rows: 64, keys: 32, warps: (2, 4) },
    Tile { rows: 32, keys: 16, warps: (2, 2) },
];
/// Stages of the ring of tiles: one is read while one arrives.
const STAGES: usize = 2;
/// Parts in which a row of the merge adds up splits.
const SLICES: usize = 4;
/// Rows to which the keys are padded in device memory: a multiple of every tile.
const PADDING: usize = 64;

/// What a block works on at a time.
#[derive(Debug, Clone, Copy)]
struct Tile {
    /// Query heads.
    rows: usize,
    keys: usize,
    /// Along heads, and along keys or values.
    warps: (usize, usize),
}

impl Tile {
    /// Bytes of shared memory, as the kernel lays it out.
    const fn shared_bytes(self, format: Format) -> usize {
        let Self { rows, keys, warps } = self;
        let wide = 2 * DIMENSIONS.0;
        let codes = format.row_bytes(DIMENSIONS.0) + scale_bytes(format, DIMENSIONS.0);
        let converted = if matches!(format, Format::Bf16) { 0 } else { keys * wide };
        let (weights, maxima) = (rows * keys * 2, warps.1 * rows * 4);
        rows * wide + converted + weights + maxima + STAGES * (keys * codes).next_multiple_of(16)
    }
}

/// The plan for `problem`, a decode from a latent cache that suits `format`, on `chip`; `page`: keys a page of the cache,
/// where it has pages.
///
/// # Errors
/// [`crate::Error::Unavailable`] with the cause when no kernel computes it.
pub fn plan(
    problem: &Attention,
    format: Format,
    chip: Chip<'_>,
    page: Option<usize>,
) -> Result<Plan> {
    let &Attention { heads, kv_heads, keys, qk_dim, v_dim, .. } = problem;
    let code = code(format)?;
    if (qk_dim, v_dim) != DIMENSIONS || kv_heads != 1 {
        return Err(missing(&format!("decode from {kv_heads} latents of {qk_dim} and {v_dim}")));
    }
    let fits = |tile: &Tile| {
        let whole = page.is_none_or(|page| page.is_multiple_of(tile.keys));
        whole && tile.shared_bytes(format) <= chip.shared_bytes
    };
    let Some(tile) = TILES.into_iter().find(fits) else {
        let pages = page.map_or_else(String::new, |keys| format!(" in pages of {keys} keys"));
        let room = chip.shared_bytes;
        return Err(missing(&format!("a latent{pages} in {room} bytes of shared memory")));
    };
    let blocks = heads.div_ceil(tile.rows);
    let splits = (chip.multiprocessors as usize / blocks).clamp(1, keys.div_ceil(tile.keys));
    let constants = [
        ("FORMAT", code),
        ("QK_DIM", qk_dim as u32),
        ("V_DIM", v_dim as u32),
        ("ROWS", tile.rows as u32),
        ("KEYS", tile.keys as u32),
        ("STAGES", STAGES as u32),
        ("WARPS_M", tile.warps.0 as u32),
        ("WARPS_N", tile.warps.1 as u32),
        ("PAGE", page.unwrap_or(0) as u32),
    ];
    let paged = page.map_or_else(String::new, |keys| format!("-page{keys}"));
    let merge =
        [("V_DIM", v_dim as u32), ("SLICES", SLICES as u32), ("SPLITS", chip.multiprocessors)];
    Ok(Plan {
        build: ATTENTION_DECODE_LATENT.with(constants),
        merge: Some(ATTENTION_MERGE.with(merge)),
        grid: (splits as u32, blocks as u32),
        threads: (32 * tile.warps.0 * tile.warps.1) as u32,
        shared_bytes: tile.shared_bytes(format) as u32,
        stride: keys.next_multiple_of(PADDING),
        page,
        multiplied: Format::Bf16,
        weights: Weights::Bf16.into(),
        path: format!("mma.bf16/decode-latent-{}{paged}-{}x{}", from(format), tile.rows, tile.keys),
    })
}

/// Threads of a block of the merge: four columns each.
pub const fn merge_threads(v_dim: usize) -> u32 {
    (v_dim / 4 * SLICES) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::DEEPSEEK_R1;

    #[test]
    fn every_chip_is_filled() {
        // Multiprocessors, KiB of shared memory, heads and keys a tile.
        for (multiprocessors, shared, rows, keys) in
            [(132, 227, 64, 64), (108, 163, 64, 32), (142, 99, 32, 16)]
        {
            for format in Format::MAIN {
                let architecture = "sm_80";
                let chip = Chip { architecture, multiprocessors, shared_bytes: shared << 10 };
                let plan = plan(&DEEPSEEK_R1.decode(8192), format, chip, None).expect("planned");
                assert!(plan.path.ends_with(&format!("-{rows}x{keys}")), "{}", plan.path);
                let blocks = 128 / rows as u32;
                assert_eq!(plan.grid, ((multiprocessors / blocks).min(8192 / keys), blocks));
            }
        }
    }

    #[test]
    fn a_tile_lies_within_a_page() {
        let chip = Chip { architecture: "sm_90a", multiprocessors: 132, shared_bytes: 227 << 10 };
        for (page, tile) in [(64, "64x64"), (32, "64x32"), (16, "32x16")] {
            let plan = plan(&DEEPSEEK_R1.decode(8192), Format::Bf16, chip, Some(page));
            let path = plan.expect("planned").path;
            assert!(path.ends_with(&format!("-page{page}-{tile}")), "{path}");
        }
        assert!(plan(&DEEPSEEK_R1.decode(8192), Format::Bf16, chip, Some(8)).is_err());
    }
}
