//! `C[M,N] = A[M,K] B[N,K]^T` on all cores.
//!
//! Weights are packed once ([`pack`]); activations are packed inside the timed call. C is cut into parts ([`grid`]), and
//! a worker computes a part alone: no worker waits for another. Small products have one part a worker; large ones a few,
//! which are taken as workers become free, since CPUs that others use too are not equally fast. Within a part the loops are those of
//! Goto and van de Geijn (Anatomy of High-Performance Matrix Multiplication, 2008):
//!
//! ```text
//! for panels of B that fit in its share of the last-level cache
//!   for a block of K                      unpack B[panels, block] for the dot instruction
//!     for rows of A that fit in L2        pack A[rows, block]
//!       for panels, for rows of a tile    tile kernel; add its sums to C
//! ```
//!
//! With few rows, nothing of B is used twice: the stream kernel then reads the stored bits straight from DRAM ([`stream`]).

mod block;
mod grid;
mod pack;
mod stream;
pub(in crate::cpu) mod tiles;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::kernel::{Kernel, LANES, RowFactor, kernel};
use super::{Caches, Isa};
use crate::number::{Format, Matrix};
use crate::workload;
use crate::{Error, Result};

pub use block::Blocking;
pub use grid::{Grid, Part};
pub use pack::Layout;

/// A product of one shape and format, planned for an instruction set, the caches, and a number of workers.
pub struct Gemm {
    shape: workload::Gemm,
    layout: Layout,
    kernel: Box<dyn Kernel>,
    grid: Grid,
    parts: usize,
    shared: bool,
    blocking: Blocking,
}

/// Most parts a worker.
const SHARES: usize = 4;

/// Fewest elements of C of a part where there are several a worker: smaller ones would be packed for too often.
const LEAST_SHARE: usize = 128 * 256;

/// One worker's buffers: they belong to the worker that touches them first.
#[derive(Default)]
pub struct Scratch {
    /// Packed A.
    a: Vec<u32>,
    /// Unpacked B.
    b: Vec<Line>,
    rows: Vec<RowFactor>,
}

/// Sixteen units, on a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(in crate::cpu) struct Line(#[expect(dead_code, reason = "read through pointers")] [u32; LANES]);

impl Line {
    /// Zeros.
    pub(in crate::cpu) const ZERO: Self = Self([0; LANES]);
}

impl Line {
    /// The lines as arrays.
    pub(in crate::cpu) fn arrays(lines: &[Self]) -> &[[u32; LANES]] {
        // SAFETY: a line is its array, 64-byte aligned and 64 bytes long.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len()) }
    }

    /// The lines as arrays, for writing.
    pub(in crate::cpu) fn arrays_mut(lines: &mut [Self]) -> &mut [[u32; LANES]] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len()) }
    }
}

impl Gemm {
    /// Plans a product.
    ///
    /// # Errors
    /// When the shape can't be computed in `format`, or this CPU lacks the instructions.
    pub fn new(
        shape: workload::Gemm,
        format: Format,
        isa: Isa,
        caches: &Caches,
        workers: usize,
    ) -> Result<Self> {
        let workload::Gemm { m, n, k } = shape;
        shape.check(format)?;
        let kernel = kernel(isa, format)
            .ok_or_else(|| Error::Unavailable(format!("this CPU lacks {isa}")))?;
        let workers = workers.max(1);
        let shares = (m * n / (workers * LEAST_SHARE)).clamp(1, SHARES);
        let parts = workers * shares;
        let grid = Grid::new(m, n, parts, kernel.tile_size().0);
        let blocking = Blocking::new(kernel.as_ref(), caches, grid.largest(), k);
        let layout = Layout { format, n, k };
        Ok(Self { shape, layout, kernel, grid, parts, shared: shares > 1, blocking })
    }

    /// Where the weights are to be packed.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The parts of C that worker `index` of `workers` computes, if every worker is equally fast.
    pub fn parts(&self, index: usize, workers: usize) -> impl Iterator<Item = Part> {
        (index..self.parts).step_by(workers).filter_map(|part| self.grid.part(part))
    }

    /// Computes worker `index`'s parts of `c`; `next` counts the parts taken, and starts at zero.
    ///
    /// # Safety
    /// `c` must be valid for `M x N` f32, and nobody but the workers may access it meanwhile; each worker index is used
    /// once.
    ///
    /// # Panics
    /// When `a` or `weights` has another format or size than planned.
    pub unsafe fn multiply(
        &self,
        index: usize,
        next: &AtomicUsize,
        (a, weights): (&Matrix, &[u8]),
        c: *mut f32,
        scratch: &mut Scratch,
    ) {
        let mut part = if self.shared { next.fetch_add(1, Ordering::Relaxed) } else { index };
        while part < self.parts {
            // SAFETY: the caller's contract; no other worker has this part.
            unsafe { self.multiply_part(part, a, weights, c, scratch) };
            part = if self.shared { next.fetch_add(1, Ordering::Relaxed) } else { self.parts };
        }
        self.kernel.release();
    }

    /// Name of the code that multiplies.
    pub fn path(&self) -> &'static str {
        let rows = self.grid.largest().0;
        if self.kernel.streams(rows) { self.kernel.stream_path() } else { self.kernel.path() }
    }

    /// Computes part `index` of `c`.
    ///
    /// # Safety
    /// `c` must be valid for `M x N` f32, and no other thread may access this part of it meanwhile.
    unsafe fn multiply_part(
        &self,
        index: usize,
        a: &Matrix,
        weights: &[u8],
        c: *mut f32,
        scratch: &mut Scratch,
    ) {
        let workload::Gemm { m, k, .. } = self.shape;
        assert_eq!((a.format, a.rows, a.columns), (self.layout.format, m, k), "A as planned");
        assert_eq!(weights.len(), self.layout.bytes(), "weights as planned");
        assert_eq!(weights.as_ptr().align_offset(size_of::<f32>()), 0, "weights hold f32 scales");
        let Some(part) = self.grid.part(index) else { return };
        let rows = part.rows.len();
        // SAFETY: `part` lies within C, and is this worker's alone.
        unsafe {
            if self.kernel.streams(rows) {
                stream::multiply(self, part, a, weights, c, scratch);
            } else {
                block::multiply(self, part, a, weights, c, scratch);
            }
        }
    }

    /// Whether sums are to be multiplied by scales at the end.
    fn scaled(&self) -> bool {
        self.layout.format.has_row_scale()
    }
}

#[cfg(test)]
mod tests;
