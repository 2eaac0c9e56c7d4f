//! The kernel on `mma.sync`, kernels/gemm_mma_sm80.cu: its tiles, where it exists, how it is launched.

use std::rc::Rc;

use super::blocks::{Blocks, capability, shared_limit};
use super::numbers::Numbers;
use super::path::{Multiply, Operands, Path};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::kernels::{self, Build};
use crate::number::{BlockFormat, Format};
use crate::workload::Gemm;

/// How a block of threads divides its work: the macros of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows of C a block.
    pub m: u32,
    /// Columns of C a block.
    pub n: u32,
    /// Bytes of each row a stage: 64, 128 or 256.
    pub row_bytes: u32,
    /// Stages in shared memory.
    pub stages: u32,
    /// Warps along M and N.
    pub warps: (u32, u32),
}

impl Tile {
    /// `m` x `n` with `stages` stages of `row_bytes` of each row, by `warps.0` x `warps.1` warps.
    pub const fn new(m: u32, n: u32, row_bytes: u32, stages: u32, warps: (u32, u32)) -> Self {
        Self { m, n, row_bytes, stages, warps }
    }

    /// The kernel with this tile.
    pub fn build(self, numbers: impl Into<Numbers>) -> Build {
        let name = match numbers.into() {
            Numbers::Plain(format) => kernels::format_macro(format),
            Numbers::Blocked(BlockFormat::Mxfp8) => "MXFP8",
            Numbers::Blocked(BlockFormat::Nvfp4) => "NVFP4",
        };
        kernels::GEMM_MMA.with([
            (name, 1),
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("ROW_BYTES", self.row_bytes),
            ("STAGES", self.stages),
            ("WARPS_M", self.warps.0),
            ("WARPS_N", self.warps.1),
        ])
    }

    /// Threads a block.
    pub const fn threads(self) -> u32 {
        32 * self.warps.0 * self.warps.1
    }

    /// Bytes of shared memory a block: STAGES x STAGE_BYTES of the kernel.
    pub fn shared_bytes(self, numbers: impl Into<Numbers>) -> u32 {
        // The scales of A are those of 32 rows at least.
        let scale_bytes = self.scale_bytes(numbers.into());
        let scale_rows = if self.m < 32 { 32 } else { self.m } + self.n;
        self.stages * ((self.m + self.n) * self.row_bytes + scale_rows * scale_bytes)
    }

    /// Bytes of the scales of one row a stage.
    fn scale_bytes(self, numbers: Numbers) -> u32 {
        let block_bytes = numbers.block().map(|block| numbers.row_bytes(block) as u32);
        block_bytes.map_or(0, |bytes| self.row_bytes / bytes)
    }

    /// Whether the kernel can be built with this tile for `numbers` within its registers: what it asserts, and that a
    /// warp's 64 x 64 sums leave none for block scales.
    pub fn suits(self, numbers: impl Into<Numbers>) -> bool {
        let (warp_m, warp_n) = (self.m / self.warps.0, self.n / self.warps.1);
        let rows_at_once = self.threads() / (self.row_bytes / 16);
        let plain = rows_at_once.is_multiple_of(8)
            && warp_m.is_multiple_of(16)
            && warp_n.is_multiple_of(16);
        let numbers = numbers.into();
        // Scales lie in words of four.
        let words = self.scale_bytes(numbers).is_multiple_of(4);
        let scales = words
            && warp_n.is_multiple_of(32)
            && (warp_m.is_multiple_of(32) || self.m == 16)
            && warp_m * warp_n < 4096;
        plain && (scales || numbers.block().is_none())
    }

    /// Stages that cover K.
    const fn depth(self, problem: Gemm, numbers: Numbers) -> u32 {
        numbers.row_bytes(problem.k).div_ceil(self.row_bytes as usize) as u32
    }

    /// What a launch needs to know, K in `parts`.
    fn blocks(self, numbers: Numbers, parts: u32) -> Blocks {
        let Self { m, n, .. } = self;
        Blocks { m, n, parts, threads: self.threads(), shared_bytes: self.shared_bytes(numbers) }
    }
}

/// One tile of the kernel for one format, with K divided among `parts` blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mma {
    /// The tile.
    pub tile: Tile,
    /// Format of A and B.
    pub format: Numbers,
    /// Blocks that share a tile of C, each with its part of K.
    pub parts: u32,
}

/// Tiles for many rows, with what they suit.
///
/// A block of 128 x 256 reads the fewest bytes a product that registers allow; 128 x 128 leaves room for two blocks a
/// multiprocessor, so that one computes while the other writes C, and suits the 99 KiB of shared memory of Ada and of
/// Blackwell's workstation chips; the smaller ones fill a chip with less work.
const LARGE: [Tile; 7] = [
    Tile::new(128, 256, 128, 3, (2, 4)),
    Tile::new(256, 128, 128, 4, (4, 2)),
    Tile::new(128, 128, 128, 3, (2, 2)),
    Tile::new(128, 128, 128, 2, (4, 2)),
    Tile::new(128, 128, 64, 4, (2, 2)),
    Tile::new(64, 128, 128, 3, (2, 2)),
    Tile::new(64, 64, 128, 4, (2, 2)),
];

/// Tiles for up to 16 rows, where only the bytes under way matter: 16 rows of A, and B in as long rows as fit.
const DECODE: [Tile; 6] = [
    Tile::new(16, 64, 256, 6, (1, 4)),
    Tile::new(16, 64, 256, 4, (1, 4)),
    Tile::new(16, 128, 256, 4, (1, 4)),
    Tile::new(16, 128, 128, 5, (1, 4)),
    Tile::new(16, 64, 128, 6, (1, 2)),
    Tile::new(16, 32, 128, 6, (1, 2)),
];

