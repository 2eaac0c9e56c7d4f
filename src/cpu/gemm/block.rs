//! Many rows: blocks that stay in cache.

use super::{Gemm, Line, Part, Scratch};
use crate::cpu::Caches;
use crate::cpu::kernel::{A_STRIDE, Kernel, LANES, LINE, MAX_PANELS, MAX_ROWS, Merge, Span};
use crate::number::Matrix;

/// Sizes of the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// Elements of K.
    pub k: usize,
    /// Rows of A that are packed together.
    pub rows: usize,
    /// Panels of B that are unpacked together.
    pub panels: usize,
    /// Whether A is packed once for all of K, because all of it stays in cache.
    pub resident: bool,
}

impl Blocking {
    /// For parts of at most `largest` rows and columns.
    ///
    /// K is cut so that a panel's block takes half of a 32 KiB L1 cache ([`crate::cpu::kernel::BLOCK_UNITS`]); a
    /// block of A takes half of L2; unpacked panels take a quarter of this core's share of the last-level cache. When
    /// all of A fits in half of L2 it is packed only once, and then one tile's panels at a time are unpacked, to L1.
    pub fn new(kernel: &dyn Kernel, caches: &Caches, largest: (usize, usize), k: usize) -> Self {
        let (tile_rows, tile_panels) = kernel.tile_size();
        let (rows, columns) = largest;
        let block = kernel.block();
        let row_bytes = A_STRIDE * size_of::<u32>();
        let budget = caches.l2 / 2;
        let resident = rows * k.div_ceil(block) * row_bytes <= budget;
        let panel_bytes = kernel.unpacked_lines(block.min(k)).max(1) * LINE;
        let panels = if resident { tile_panels } else { caches.l3_share / 4 / panel_bytes };
        let whole_tiles = |count: usize, tile: usize| (count / tile * tile).max(tile);
        Self {
            k: block,
            rows: whole_tiles(budget / row_bytes, tile_rows).min(rows.next_multiple_of(tile_rows)),
            panels: whole_tiles(panels, tile_panels).min(columns.div_ceil(LANES)),
            resident,
        }
    }
}

/// Computes `part` of C.
///
/// # Safety
/// As for [`Gemm::multiply`].
pub unsafe fn multiply(
    gemm: &Gemm,
    part: Part,
    a: &Matrix,
    weights: &[u8],
    c: *mut f32,
    scratch: &mut Scratch,
) {
    let (kernel, layout, blocking) = (gemm.kernel.as_ref(), gemm.layout, gemm.blocking);
    let Scratch { a: packed, b: unpacked, rows: factors } = scratch;
    gemm.factors(part.rows.clone(), a, false, factors);
    let k_blocks = layout.k.div_ceil(blocking.k);
    let lines = kernel.unpacked_lines(blocking.k.min(layout.k));
    unpacked.resize(lines * blocking.panels, Line([0; LANES]));
    if blocking.resident {
        packed.resize(k_blocks * part.rows.len() * A_STRIDE, 0);
        for block in 0..k_blocks {
            let to = &mut packed[block * part.rows.len() * A_STRIDE..];
            pack(kernel, a, part.rows.clone(), block_of(blocking, layout.k, block), to);
        }
    } else {
        packed.resize(blocking.rows * A_STRIDE, 0);
    }

    for first_panel in part.panels.clone().step_by(blocking.panels) {
        let panels = first_panel..(first_panel + blocking.panels).min(part.panels.end);
        for block in 0..k_blocks {
            let range = block_of(blocking, layout.k, block);
            let b = Operand::new(gemm, weights, panels.clone(), range.clone(), lines, unpacked);
            for first_row in part.rows.clone().step_by(blocking.rows) {
                let rows = first_row..(first_row + blocking.rows).min(part.rows.end);
                let a_block = if blocking.resident {
                    let first = first_row - part.rows.start;
                    &packed[(block * part.rows.len() + first) * A_STRIDE..]
                } else {
                    pack(kernel, a, rows.clone(), range.clone(), packed);
                    &packed[..]
                };
                let tiles = Tiles {
                    gemm,
                    count: kernel.tile_count(range.len()),
                    first: block == 0,
                    last: block + 1 == k_blocks,
                    weights,
                    c,
                    factors: &factors[first_row - part.rows.start..],
                };
                // SAFETY: the operands cover `rows`, `panels` and the block of K; the part of C is this worker's.
                unsafe { tiles.run(rows, panels.clone(), a_block, &b) };
            }
        }
    }
}

fn block_of(blocking: Blocking, k: usize, block: usize) -> std::ops::Range<usize> {
    block * blocking.k..((block + 1) * blocking.k).min(k)
}

