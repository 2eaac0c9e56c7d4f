//! Which kernel computes an attention on a chip, with which constants.
//!
//! Decode is there for every format of the default tables on every chip: codes become bf16 or f16 exactly in registers
//! where they are not multiplied as they are, which the name of the kernel path says. Prefill, bound by arithmetic, is there
//! where the format has a tensor instruction. Where it has none, codes are expanded to bf16 by a plan of its own name
//! ([`Plan::expanded`]), which does not show the format's own rate. Prefill in mxfp4 takes V transposed, in blocks along keys
//! (`prefill-v-along-keys`), since a product scales blocks along what it sums over.

use super::{latent, prefill};
use crate::cuda::gemm::Mma;
use crate::cuda::kernels::{ATTENTION_DECODE, Build};
use crate::number::{Format, MX_BLOCK};
use crate::workload::{Attention, Phase, Rounding, Weights};
use crate::{Error, Result};

/// Query heads of one key/value head that a 16-row product serves.
const MAX_GROUP: usize = 16;
/// Bytes of K and V that a warp of the decode kernel takes a step. On an H100, twice as many in half as many stages were
/// 3 to 6 % slower in int8, fp8 and mxfp4.
const TILE_BYTES: usize = 4 << 10;
/// Keys that a step of the decode kernel takes at least and at most.
const TILE_KEYS: (usize, usize) = (16, 64);
/// Stages of a warp's ring at most: more would not read faster.
const MAX_STAGES: usize = 4;
/// Bytes of shared memory that a kernel declares besides the dynamic ones, rounded up.
pub(super) const STATIC_BYTES: usize = 1 << 10;
/// Rows to which the keys of a head are padded in device memory: a multiple of every tile.
pub(super) const PADDING: usize = 64;

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Chip<'a> {
    /// Target of the compiler: `sm_80`, `sm_120a`.
    pub architecture: &'a str,
    /// Number of multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of shared memory that one block can have.
    pub shared_bytes: usize,
}

/// One kernel with its constants, and how it is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Kernel and constants.
    pub build: Build,
    /// The kernel that adds up the splits, where the first does not.
    pub merge: Option<Build>,
    /// Blocks: (splits, key/value heads, or blocks of heads of a latent cache) for decode, (heads, query blocks) for
    /// prefill.
    pub grid: (u32, u32),
    /// Threads a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory a block.
    pub shared_bytes: u32,
    /// Rows from one head's first key to the next one's.
    pub stride: usize,
    /// Keys a page of the cache, where it has pages.
    pub page: Option<usize>,
    /// What the tensor cores multiply; the faster of both formats where the two products differ.
    pub multiplied: Format,
    /// How the weights are rounded between the two products.
    pub weights: Rounding,
    /// Kernel path without chip, as `mma.bf16/decode-int8-32x8`.
    pub path: String,
}

impl Plan {
    /// The plan for `problem` in `format` on `chip`.
    ///
    /// # Errors
    /// [`Error::Input`] when the shape is none or does not suit the format; [`Error::Unavailable`] with the cause when
    /// no kernel computes it.
    pub fn new(problem: &Attention, format: Format, chip: Chip<'_>) -> Result<Self> {
        problem.check(format)?;
        match problem.phase {
            Phase::Decode if problem.latent => latent::plan(problem, format, chip, None),
            Phase::Decode => Self::decode(problem, format, chip, None),
            Phase::Prefill => prefill::plan(problem, format, chip),
        }
    }

    /// [`Plan::new`] for a decode whose cache lies in pages of `page` keys, in any order.
    ///
    /// # Errors
    /// As [`Plan::new`]; [`Error::Unavailable`] also when no kernel reads such pages.
    pub fn paged(problem: &Attention, format: Format, chip: Chip<'_>, page: usize) -> Result<Self> {
        problem.check(format)?;
        if problem.phase != Phase::Decode || !PADDING.is_multiple_of(page) {
            return Err(missing(&format!("{problem} with pages of {page} keys")));
        }
        if problem.latent {
            return latent::plan(problem, format, chip, Some(page));
        }
        Self::decode(problem, format, chip, Some(page))
    }

