//! Few rows: the weights pass by once, from DRAM, and each line is used for all rows as it comes.

use super::tiles::{Tiles, factors, pack_stream};
use super::{Gemm, Part, Scratch};
use crate::cpu::kernel::{LANES, MAX_ROWS};
use crate::number::Matrix;

/// Computes `part` of C, which has no more rows than a stream.
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
    let (kernel, layout, k) = (gemm.kernel.as_ref(), gemm.layout, gemm.shape.k);
    let Scratch { a: packed, rows: row_factors, .. } = scratch;
    factors(kernel, a, part.rows.clone(), true, row_factors);
    // A line more than the row, so that rows fall into different sets of the cache.
    let stride = kernel.units(k) + LANES;
    packed.resize((part.rows.len() + MAX_ROWS) * stride, 0);
    pack_stream(kernel, a, part.rows.clone(), stride, packed);
    let panels = &weights[part.panels.start * layout.panel_bytes()..];
    let column = part.panels.start * LANES;
    let scales = &panels[layout.scales_at(0).min(panels.len())..];
    let tiles = Tiles {
        kernel,
        stream: true,
        count: kernel.stream_count(k),
        a: packed,
        a_stride: stride,
        b: panels.as_ptr(),
        b_stride: layout.panel_bytes(),
        b_scales: layout.scales_at(0),
        first: true,
        scales: gemm.scaled().then_some((row_factors, scales.as_ptr(), layout.panel_bytes())),
        c: c.wrapping_add(part.rows.start * layout.n + column),
        c_stride: layout.n,
    };
    let columns = (part.panels.len() * LANES).min(layout.n - column);
    // SAFETY: A and B are packed for these rows and columns; the part of C is this worker's.
    unsafe { tiles.run(part.rows.len(), columns) };
}
