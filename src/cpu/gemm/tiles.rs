//! One block of K: every tile of some rows and panels, multiplied and added to C.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::Layout;
use crate::cpu::kernel::{Kernel, LANES, MAX_PANELS, MAX_ROWS, Merge, RowFactor, STREAMS, Span};

/// A block's product.
pub struct Tiles<'a> {
    /// The kernel.
    pub kernel: &'a dyn Kernel,
    /// Whether `b` is stored weights, expanded on the fly, or what [`Kernel::unpack`] made of them.
    pub stream: bool,
    /// [`Span::count`] of the block.
    pub count: usize,
    /// The first unit of the first row, and units from row to row.
    pub a: &'a [u32],
    /// Units from one row of A to the next.
    pub a_stride: usize,
    /// The first panel's block, and bytes from panel to panel.
    pub b: *const u8,
    /// Bytes from one panel of B to the next.
    pub b_stride: usize,
    /// MX stream: bytes from a panel's block to its scales.
    pub b_scales: usize,
    /// Whether C holds nothing yet.
    pub first: bool,
    /// After the last block: the rows' factors, and the first panel's column scales with the bytes from panel to panel.
    pub scales: Option<(&'a [RowFactor], *const u8, usize)>,
    /// C at the first row and the first panel's first column.
    pub c: *mut f32,
    /// Elements from one row of C to the next.
    pub c_stride: usize,
}

impl Tiles<'_> {
    /// Multiplies `rows` rows by the panels that cover `columns` columns.
    ///
    /// # Safety
    /// A, B, the scales and C must be valid for as many rows and columns, A for [`MAX_ROWS`] more rows.
    pub unsafe fn run(&self, rows: usize, columns: usize) {
        let (tile_rows, most) = match (self.stream, rows) {
            (true, 1) => (1, STREAMS),
            (true, _) => (self.kernel.stream_rows(), 1),
            (false, _) => self.kernel.tile_size(),
        };
        // Tiles of nearly the same height: a short last one would cost as much as a full one.
        let tiles = rows.div_ceil(tile_rows);
        let cut = |tile: usize| rows * tile / tiles;
        let panels = columns.div_ceil(LANES);
        let mut panel = 0;
        while panel < panels {
            let width = if panels - panel >= most { most } else { 1 };
            for tile in 0..tiles {
                // SAFETY: the caller's contract.
                unsafe { self.tile(cut(tile)..cut(tile + 1), panel, width, columns) };
            }
            panel += width;
        }
    }

    /// # Safety
    /// As for [`Self::run`].
    unsafe fn tile(&self, rows: Range<usize>, panel: usize, width: usize, columns: usize) {
        // Not cleared: the kernel writes what is read of it, and clearing would cost a tenth of the tile's time.
        let mut sums = MaybeUninit::<[u32; MAX_ROWS * MAX_PANELS * LANES]>::uninit();
        let sums = sums.as_mut_ptr().cast::<u32>();
        let span = Span {
            count: self.count,
            a: self.a[rows.start * self.a_stride..].as_ptr(),
            a_stride: self.a_stride,
            b: self.b.wrapping_add(panel * self.b_stride),
            b_stride: self.b_stride,
            scales: self.b_scales,
            out: sums,
            out_stride: width * LANES,
        };
        let scales = self.scales.map(|(factors, scales, stride)| {
            (factors[rows.start..].as_ptr(), scales.wrapping_add(panel * stride).cast(), stride)
        });
        // SAFETY: the caller's contract; `sums` has room for a tile.
        unsafe {
            if self.stream {
                self.kernel.stream(rows.len(), width, span);
            } else {
                self.kernel.tile(rows.len(), width, span);
            }
            self.kernel.merge(Merge {
                sums: self.kernel.sums(),
                tile: sums,
                stride: width * LANES,
                rows: rows.len(),
                columns: (width * LANES).min(columns - panel * LANES),
                c: self.c.add(rows.start * self.c_stride + panel * LANES),
                c_stride: self.c_stride,
                first: self.first,
                scales,
            });
        }
    }
}

/// Packs rows of codes, elements `range` of K, into blocks for the tile: one row each `stride` units.
pub fn pack_block(
    kernel: &dyn Kernel,
    a: &crate::number::Matrix,
    rows: Range<usize>,
    range: Range<usize>,
    stride: usize,
    to: &mut [u32],
) {
    let bytes = |k: usize| a.format.row_bytes(k);
    let blocks = |k: usize| k / crate::number::MX_BLOCK;
    for (row, units) in rows.zip(to.chunks_exact_mut(stride)) {
        let codes = &a.row_codes(row)[bytes(range.start)..bytes(range.end)];
        let scales = a.row_blocks(row);
        let scales = scales.get(blocks(range.start)..blocks(range.end)).unwrap_or(&[]);
        kernel.pack_row(codes, scales, &mut units[..kernel.units(range.len())], false);
    }
}

/// Packs whole rows of codes for the stream: one row each `stride` units.
pub fn pack_stream(
    kernel: &dyn Kernel,
    a: &crate::number::Matrix,
    rows: Range<usize>,
    stride: usize,
    to: &mut [u32],
) {
    for (row, units) in rows.zip(to.chunks_exact_mut(stride)) {
        let units = &mut units[..kernel.units(a.columns)];
        kernel.pack_row(a.row_codes(row), a.row_blocks(row), units, true);
    }
}

/// The factors of rows: see [`Kernel::row_factor`].
pub fn factors(
    kernel: &dyn Kernel,
    a: &crate::number::Matrix,
    rows: Range<usize>,
    stream: bool,
    to: &mut Vec<RowFactor>,
) {
    to.clear();
    to.extend(rows.map(|row| kernel.row_factor(a.row_codes(row), a.row_scale(row), stream)));
}

/// Block `block` of `0..k` cut into blocks of `size`.
pub fn block_of(k: usize, size: usize, block: usize) -> Range<usize> {
    block * size..((block + 1) * size).min(k)
}

/// The panels' block of a matrix as the tile takes it: unpacked to `to`, or where it is stored. Gives the first panel's
/// address and the bytes from panel to panel.
pub fn operand(
    kernel: &dyn Kernel,
    layout: &Layout,
    weights: &[u8],
    panels: Range<usize>,
    range: Range<usize>,
    to: &mut [super::Line],
) -> (*const u8, usize) {
    let lines = kernel.unpacked_lines(range.len());
    let stored = |panel: usize| weights[panel * layout.panel_bytes()..].as_ptr();
    if lines == 0 {
        let first = stored(panels.start).wrapping_add(layout.codes_at(range.start));
        return (first, layout.panel_bytes());
    }
    for (panel, to) in panels.zip(to.chunks_exact_mut(lines)) {
        let from = stored(panel);
        let codes = from.wrapping_add(layout.codes_at(range.start));
        let scales = from.wrapping_add(layout.scales_at(range.start));
        // SAFETY: the panel holds `range`; `to` has room for its lines.
        unsafe { kernel.unpack(codes, scales, range.len(), to.as_mut_ptr().cast()) };
    }
    (to.as_ptr().cast(), lines * crate::cpu::kernel::LINE)
}