    /// The plan for a prefill whose operands are stored in `format`, fp8 or mxfp4, expanded exactly to bf16 and multiplied as
    /// such. Weights are rounded to bf16, those of fp8 after their value's scale.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn expanded(problem: &Attention, format: Format, chip: Chip<'_>) -> Result<Self> {
        problem.check(format)?;
        prefill::expanded(problem, format, chip)
    }

    /// Whether [`Plan::expanded`] is worth a metric: a prefill that no kernel of `architecture` multiplies as decode's cache
    /// stores it. In mxfp4 that is every one: where there is a kernel, it takes values that lie transposed.
    pub fn worth_expanding(problem: &Attention, format: Format, architecture: &str) -> bool {
        problem.phase == Phase::Prefill
            && match format {
                Format::Fp8E4m3 => Mma::lacks(architecture, format).is_some(),
                Format::Mxfp4 => true,
                Format::Bf16 | Format::Int8 | Format::Fp8E5m2 => false,
            }
    }

    /// Splits of the keys in decode.
    pub const fn splits(&self) -> usize {
        self.grid.0 as usize
    }

    fn decode(
        problem: &Attention,
        format: Format,
        chip: Chip<'_>,
        page: Option<usize>,
    ) -> Result<Self> {
        let &Attention { heads, kv_heads, keys, qk_dim, v_dim, .. } = problem;
        let code = code(format)?;
        if qk_dim != v_dim || ![64, 128].contains(&qk_dim) {
            return Err(missing(&format!("decode with head dimensions {qk_dim} and {v_dim}")));
        }
        let group = heads / kv_heads;
        if group > MAX_GROUP {
            return Err(missing(&format!("decode of {group} query heads a key/value head")));
        }
        let tile = (TILE_BYTES / (2 * format.row_bytes(qk_dim))).clamp(TILE_KEYS.0, TILE_KEYS.1);
        let Some(tile) = page.map_or(Some(tile), |page| fitting(tile, page)) else {
            return Err(missing(&format!("pages of {} keys", page.unwrap_or(0))));
        };
        let paged = page.map_or_else(String::new, |keys| format!("-page{keys}"));
        let stage = 2 * tile * (format.row_bytes(qk_dim) + scale_bytes(format, qk_dim));
        let room = chip.shared_bytes - STATIC_BYTES;
        // Eight warps hide each other's conversions; four where only their rings fit.
        let warps = if room / (8 * stage) >= 3 { 8 } else { 4 };
        let stages = (room / (warps * stage)).clamp(2, MAX_STAGES);
        let tiles = keys.div_ceil(tile);
        let blocks = (chip.multiprocessors as usize / kv_heads).max(1);
        let splits = blocks.min(tiles.div_ceil(warps));
        let partial = warps * group * (v_dim + 2) + (splits.max(warps) + 1) * group;
        let constants = [
            ("FORMAT", code),
            ("D", qk_dim as u32),
            ("GROUP", group as u32),
            ("TILE", tile as u32),
            ("STAGES", stages as u32),
            ("WARPS", warps as u32),
            ("BLOCKS", 1),
            ("PAGE", page.unwrap_or(0) as u32),
        ];
        Ok(Self {
            build: ATTENTION_DECODE.with(constants),
            merge: None,
            grid: (splits as u32, kv_heads as u32),
            threads: 32 * warps as u32,
            shared_bytes: (warps * stages * stage).max(4 * partial) as u32,
            stride: keys.next_multiple_of(PADDING),
            page,
            multiplied: if keys_as_they_are(format, chip.architecture) {
                format
            } else {
                Format::Bf16
            },
            weights: Weights::Bf16.into(),
            path: format!(
                "mma.bf16/decode-{}{paged}-{tile}x{warps}x{stages}",
                converted(format, chip.architecture)
            ),
        })
    }
}

/// The largest tile of at most `tile` keys that divides a page; `None` when that has fewer keys than a product.
fn fitting(tile: usize, page: usize) -> Option<usize> {
    (TILE_KEYS.0..=tile).rev().step_by(TILE_KEYS.0).find(|keys| page.is_multiple_of(*keys))
}

/// What the kernels of `attention/codes.cuh` call `format`.
///
/// # Errors
/// [`Error::Unavailable`] when they have no name for it.
pub fn code(format: Format) -> Result<u32> {
    match format {
        Format::Bf16 => Ok(0),
        Format::Int8 => Ok(1),
        Format::Fp8E4m3 => Ok(2),
        Format::Mxfp4 => Ok(3),
        Format::Fp8E5m2 => Err(missing("decode from an fp8-e5m2 cache")),
    }
}

/// Bytes of the scales of a row of `columns`.
pub const fn scale_bytes(format: Format, columns: usize) -> usize {
    match format {
        Format::Bf16 => 0,
        Format::Mxfp4 => block_scale_bytes(format, columns),
        _ => size_of::<f32>(),
    }
}

/// Bytes of the scales of the blocks of a row of `columns`.
pub const fn block_scale_bytes(format: Format, columns: usize) -> usize {
    match format {
        Format::Mxfp4 => columns / MX_BLOCK,
        _ => 0,
    }
}

