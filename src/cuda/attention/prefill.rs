//! Which tiles a prefill takes, of operands that are multiplied as they are stored or expanded to bf16.

use super::plan::{Chip, PADDING, Plan, STATIC_BYTES, block_scale_bytes, code, from, missing};
use crate::cuda::gemm::Mma;
use crate::cuda::kernels::{ATTENTION_PREFILL, ATTENTION_PREFILL_MXFP4};
use crate::number::{Format, MX_BLOCK};
use crate::workload::{Attention, Phase, Rounding, Weights};
use crate::{Error, Result};

/// Keys of a prefill in int8 at most: as many weights of 127 and values of -128 fit in a sum of 32 bits.
const INT8_KEYS: usize = 1 << 17;

/// The plan for `problem`, a prefill that suits `format`, on `chip`.
///
/// # Errors
/// [`Error::Unavailable`] with the cause when no kernel computes it.
pub fn plan(problem: &Attention, format: Format, chip: Chip<'_>) -> Result<Plan> {
    if let Some(cause) = Mma::lacks(chip.architecture, format) {
        return Err(Error::Unavailable(cause));
    }
    if format == Format::Int8 && problem.keys > INT8_KEYS {
        return Err(missing(&format!("prefill in int8 with more than {INT8_KEYS} keys")));
    }
    if format == Format::Mxfp4 {
        return blocks(problem, chip);
    }
    tiled(problem, format, format, Tiles::new(format, problem.qk_dim), chip)
}

/// Warps of the kernel in mxfp4, 16 queries each. Eight with all registers need no local memory; as many threads again do.
const BLOCK_WARPS: usize = 8;
/// Keys that it takes a step.
const BLOCK_KEYS: usize = 128;
/// Stages of its ring.
const BLOCK_STAGES: usize = 2;

/// The plan in mxfp4, whose blocks the instruction scales.
fn blocks(problem: &Attention, chip: Chip<'_>) -> Result<Plan> {
    let &Attention { heads, queries, keys, qk_dim, v_dim, .. } = problem;
    check_dimensions(problem)?;
    let rows = 16 * BLOCK_WARPS;
    // Two codes a byte; scales of a key padded to a power of two.
    let key = qk_dim / 2 + (qk_dim / MX_BLOCK).next_power_of_two();
    let stage = BLOCK_KEYS * key + v_dim * (BLOCK_KEYS / 2 + BLOCK_KEYS / MX_BLOCK);
    let shared = BLOCK_STAGES * stage;
    check_shared(Format::Mxfp4, shared, chip)?;
    let constants =
        [("QK", qk_dim as u32), ("VD", v_dim as u32), ("WARPS", BLOCK_WARPS as u32), ("BLOCKS", 1)];
    Ok(Plan {
        build: ATTENTION_PREFILL_MXFP4.with(constants),
        merge: None,
        grid: (heads as u32, queries.div_ceil(rows) as u32),
        threads: 32 * BLOCK_WARPS as u32,
        shared_bytes: shared as u32,
        stride: keys.next_multiple_of(BLOCK_KEYS),
        page: None,
        multiplied: Format::Mxfp4,
        weights: Rounding::Mxfp4,
        path: format!("mma.mxfp4/prefill-v-along-keys-{rows}x{BLOCK_KEYS}"),
    })
}

fn check_dimensions(problem: &Attention) -> Result<()> {
    let dimensions = (problem.qk_dim, problem.v_dim);
    if [(64, 64), (128, 128), (192, 128)].contains(&dimensions) {
        return Ok(());
    }
    let (qk_dim, v_dim) = dimensions;
    Err(missing(&format!("prefill with head dimensions {qk_dim} and {v_dim}")))
}

/// Whether `bytes` of dynamic shared memory fit in the chip's.
fn check_shared(stored: Format, bytes: usize, chip: Chip<'_>) -> Result<()> {
    let room = chip.shared_bytes;
    if bytes + STATIC_BYTES <= room {
        return Ok(());
    }
    Err(missing(&format!("prefill of {stored} in {room} bytes of shared memory")))
}