/// Packs `rows` of A, elements `range` of K.
fn pack(
    kernel: &dyn Kernel,
    a: &Matrix,
    rows: std::ops::Range<usize>,
    range: std::ops::Range<usize>,
    to: &mut [u32],
) {
    let bytes = |k: usize| a.format.row_bytes(k);
    let blocks = |k: usize| k / crate::number::MX_BLOCK;
    for (row, units) in rows.zip(to.chunks_exact_mut(A_STRIDE)) {
        let codes = &a.row_codes(row)[bytes(range.start)..bytes(range.end)];
        let scales = a.row_blocks(row);
        let scales = scales.get(blocks(range.start)..blocks(range.end)).unwrap_or(&[]);
        kernel.pack_row(codes, scales, &mut units[..kernel.units(range.len())], false);
    }
}

/// A block of B as the tile kernel takes it.
struct Operand {
    start: *const u8,
    stride: usize,
    first_panel: usize,
}

impl Operand {
    fn new(
        gemm: &Gemm,
        weights: &[u8],
        panels: std::ops::Range<usize>,
        range: std::ops::Range<usize>,
        lines: usize,
        unpacked: &mut [Line],
    ) -> Self {
        let layout = gemm.layout;
        let stored = |panel: usize| weights[panel * layout.panel_bytes()..].as_ptr();
        let first_panel = panels.start;
        if lines == 0 {
            let start = stored(first_panel).wrapping_add(layout.codes_at(range.start));
            return Self { start, stride: layout.panel_bytes(), first_panel };
        }
        for (panel, to) in panels.zip(unpacked.chunks_exact_mut(lines)) {
            let from = stored(panel);
            let codes = from.wrapping_add(layout.codes_at(range.start));
            let scales = from.wrapping_add(layout.scales_at(range.start));
            // SAFETY: the panel holds `range`; `to` has room for a block.
            unsafe { gemm.kernel.unpack(codes, scales, range.len(), to.as_mut_ptr().cast()) };
        }
        Self { start: unpacked.as_ptr().cast(), stride: lines * LINE, first_panel }
    }
}

/// The tiles of one block.
struct Tiles<'a> {
    gemm: &'a Gemm,
    count: usize,
    first: bool,
    last: bool,
    weights: &'a [u8],
    c: *mut f32,
    factors: &'a [crate::cpu::kernel::RowFactor],
}

impl Tiles<'_> {
    /// # Safety
    /// `a` holds packed `rows`, `b` `panels`; C is valid for both.
    unsafe fn run(
        &self,
        rows: std::ops::Range<usize>,
        panels: std::ops::Range<usize>,
        a: &[u32],
        b: &Operand,
    ) {
        let (kernel, layout) = (self.gemm.kernel.as_ref(), self.gemm.layout);
        let (tile_rows, tile_panels) = kernel.tile_size();
        // Tiles of nearly the same height: a short last one would cost as much as a full one.
        let tiles = rows.len().div_ceil(tile_rows);
        let mut sums = [0u32; MAX_ROWS * MAX_PANELS * LANES];
        let mut panel = panels.start;
        while panel < panels.end {
            let width = if panels.end - panel >= tile_panels { tile_panels } else { 1 };
            let column = panel * LANES;
            let stored = self.weights[panel * layout.panel_bytes()..].as_ptr();
            for tile in 0..tiles {
                let (top, end) = (rows.len() * tile / tiles, rows.len() * (tile + 1) / tiles);
                let span = Span {
                    count: self.count,
                    a: a[top * A_STRIDE..].as_ptr(),
                    a_stride: A_STRIDE,
                    b: b.start.wrapping_add((panel - b.first_panel) * b.stride),
                    b_stride: b.stride,
                    scales: 0,
                    out: sums.as_mut_ptr(),
                    out_stride: width * LANES,
                };
                let scales = (self.last && self.gemm.scaled()).then(|| {
                    let columns = stored.wrapping_add(layout.scales_at(0)).cast();
                    (self.factors[top..].as_ptr(), columns, layout.panel_bytes())
                });
                // SAFETY: the caller's contract; `sums` has room for a tile.
                unsafe {
                    kernel.tile(end - top, width, span);
                    kernel.merge(Merge {
                        sums: kernel.sums(),
                        tile: sums.as_ptr(),
                        stride: width * LANES,
                        rows: end - top,
                        columns: (width * LANES).min(layout.n - column),
                        c: self.c.add((rows.start + top) * layout.n + column),
                        c_stride: layout.n,
                        first: self.first,
                        scales,
                    });
                }
            }
            panel += width;
        }
    }
}