/// Rows of C up to which [`DECODE`] is used.
pub(super) const DECODE_ROWS: usize = 16;

impl Mma {
    /// Why `architecture` has no such instruction for `numbers`, or `None` when it does.
    pub fn lacks(architecture: &str, numbers: impl Into<Numbers>) -> Option<String> {
        let capability = capability(architecture);
        let numbers = numbers.into();
        let format = match numbers {
            Numbers::Plain(format) => format,
            Numbers::Blocked(BlockFormat::Nvfp4) => return Some("no kernel for nvfp4".into()),
            // Both came with the same generation.
            Numbers::Blocked(BlockFormat::Mxfp8) => Format::Mxfp4,
        };
        match format {
            Format::Bf16 | Format::Int8 => None,
            Format::Fp8E4m3 if capability < 89 => {
                Some(format!("no native fp8 tensor instruction on {architecture}"))
            }
            // The assembler makes F2FP and HMMA of it, for 10.0 too, whose own unit is tcgen05's.
            Format::Fp8E4m3 if (90..120).contains(&capability) => {
                Some(format!("mma.sync e4m3 on {architecture} is emulated with f16"))
            }
            Format::Fp8E4m3 => None,
            Format::Fp8E5m2 => Some("no kernel for fp8-e5m2".into()),
            Format::Mxfp4 if capability < 100 => {
                Some(format!("no native {numbers} tensor instruction on {architecture}"))
            }
            Format::Mxfp4 if capability < 120 => Some(format!(
                "{architecture} multiplies {numbers} by tcgen05 only, for which there is no kernel yet"
            )),
            Format::Mxfp4 => None,
        }
    }

    /// Tiles worth a try for `problem` on a chip with `multiprocessors`, best guess first.
    ///
    /// # Errors
    /// The cause when the chip has no instruction for the format.
    pub fn candidates(
        architecture: &str,
        multiprocessors: u32,
        problem: Gemm,
        format: impl Into<Numbers>,
    ) -> Result<Vec<Self>, String> {
        let format = format.into();
        if let Some(cause) = Self::lacks(architecture, format) {
            return Err(cause);
        }
        let tiles: &[Tile] = if problem.m <= DECODE_ROWS { &DECODE } else { &LARGE };
        let limit = shared_limit(architecture);
        let fitting =
            tiles.iter().filter(|tile| tile.suits(format) && tile.shared_bytes(format) <= limit);
        let candidates = fitting.flat_map(|&tile| {
            let most = tile.depth(problem, format) / tile.stages;
            let parts = tile.blocks(format, 1).parts_to_try(problem, most, multiprocessors);
            parts.into_iter().map(move |parts| Self { tile, format, parts })
        });
        Ok(candidates.collect())
    }
}

impl Path for Mma {
    fn name(&self) -> String {
        let Self { tile: Tile { m, n, row_bytes, stages, .. }, format, parts } = self;
        let k = *row_bytes as usize * 8 / format.element_bits();
        let split = if *parts > 1 { format!("/split{parts}") } else { String::new() };
        format!("mma.{format}/{m}x{n}x{k}s{stages}{split}")
    }

    fn prepare(&self, gpu: &Rc<Gpu>, operands: &Operands) -> Result<Box<dyn Multiply>> {
        self.tile.blocks(self.format, self.parts).prepare(
            gpu,
            self.tile.build(self.format),
            operands,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURES: [&str; 6] = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];

    #[test]
    fn formats_are_where_chips_have_units_for_them() {
        let has = |format| ARCHITECTURES.map(|chip| Mma::lacks(chip, format).is_none());
        assert_eq!(has(Format::Bf16), [true; 6]);
        assert_eq!(has(Format::Int8), [true; 6]);
        assert_eq!(has(Format::Fp8E4m3), [false, false, true, false, false, true]);
        assert_eq!(has(Format::Mxfp4), [false, false, false, false, false, true]);
        let mxfp8 = |chip| Mma::lacks(chip, Numbers::MXFP8);
        assert_eq!(mxfp8("sm_120a"), None);
        let cause = mxfp8("sm_89").expect("Ada has none");
        assert_eq!(cause, "no native mxfp8 tensor instruction on sm_89");
    }

    #[test]
    fn every_chip_has_candidates_that_fit_and_fill_it() {
        for chip in ARCHITECTURES {
            let formats = Format::MAIN.map(Numbers::from).into_iter().chain([Numbers::MXFP8]);
            for format in formats {
                for m in [1, 16, 17, 4096] {
                    let problem = Gemm::new(m, 2048, 7168);
                    let Ok(candidates) = Mma::candidates(chip, 132, problem, format) else {
                        assert!(Mma::lacks(chip, format).is_some());
                        continue;
                    };
                    assert!(candidates.len() >= 2, "{chip} {format} {m}");
                    for mma in candidates {
                        assert!(mma.tile.shared_bytes(format) < 99 << 10 || !chip.contains("120"));
                        assert!(mma.parts >= 1 && mma.parts <= mma.tile.depth(problem, format));
                    }
                }
            }
        }
    }

    #[test]
    fn names_tell_kernel_format_tile_and_split() {
        let tile = Tile::new(128, 256, 128, 4, (2, 4));
        let mma = Mma { tile, format: Format::Bf16.into(), parts: 1 };
        assert_eq!(mma.name(), "mma.bf16/128x256x64s4");
        let mma = Mma { tile, format: Format::Mxfp4.into(), parts: 3 };
        assert_eq!(mma.name(), "mma.mxfp4/128x256x256s4/split3");
    }
}
