//! From raw sums to C: accumulating over the blocks of K, then scales.
//!
//! Integer kernels add up in i32, also across blocks of K: until the last block C holds the bits of the i32 sums.

use super::target::{Job, LANES};

/// What a row of A contributes besides its units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowFactor {
    /// The row's scale; NaN when the row holds a code that is not finite.
    pub scale: f32,
    /// Integer kernels: added to the row's sums, since weights are stored with 128 added.
    pub offset: i32,
}

/// How sums are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// f32.
    Float,
    /// i32.
    Integer,
}

/// Adds a tile of sums to C.
#[derive(Debug, Clone, Copy)]
pub struct Merge {
    /// How they are added.
    pub sums: Sums,
    /// The tile: rows of `stride` sums.
    pub tile: *const u32,
    /// Sums from one row of the tile to the next.
    pub stride: usize,
    /// Rows of the tile that C has.
    pub rows: usize,
    /// Columns of the tile that C has.
    pub columns: usize,
    /// C at the tile's first element.
    pub c: *mut f32,
    /// Elements from one row of C to the next.
    pub c_stride: usize,
    /// Whether this is the first block of K: C holds nothing yet.
    pub first: bool,
    /// After the last block of K: the factors of the rows, and the scales of the columns, `scale_stride` bytes from
    /// one panel's 16 to the next. None when the format has no such scales, or K goes on.
    pub scales: Option<(*const RowFactor, *const f32, usize)>,
}

impl Job for Merge {
    #[inline(always)]
    unsafe fn run(self) {
        for column in (0..self.columns).step_by(LANES) {
            let width = (self.columns - column).min(LANES);
            for row in 0..self.rows {
                // SAFETY: the caller's contract: tile, C, and scales cover `rows` and `columns`.
                unsafe {
                    let sums = self.tile.add(row * self.stride + column).cast::<[u32; LANES]>();
                    let sums = sums.read_unaligned();
                    let c = self.c.add(row * self.c_stride + column);
                    let scales = self.scales.map(|(rows, columns, stride)| {
                        let panel = columns.byte_add(column / LANES * stride);
                        (*rows.add(row), panel.cast::<[f32; LANES]>().read_unaligned())
                    });
                    if width == LANES {
                        let c = c.cast::<[f32; LANES]>();
                        let old = if self.first { [0.0; LANES] } else { c.read_unaligned() };
                        c.write_unaligned(merge(self.sums, self.first, sums, old, scales));
                    } else {
                        let mut old = [0.0; LANES];
                        if !self.first {
                            c.copy_to_nonoverlapping(old.as_mut_ptr(), width);
                        }
                        let new = merge(self.sums, self.first, sums, old, scales);
                        new.as_ptr().copy_to_nonoverlapping(c, width);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn merge(
    kind: Sums,
    first: bool,
    sums: [u32; LANES],
    old: [f32; LANES],
    scales: Option<(RowFactor, [f32; LANES])>,
) -> [f32; LANES] {
    let mut new = [0.0; LANES];
    match kind {
        Sums::Float => {
            for i in 0..LANES {
                let sum = f32::from_bits(sums[i]);
                new[i] = if first { sum } else { old[i] + sum };
            }
            if let Some((row, columns)) = scales {
                for i in 0..LANES {
                    new[i] = new[i] * row.scale * columns[i];
                }
            }
        }
        Sums::Integer => {
            let mut total = [0u32; LANES];
            for i in 0..LANES {
                total[i] = old[i].to_bits().wrapping_add(sums[i]);
            }
            if let Some((row, columns)) = scales {
                for i in 0..LANES {
                    let sum = (total[i] as i32).wrapping_add(row.offset);
                    new[i] = sum as f32 * row.scale * columns[i];
                }
            } else {
                new = total.map(f32::from_bits);
            }
        }
    }
    new
}
