//! The kernel that expands weights to bf16, kernels/gemm_dequant_sm80.cu: its tiles, how it is launched.
//!
//! A is bf16, as engines that quantise weights only have it (W8A16, W4A16). Every finite E4M3 code, and every E2M1 code times
//! its block's power of two, is a bf16 number, so that nothing is rounded on the way: the products are those of the
//! stored operands, exact in f32, and the oracle's tolerance allows for their sum alone.

use std::rc::Rc;

use super::blocks::{Blocks, shared_limit};
use super::mma::DECODE_ROWS;
use super::path::{Multiply, Operands, Path};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::kernels::{self, Build};
use crate::number::{Format, MX_BLOCK};
use crate::workload::Gemm;

/// Bytes of codes of a row in a plane: 16 for each of the four threads that share a row.
const PLANE_BYTES: u32 = 64;

/// How a block of threads divides its work: the macros of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DequantTile {
    /// Rows of C a block.
    pub m: u32,
    /// Columns of C a block.
    pub n: u32,
    /// Planes of 64 bytes of codes of each row of B a stage: 1, 2 or 4.
    pub planes: u32,
    /// Stages in shared memory.
    pub stages: u32,
    /// Warps along M and N.
    pub warps: (u32, u32),
}

impl DequantTile {
    /// `m` x `n` with `stages` stages of `planes` planes, by `warps.0` x `warps.1` warps.
    pub const fn new(m: u32, n: u32, planes: u32, stages: u32, warps: (u32, u32)) -> Self {
        Self { m, n, planes, stages, warps }
    }

    /// The kernel with this tile.
    pub fn build(self, format: Format) -> Build {
        kernels::GEMM_DEQUANT.with([
            (kernels::format_macro(format), 1),
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("PLANES", self.planes),
            ("STAGES", self.stages),
            ("WARPS_M", self.warps.0),
            ("WARPS_N", self.warps.1),
        ])
    }

    /// Threads a block.
    pub const fn threads(self) -> u32 {
        32 * self.warps.0 * self.warps.1
    }

    /// Elements along K a stage.
    const fn k(self, format: Format) -> u32 {
        self.planes * PLANE_BYTES * 8 / format.element_bits() as u32
    }

    /// Bytes of shared memory a block: STAGES x STAGE_BYTES of the kernel.
    pub const fn shared_bytes(self, format: Format) -> u32 {
        let scales = match format {
            Format::Mxfp4 => self.k(format) / MX_BLOCK as u32,
            _ => 0,
        };
        let (a, b) = (2 * self.k(format), self.planes * PLANE_BYTES + scales);
        self.stages * (self.m * a + self.n * b)
    }

    /// What a launch needs to know, K in `parts`.
    const fn blocks(self, format: Format, parts: u32) -> Blocks {
        let Self { m, n, .. } = self;
        Blocks { m, n, parts, threads: self.threads(), shared_bytes: self.shared_bytes(format) }
    }
}

/// One tile of the kernel for weights of one format, with K divided among `parts` blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dequant {
    /// The tile.
    pub tile: DequantTile,
    /// Format of B.
    pub format: Format,
    /// Blocks that share a tile of C, each with its part of K.
    pub parts: u32,
}

/// Tiles for many rows: a warp has 64 rows of A for 32 of B, so that what it expands is used often. The fewer warps share
/// rows of B, the less is expanded twice; the last fills a chip with less work.
const LARGE: [DequantTile; 5] = [
    DequantTile::new(64, 256, 1, 2, (1, 8)),
    DequantTile::new(64, 128, 1, 3, (1, 4)),
    DequantTile::new(128, 128, 1, 4, (2, 4)),
    DequantTile::new(128, 128, 1, 2, (2, 4)),
    DequantTile::new(64, 64, 1, 4, (1, 4)),
];

