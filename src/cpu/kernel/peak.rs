//! The most that a dot instruction can do: sums and operands that never leave registers and L1.
//!
//! The loop is the tile kernel's, on operands that stay: `R x P` independent sums hide the latency, and every step is
//! really done, because an opaque pointer makes the compiler read the operands again in each turn. The sums are exact
//! in every format, so that the result tells how many steps were done.

use std::hint::black_box;
use std::marker::PhantomData;

use super::run::{Body, Dot, Span};
use super::target::{LANES, LINE, Target};

/// Steps of each sum in one turn.
pub const STEPS: usize = 2;

/// `count` turns of two steps: the units `a[row][0]`, then `a[row][1]`, times the line at `b` plus `panel` lines.
pub struct Peak<T, D>(PhantomData<(T, D)>);

impl<T: Target, D: Dot<T>> Body for Peak<T, D> {
    #[inline(always)]
    unsafe fn run<const R: usize, const P: usize>(span: Span) {
        // SAFETY: the caller's contract: two units a row, a line a panel, room for the sums.
        unsafe {
            let mut sums = [[D::zero(); P]; R];
            for _ in 0..span.count {
                let span = black_box(&span);
                let mut lines = [D::load(span.b); P];
                for (p, line) in lines.iter_mut().enumerate() {
                    *line = D::load(span.b.add(p * LINE));
                }
                for step in 0..STEPS {
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = D::splat(span.a.add(r * span.a_stride + step));
                        for (sum, &line) in sums.iter_mut().zip(&lines) {
                            *sum = D::step(*sum, x, line);
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    D::store(*sum, span.out.add(r * span.out_stride + p * LANES));
                }
            }
        }
    }
}