/// Whether decode multiplies the keys as they are stored, as attention_decode_sm80.cu has it.
fn keys_as_they_are(format: Format, architecture: &str) -> bool {
    match format {
        Format::Int8 => true,
        Format::Fp8E4m3 => Mma::lacks(architecture, format).is_none(),
        Format::Bf16 | Format::Mxfp4 | Format::Fp8E5m2 => false,
    }
}

/// What the path of decode says: what becomes of keys and values.
fn converted(format: Format, architecture: &str) -> String {
    match format {
        _ if keys_as_they_are(format, architecture) => format!("{format}-k-as-is-v-to-bf16"),
        Format::Fp8E4m3 if !matches!(architecture, "sm_80" | "sm_86") => {
            format!("{format}-k-to-f16-v-to-bf16")
        }
        _ => from(format),
    }
}

/// What the path says of `format` where all of it becomes bf16.
pub fn from(format: Format) -> String {
    if format == Format::Bf16 { "bf16".into() } else { format!("{format}-to-bf16") }
}

/// The error of a problem without a kernel.
pub fn missing(what: &str) -> Error {
    Error::Unavailable(format!("there is no CUDA kernel for {what} yet"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::LLAMA_3_1_70B;

    const H100: Chip<'_> =
        Chip { architecture: "sm_90a", multiprocessors: 132, shared_bytes: 227 << 10 };
    const ADA: Chip<'_> =
        Chip { architecture: "sm_89", multiprocessors: 142, shared_bytes: 99 << 10 };
    const BLACKWELL: Chip<'_> =
        Chip { architecture: "sm_120a", multiprocessors: 188, shared_bytes: 99 << 10 };

    #[test]
    fn decode_fills_the_chip_and_its_shared_memory() {
        for chip in [H100, ADA] {
            for format in Format::MAIN {
                let plan = Plan::new(&LLAMA_3_1_70B.decode(8192), format, chip).expect("planned");
                assert_eq!(plan.grid, (chip.multiprocessors / 8, 8), "one block a multiprocessor");
                let bytes = plan.shared_bytes as usize + STATIC_BYTES;
                assert!(bytes <= chip.shared_bytes, "{format}: {bytes}");
            }
        }
        // A context of one tile is not split.
        let plan = Plan::new(&LLAMA_3_1_70B.decode(5), Format::Bf16, H100).expect("planned");
        assert_eq!((plan.splits(), plan.stride), (1, 64));
    }

    #[test]
    fn paths_say_what_is_converted() {
        let path = |format| Plan::new(&LLAMA_3_1_70B.decode(8192), format, H100).unwrap().path;
        assert_eq!(path(Format::Bf16), "mma.bf16/decode-bf16-16x8x3");
        assert_eq!(path(Format::Mxfp4), "mma.bf16/decode-mxfp4-to-bf16-32x8x4");
        assert!(path(Format::Int8).contains("/decode-int8-k-as-is-v-to-bf16-"));
        assert!(path(Format::Fp8E4m3).contains("-k-to-f16-v-to-bf16-"));
        let prefill = LLAMA_3_1_70B.prefill(64, 64);
        let expanded = |format| Plan::expanded(&prefill, format, ADA).expect("planned").path;
        assert_eq!(expanded(Format::Mxfp4), "mma.bf16/prefill-mxfp4-to-bf16-256x32");
        assert_eq!(expanded(Format::Fp8E4m3), "mma.bf16/prefill-fp8-to-bf16-128x64");
        let native = Plan::new(&prefill, Format::Fp8E4m3, ADA).expect("planned").path;
        assert_eq!(native, "mma.fp8/prefill-128x64");
        let native = Plan::new(&prefill, Format::Mxfp4, BLACKWELL).expect("planned");
        assert_eq!(native.path, "mma.mxfp4/prefill-v-along-keys-128x128");
        assert_eq!(native.weights, Rounding::Mxfp4);
    }

    #[test]
    fn what_is_missing_is_named() {
        let cause = |problem: Attention, format, chip| match Plan::new(&problem, format, chip) {
            Err(Error::Unavailable(cause)) => cause,
            other => panic!("{other:?}"),
        };
        let prefill = LLAMA_3_1_70B.prefill(64, 64);
        assert!(cause(LLAMA_3_1_70B.decode(64), Format::Fp8E5m2, H100).contains("fp8-e5m2"));
        assert!(cause(prefill, Format::Fp8E4m3, H100).contains("is emulated with f16"));
        assert!(cause(prefill, Format::Mxfp4, ADA).contains("no native mxfp4"));
        let decode = LLAMA_3_1_70B.decode(64);
        for (problem, format) in [(decode, Format::Mxfp4), (prefill, Format::Int8)] {
            let refused = Plan::expanded(&problem, format, ADA);
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
        let long = Attention { keys: (1 << 17) + 1, ..prefill };
        assert!(cause(long, Format::Int8, ADA).contains("131072 keys"));
    }
}