/// [`plan`] for operands that are stored in `format` and expanded to bf16.
///
/// # Errors
/// As [`plan`].
pub fn expanded(problem: &Attention, format: Format, chip: Chip<'_>) -> Result<Plan> {
    if problem.phase != Phase::Prefill || !matches!(format, Format::Fp8E4m3 | Format::Mxfp4) {
        return Err(missing(&format!("{problem} in {format} expanded to bf16")));
    }
    tiled(problem, Format::Bf16, format, Tiles::expanded(format, problem.qk_dim), chip)
}

/// Prefill of operands `stored` in one format and multiplied in `format`.
fn tiled(
    problem: &Attention,
    format: Format,
    stored: Format,
    tiles: Tiles,
    chip: Chip<'_>,
) -> Result<Plan> {
    let &Attention { heads, queries, keys, qk_dim, v_dim, .. } = problem;
    let weights = match format {
        Format::Bf16 => Weights::Bf16.into(),
        Format::Int8 => Rounding::Int8,
        Format::Fp8E4m3 => Rounding::Fp8E4m3,
        Format::Mxfp4 | Format::Fp8E5m2 => {
            return Err(missing(&format!("prefill in {format}")));
        }
    };
    check_dimensions(problem)?;
    let Tiles { products, warps, tile, blocks, hold } = tiles;
    let rows = 16 * products * warps;
    let constants = [
        ("FORMAT", code(format)?),
        ("STORED", code(stored)?),
        ("QK", qk_dim as u32),
        ("VD", v_dim as u32),
        ("MT", products as u32),
        ("WARPS", warps as u32),
        ("KEYS", tile as u32),
        ("BLOCKS", blocks as u32),
        ("HOLD", u32::from(hold)),
    ];
    let row_scales = match stored {
        Format::Bf16 | Format::Mxfp4 => 0,
        _ => tile * 2 * size_of::<f32>(),
    };
    let wide = |columns| format.row_bytes(columns);
    let as_stored = |columns| stored.row_bytes(columns) + block_scale_bytes(stored, columns);
    let stage = if stored == format { 0 } else { tile * as_stored(qk_dim.max(v_dim)) };
    let shared = rows * wide(qk_dim) + tile * (wide(qk_dim) + wide(v_dim)) + row_scales + stage;
    check_shared(stored, shared, chip)?;
    let from = if stored == format { String::new() } else { format!("-{}", from(stored)) };
    Ok(Plan {
        build: ATTENTION_PREFILL.with(constants),
        merge: None,
        grid: (heads as u32, queries.div_ceil(rows) as u32),
        threads: 32 * warps as u32,
        shared_bytes: shared as u32,
        stride: keys.next_multiple_of(PADDING),
        page: None,
        multiplied: format,
        weights,
        path: format!("mma.{format}/prefill{from}-{rows}x{tile}"),
    })
}

/// The constants of the prefill kernel.
struct Tiles {
    /// 16-row products of a warp.
    products: usize,
    warps: usize,
    /// Keys a step.
    tile: usize,
    /// Blocks a multiprocessor.
    blocks: usize,
    /// Whether queries stay in registers.
    hold: bool,
}

impl Tiles {
    /// Of bf16, 64 and 128: the fastest of those tried on an H100 that need no local memory. The others: chosen by
    /// registers and by the share of products among instructions, not timed.
    const fn new(format: Format, qk_dim: usize) -> Self {
        match (format, qk_dim) {
            (Format::Bf16, 64) => Self { products: 2, warps: 4, tile: 64, blocks: 2, hold: false },
            (Format::Bf16, 128) => Self { products: 2, warps: 4, tile: 32, blocks: 2, hold: false },
            (Format::Bf16, _) => Self { products: 1, warps: 8, tile: 32, blocks: 1, hold: true },
            _ => Self { products: 1, warps: 8, tile: 64, blocks: 1, hold: true },
        }
    }

    /// Of operands stored in `stored` and expanded to bf16: blocks of many queries, since each expands every key. Chosen by
    /// registers and by the share of products among instructions, not timed.
    const fn expanded(stored: Format, qk_dim: usize) -> Self {
        match (stored, qk_dim) {
            (Format::Mxfp4, 128) => {
                Self { products: 2, warps: 8, tile: 32, blocks: 1, hold: false }
            }
            (_, 64 | 128) => Self { products: 1, warps: 8, tile: 64, blocks: 1, hold: true },
            _ => Self { products: 1, warps: 8, tile: 32, blocks: 1, hold: true },
        }
    }
}
