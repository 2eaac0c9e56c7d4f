//! The most that a dot instruction can do: sums and operands that never leave registers and L1.
//!
//! `R x P` independent sums, as in the tile, hide the latency. The operands are chosen so that the sums are exact, so
//! the result tells how many steps were really done. The compiler can't shorten the work: the sums start from memory,
//! so that no two are known to be equal, and where a product could be computed once and added again and again
//! ([`Dot::SPLIT`]), the operands are read anew in each turn through an opaque pointer.

use std::hint::black_box;
use std::marker::PhantomData;

use super::run::{Body, Dot, Span};
use super::target::{LANES, LINE, Target};

/// Steps of each sum in one turn.
pub const STEPS: usize = 2;

/// `count` turns of two steps: the units `a[row][0]`, then `a[row][1]`, times the lines at `b`. Adds to `out`. All
/// units of a step must be equal, and all lines.
pub struct Peak<T, D>(PhantomData<(T, D)>);

impl<T: Target, D: Dot<T>> Body for Peak<T, D> {
    #[inline(always)]
    unsafe fn run<const R: usize, const P: usize>(span: Span) {
        // SAFETY: the caller's contract: two units a row, a line a panel, room for the sums.
        unsafe {
            let mut sums = [[D::zero(); P]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = D::load_sum(span.out.add(r * span.out_stride + p * LANES));
                }
            }
            let line = D::load(span.b);
            let (even, odd) = (D::splat(span.a), D::splat(span.a.add(1)));
            for _ in 0..span.count {
                if !D::SPLIT {
                    for x in [even, odd] {
                        for sums in &mut sums {
                            for sum in sums {
                                *sum = D::step(*sum, x, line);
                            }
                        }
                    }
                    continue;
                }
                let span = black_box(&span);
                let mut lines = [line; P];
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

/// What a dot instruction multiplies in the peak loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// One f32.
    F32,
    /// Two bf16.
    Bf16,
    /// Two i16.
    Int16,
    /// Four bytes, summed in 32 bits.
    Bytes,
    /// Four bytes, summed in pairs in 16 bits.
    NarrowBytes,
}

impl Operands {
    /// Multiplications and additions a lane and step.
    pub const fn operations(self) -> usize {
        match self {
            Self::F32 => 2,
            Self::Bf16 | Self::Int16 => 4,
            Self::Bytes | Self::NarrowBytes => 8,
        }
    }

    /// The units of the even and the odd steps.
    pub fn units(self) -> [u32; STEPS] {
        match self {
            Self::F32 => [0.75f32, -0.625].map(f32::to_bits),
            Self::Bf16 => [0.75f32, -0.625].map(|x| x.to_bits() >> 16 | x.to_bits() & 0xffff_0000),
            Self::Int16 => [75i16, -62].map(|x| u32::from(x as u16) * 0x1_0001),
            Self::Bytes | Self::NarrowBytes => [7i8, -5].map(|x| u32::from(x as u8) * 0x0101_0101),
        }
    }

    /// Lane `lane` of the line.
    pub fn line(self, lane: usize) -> u32 {
        let value = 1.0 + lane as f32 / 16.0;
        match self {
            Self::F32 => value.to_bits(),
            Self::Bf16 => value.to_bits() >> 16 | value.to_bits() & 0xffff_0000,
            Self::Int16 => (lane as u32 + 3) * 0x1_0001,
            Self::Bytes | Self::NarrowBytes => (lane as u32 + 3) * 0x0101_0101,
        }
    }

    /// Lane `lane` of a sum after `turns` turns from zero. Exact for floating point up to 4096 turns.
    pub fn sum(self, turns: u32, lane: usize) -> u32 {
        let line = lane as u32 + 3;
        let value = 1.0 + lane as f32 / 16.0;
        match self {
            Self::F32 => (0.125 * turns as f32 * value).to_bits(),
            Self::Bf16 => (0.25 * turns as f32 * value).to_bits(),
            Self::Int16 => turns.wrapping_mul(2 * 13 * line),
            Self::Bytes => turns.wrapping_mul(4 * 2 * line),
            Self::NarrowBytes => (turns.wrapping_mul(2 * 2 * line) & 0xffff) * 0x1_0001,
        }
    }
}
