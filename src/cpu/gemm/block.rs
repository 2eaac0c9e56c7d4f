//! Many rows: blocks that stay in cache.

use super::tiles::{Tiles, block_of, factors, operand, pack_block};
use super::{Gemm, Line, Part, Scratch};
use crate::cpu::Caches;
use crate::cpu::kernel::{A_STRIDE, Kernel, LANES, LINE, MAX_ROWS};
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
    let Scratch { a: packed, b: unpacked, rows: row_factors } = scratch;
    factors(kernel, a, part.rows.clone(), false, row_factors);
    let k_blocks = layout.k.div_ceil(blocking.k);
    let lines = kernel.unpacked_lines(blocking.k.min(layout.k));
    unpacked.resize(lines * blocking.panels, Line::ZERO);
    let rows_packed = if blocking.resident { k_blocks * part.rows.len() } else { blocking.rows };
    packed.resize((rows_packed + MAX_ROWS) * A_STRIDE, 0);
    if blocking.resident {
        for block in 0..k_blocks {
            let to = &mut packed[block * part.rows.len() * A_STRIDE..];
            let range = block_of(layout.k, blocking.k, block);
            pack_block(kernel, a, part.rows.clone(), range, A_STRIDE, to);
        }
    }

    for first_panel in part.panels.clone().step_by(blocking.panels) {
        let panels = first_panel..(first_panel + blocking.panels).min(part.panels.end);
        let column = first_panel * LANES;
        let columns = (panels.len() * LANES).min(layout.n - column);
        for block in 0..k_blocks {
            let range = block_of(layout.k, blocking.k, block);
            let (b, b_stride) =
                operand(kernel, &layout, weights, panels.clone(), range.clone(), unpacked);
            let last = block + 1 == k_blocks;
            let column_scales = weights[first_panel * layout.panel_bytes()..]
                .as_ptr()
                .wrapping_add(layout.scales_at(0));
            for first_row in part.rows.clone().step_by(blocking.rows) {
                let rows = first_row..(first_row + blocking.rows).min(part.rows.end);
                let above = first_row - part.rows.start;
                let a_block = if blocking.resident {
                    &packed[(block * part.rows.len() + above) * A_STRIDE..]
                } else {
                    pack_block(kernel, a, rows.clone(), range.clone(), A_STRIDE, packed);
                    &packed[..]
                };
                let tiles = Tiles {
                    kernel,
                    stream: false,
                    count: kernel.tile_count(range.len()),
                    a: a_block,
                    a_stride: A_STRIDE,
                    b,
                    b_stride,
                    b_scales: 0,
                    first: block == 0,
                    scales: (last && gemm.scaled()).then_some((
                        &row_factors[above..],
                        column_scales,
                        layout.panel_bytes(),
                    )),
                    c: c.wrapping_add(first_row * layout.n + column),
                    c_stride: layout.n,
                };
                // SAFETY: A and B are packed for these rows and columns; the part of C is this worker's.
                unsafe { tiles.run(rows.len(), columns) };
            }
        }
    }
}
