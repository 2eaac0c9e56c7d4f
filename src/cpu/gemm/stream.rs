//! Few rows: the weights pass by once, from DRAM, and each line is used for all rows as it comes.

use super::{Gemm, Part, Scratch};
use crate::cpu::kernel::{LANES, MAX_PANELS, MAX_ROWS, Merge, STREAMS, Span};
use crate::number::Matrix;

/// Computes `part` of C, which has no more rows than a register tile.
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
    let rows = part.rows.len();
    gemm.factors(part.rows.clone(), a, true, &mut scratch.rows);
    // A line more than the row, so that rows fall into different sets of the cache.
    let stride = kernel.units(k) + LANES;
    scratch.a.resize(rows * stride, 0);
    for (row, units) in part.rows.clone().zip(scratch.a.chunks_exact_mut(stride)) {
        kernel.pack_row(a.row_codes(row), a.row_blocks(row), &mut units[..stride - LANES], true);
    }
    let mut sums = [0u32; MAX_ROWS * MAX_PANELS * LANES];
    let most = if rows == 1 { STREAMS } else { kernel.tile_size().1 };
    let mut panel = part.panels.start;
    while panel < part.panels.end {
        let panels = if part.panels.end - panel >= most { most } else { 1 };
        let b = weights[panel * layout.panel_bytes()..].as_ptr();
        let column = panel * LANES;
        let span = Span {
            count: kernel.stream_count(k),
            a: scratch.a.as_ptr(),
            a_stride: stride,
            b,
            b_stride: layout.panel_bytes(),
            scales: layout.scales_at(0),
            out: sums.as_mut_ptr(),
            out_stride: panels * LANES,
        };
        let scales = gemm.scaled().then(|| {
            (
                scratch.rows.as_ptr(),
                b.wrapping_add(layout.scales_at(0)).cast(),
                layout.panel_bytes(),
            )
        });
        // SAFETY: A holds `rows` rows of units, `b` has `panels` panels, `sums` room for a tile; the part of C is
        // this worker's.
        unsafe {
            kernel.stream(rows, panels, span);
            kernel.merge(Merge {
                sums: kernel.sums(),
                tile: sums.as_ptr(),
                stride: panels * LANES,
                rows,
                columns: (panels * LANES).min(layout.n - column),
                c: c.add(part.rows.start * layout.n + column),
                c_stride: layout.n,
                first: true,
                scales,
            });
        }
        panel += panels;
    }
}
