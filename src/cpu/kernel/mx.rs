//! The mxfp4 kernel: integer dot products within a block, one scaled addition a block.
//!
//! Twice an E2M1 value is an integer of at most 12 in magnitude, so the 32 products of a block are summed exactly in
//! integers. The dot instructions take unsigned bytes times signed bytes; the weights are made unsigned by adding 12
//! (free: it is in the table that decodes them), and the sum is put right by starting from `-12 x (sum of the
//! activations of the block)`, which the packed activations bring along. Then
//!
//! ```text
//! sum[row][column] += (integer sum) x 2^(weight scale) x (2^(activation scale) / 4)
//! ```

use std::marker::PhantomData;

use super::A_STRIDE;
use super::run::{Body, Span};
use super::target::{Job, LANES, LINE, Target};

/// Stored lines of a block: 32 elements of 16 columns, half a byte each.
pub const STORED_LINES: usize = 4;

/// Expanded lines of a block: the quads, then the scales as f32.
pub const LINES: usize = QUADS + 1;

/// Units of A of a block: the quads, the correction, the scale.
pub const UNITS: usize = QUADS + 2;

/// Groups of four elements in a block.
pub const QUADS: usize = 8;

/// Added to twice an E2M1 value to make it unsigned.
pub const OFFSET: i32 = 12;

/// Bytes of stored codes that the stream asks for ahead of their use.
const AHEAD: usize = 1024;

/// The kernel over stored blocks (`STREAM`) or expanded ones.
pub struct Blocks<T, const STREAM: bool>(PhantomData<T>);

impl<T: Target, const STREAM: bool> Body for Blocks<T, STREAM> {
    #[inline(always)]
    unsafe fn run<const R: usize, const P: usize>(span: Span) {
        let a_stride = if STREAM { span.a_stride } else { A_STRIDE };
        let span = Span { a_stride, ..span };
        // SAFETY: the caller's contract: `span` covers `count` blocks of P panels, R rows of their units.
        unsafe {
            let mut totals = [[T::zero_f(); P]; R];
            for block in 0..span.count {
                let a = span.a.add(block * UNITS);
                let mut sums = [[T::zero_i(); P]; R];
                for (r, sums) in sums.iter_mut().enumerate() {
                    *sums = [T::mx_start(a.add(r * span.a_stride + QUADS)); P];
                }
                let mut scales = [T::zero_f(); P];
                if STREAM {
                    let b = span.b.add(block * STORED_LINES * LINE);
                    for line in 0..STORED_LINES {
                        let mut low = [T::zero_i(); P];
                        let mut high = [T::zero_i(); P];
                        for p in 0..P {
                            let from = b.add(p * span.b_stride + line * LINE);
                            T::prefetch(from.wrapping_add(AHEAD));
                            let nibbles = T::load_i(from);
                            (low[p], high[p]) = (T::e2m1_low(nibbles), T::e2m1_high(nibbles));
                        }
                        step::<T, R, P>(&mut sums, &low, a.add(2 * line), span.a_stride);
                        step::<T, R, P>(&mut sums, &high, a.add(2 * line + 1), span.a_stride);
                    }
                    for (p, scale) in scales.iter_mut().enumerate() {
                        let codes = span.scales + p * span.b_stride + block * LANES;
                        T::prefetch(span.b.wrapping_add(codes + AHEAD / STORED_LINES));
                        *scale = T::e8m0(span.b.add(codes));
                    }
                } else {
                    let b = span.b.add(block * LINES * LINE);
                    for quad in 0..QUADS {
                        let mut lines = [T::zero_i(); P];
                        for (p, line) in lines.iter_mut().enumerate() {
                            *line = T::load_i(b.add(p * span.b_stride + quad * LINE));
                        }
                        step::<T, R, P>(&mut sums, &lines, a.add(quad), span.a_stride);
                    }
                    for (p, scale) in scales.iter_mut().enumerate() {
                        *scale = T::load_f(b.add(p * span.b_stride + QUADS * LINE));
                    }
                }
                for r in 0..R {
                    let factor = T::splat_f(a.add(r * span.a_stride + QUADS + 1));
                    for p in 0..P {
                        let scaled = T::mul(T::mx_finish(sums[r][p]), factor);
                        totals[r][p] = T::mul_add(scaled, scales[p], totals[r][p]);
                    }
                }
            }
            for (r, totals) in totals.iter().enumerate() {
                for (p, total) in totals.iter().enumerate() {
                    T::store_f(*total, span.out.add(r * span.out_stride + p * LANES));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn step<T: Target, const R: usize, const P: usize>(
    sums: &mut [[T::I; P]; R],
    lines: &[T::I; P],
    a: *const u32,
    a_stride: usize,
) {
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's contract, as for `run`.
        unsafe {
            let x = T::splat_i(a.add(r * a_stride));
            for (sum, &line) in sums.iter_mut().zip(lines) {
                *sum = T::mx_step(*sum, line, x);
            }
        }
    }
}

/// Expands `blocks` stored blocks at `codes`, scales at `scales`, into `to`.
pub struct UnpackBlocks<T> {
    pub codes: *const u8,
    pub scales: *const u8,
    pub blocks: usize,
    pub to: *mut u32,
    pub target: PhantomData<T>,
}

impl<T: Target> Job for UnpackBlocks<T> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's contract: `codes` and `scales` hold `blocks` blocks, `to` room for their lines.
        unsafe {
            for block in 0..self.blocks {
                let to = self.to.add(block * LINES * LANES);
                for line in 0..STORED_LINES {
                    let from = self.codes.add((block * STORED_LINES + line) * LINE);
                    T::prefetch(from.wrapping_add(2 * AHEAD));
                    let nibbles = T::load_i(from);
                    T::store_i(T::e2m1_low(nibbles), to.add(2 * line * LANES));
                    T::store_i(T::e2m1_high(nibbles), to.add((2 * line + 1) * LANES));
                }
                let scale = T::e8m0(self.scales.add(block * LANES));
                T::store_f(scale, to.add(QUADS * LANES));
            }
        }
    }
}