/// Tiles for up to 16 rows and for up to 8, where only the bytes under way matter.
const DECODE: [DequantTile; 6] = [
    DequantTile::new(8, 64, 4, 4, (1, 4)),
    DequantTile::new(8, 64, 2, 6, (1, 4)),
    DequantTile::new(8, 128, 2, 4, (1, 4)),
    DequantTile::new(16, 64, 2, 5, (1, 4)),
    DequantTile::new(16, 128, 2, 3, (1, 4)),
    DequantTile::new(16, 32, 2, 6, (1, 2)),
];

impl Dequant {
    /// Whether the kernel takes weights in `format`.
    pub const fn expands(format: Format) -> bool {
        matches!(format, Format::Fp8E4m3 | Format::Mxfp4)
    }

    /// Tiles worth a try for `problem` on a chip with `multiprocessors`, best guess first.
    ///
    /// # Errors
    /// The cause when the kernel does not take weights in the format.
    pub fn candidates(
        architecture: &str,
        multiprocessors: u32,
        problem: Gemm,
        format: Format,
    ) -> Result<Vec<Self>, String> {
        if !Self::expands(format) {
            return Err(format!("no kernel expands weights in {format}"));
        }
        let rows = problem.m as u32;
        let tiles: &[DequantTile] = if problem.m <= DECODE_ROWS { &DECODE } else { &LARGE };
        let (limit, few) = (shared_limit(architecture), problem.m <= DECODE_ROWS);
        let suits = |tile: &&DequantTile| {
            tile.shared_bytes(format) <= limit && (!few || tile.m == rows.next_multiple_of(8))
        };
        let candidates = tiles.iter().filter(suits).flat_map(|&tile| {
            let most = problem.k.div_ceil(tile.k(format) as usize) as u32 / tile.stages;
            let parts = tile.blocks(format, 1).parts_to_try(problem, most, multiprocessors);
            parts.into_iter().map(move |parts| Self { tile, format, parts })
        });
        Ok(candidates.collect())
    }
}

impl Path for Dequant {
    fn name(&self) -> String {
        let Self { tile, format, parts } = self;
        let DequantTile { m, n, stages, .. } = tile;
        let split = if *parts > 1 { format!("/split{parts}") } else { String::new() };
        format!("mma.bf16/{format}-to-bf16/{m}x{n}x{}s{stages}{split}", tile.k(*format))
    }

    fn prepare(&self, gpu: &Rc<Gpu>, operands: &Operands) -> Result<Box<dyn Multiply>> {
        let blocks = self.tile.blocks(self.format, self.parts);
        blocks.prepare(gpu, self.tile.build(self.format), operands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_has_candidates_that_fit_its_shared_memory() {
        for chip in ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"] {
            for format in [Format::Fp8E4m3, Format::Mxfp4] {
                for m in [1, 8, 9, 16, 17, 4096] {
                    let problem = Gemm::new(m, 2048, 7168);
                    let candidates = Dequant::candidates(chip, 108, problem, format);
                    let candidates = candidates.expect("a kernel");
                    assert!(candidates.len() >= 3, "{chip} {format} {m}");
                    for dequant in candidates {
                        let DequantTile { m: rows, .. } = dequant.tile;
                        assert!(dequant.tile.shared_bytes(format) <= shared_limit(chip));
                        assert!(m > 16 || rows as usize == m.next_multiple_of(8), "{rows} for {m}");
                    }
                }
            }
        }
        assert!(Dequant::candidates("sm_80", 108, Gemm::new(1, 64, 64), Format::Bf16).is_err());
    }

    #[test]
    fn names_tell_what_is_multiplied_and_what_is_stored() {
        let tile = DequantTile::new(64, 256, 1, 2, (1, 8));
        let dequant = Dequant { tile, format: Format::Mxfp4, parts: 1 };
        assert_eq!(dequant.name(), "mma.bf16/mxfp4-to-bf16/64x256x128s2");
        let dequant = Dequant { tile, format: Format::Fp8E4m3, parts: 3 };
        assert_eq!(dequant.name(), "mma.bf16/fp8-to-bf16/64x256x64s2/split3");
    }
}
