//! The kernels' loops, written once over [`Target`].
//!
//! A kernel multiplies a few rows of A by a few panels of B, walking down K:
//!
//! ```text
//! for each line of B (16 columns x a few k):
//!     expand it to what the dot instruction takes     (Source)
//!     for each row: sum[row] += splat(A[row][k]) . line (Dot)
//! ```
//!
//! A is held in **units** of four bytes, one unit what one dot instruction takes of a row: one f32, two bf16 or i16,
//! four i8. The same loop serves two purposes. As the *tile* it runs over lines that were expanded before into a
//! buffer in cache, since there each is used by many rows. As the *stream* it expands the stored lines on the fly,
//! since with few rows each is used once and comes from DRAM.

use std::marker::PhantomData;

use super::A_STRIDE;
use super::target::{Bf16Dot, Job, LANES, LINE, QuadDot, Target};

/// Panels that a stream of one row reads side by side: enough independent sums to hide the latency of the additions,
/// and enough open DRAM pages and prefetch streams to keep the memory busy.
pub const STREAMS: usize = 4;

/// Bytes that a stream asks for ahead of its use, a panel: at 20 GB/s a core and 100 ns, 2000 bytes are on their way.
const AHEAD: usize = 1024;

/// What a kernel runs over.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Lines of B, or MX blocks.
    pub count: usize,
    /// First unit of the first row of A.
    pub a: *const u32,
    /// Units from one row of A to the next: [`A_STRIDE`] in the tile.
    pub a_stride: usize,
    /// First line of the first panel of B.
    pub b: *const u8,
    /// Bytes from one panel of B to the next.
    pub b_stride: usize,
    /// MX stream only: bytes from `b` to the panel's first block scale.
    pub scales: usize,
    /// Where the sums go: rows of `panels x 16` values.
    pub out: *mut u32,
    /// Values from one row of `out` to the next.
    pub out_stride: usize,
}

/// A kernel: what it does with `R` rows and `P` panels.
pub trait Body {
    /// Runs over `span`.
    ///
    /// # Safety
    /// As for [`Target`]; every pointer in `span` must be valid for its rows, panels and `count`.
    unsafe fn run<const R: usize, const P: usize>(span: Span);
}

/// A [`Body`] of one size, as a job.
pub struct Compiled<B, const R: usize, const P: usize>(Span, PhantomData<B>);

impl<B, const R: usize, const P: usize> Compiled<B, R, P> {
    /// That runs over `span`.
    pub fn new(span: Span) -> Self {
        Self(span, PhantomData)
    }
}

impl<B: Body, const R: usize, const P: usize> Job for Compiled<B, R, P> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's contract.
        unsafe { B::run::<R, P>(self.0) }
    }
}

/// Most operand lines of one stored line: eight E2M1 a lane.
pub const MAX_LINES: usize = 8;

/// What a line is multiplied with and added up by.
#[allow(clippy::missing_safety_doc, reason = "as for Target")]
pub trait Dot<T: Target> {
    /// A line of operands.
    type Line: Copy;
    /// What one unit of A is multiplied as.
    type Unit: Copy;
    /// A line of sums.
    type Sum: Copy;
    /// Whether a step is a product and an addition of its own, of which the compiler could compute the product once.
    const SPLIT: bool;
    unsafe fn zero() -> Self::Sum;
    unsafe fn load(from: *const u8) -> Self::Line;
    unsafe fn store_line(line: Self::Line, to: *mut u32);
    unsafe fn splat(from: *const u32) -> Self::Unit;
    unsafe fn step(sum: Self::Sum, a: Self::Unit, b: Self::Line) -> Self::Sum;
    unsafe fn store(sum: Self::Sum, to: *mut u32);
    unsafe fn load_sum(from: *const u32) -> Self::Sum;
}

/// How stored lines become operand lines.
#[allow(clippy::missing_safety_doc, reason = "as for Target")]
pub trait Source<T: Target, D: Dot<T>> {
    /// Operand lines of one stored line: at most [`MAX_LINES`].
    const LINES: usize;
    /// Expands the line at `from`; entries from `LINES` on are copies of the first.
    unsafe fn expand(from: *const u8) -> [D::Line; MAX_LINES];
    /// Undoes the power of two by which [`Self::expand`] is off.
    #[inline(always)]
    unsafe fn exact(line: D::Line) -> D::Line {
        line
    }
}

/// The kernel over lines of `S`, summed by `D`: the tile, or when `STREAM` the stream, which prefetches.
pub struct Lines<T, D, S, const STREAM: bool>(PhantomData<(T, D, S)>);

impl<T: Target, D: Dot<T>, S: Source<T, D>, const STREAM: bool> Body for Lines<T, D, S, STREAM> {
    #[inline(always)]
    unsafe fn run<const R: usize, const P: usize>(span: Span) {
        // A constant in the tile: rows are then at fixed distances from one pointer.
        let a_stride = if STREAM { span.a_stride } else { A_STRIDE };
        let span = Span { a_stride, ..span };
        // SAFETY: the caller's contract: `span` covers `count` lines of P panels, R rows of their units.
        unsafe {
            let mut sums = [[D::zero(); P]; R];
            let (mut a, mut b) = (span.a, span.b);
            // Two lines a turn: the loop's own instructions are a tenth of a turn of one.
            for _ in 0..span.count / 2 {
                Self::line(&span, a, b, &mut sums);
                Self::line(&span, a.add(S::LINES), b.add(LINE), &mut sums);
                a = a.add(2 * S::LINES);
                b = b.add(2 * LINE);
            }
            if span.count % 2 == 1 {
                Self::line(&span, a, b, &mut sums);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    D::store(*sum, span.out.add(r * span.out_stride + p * LANES));
                }
            }
        }
    }
}

impl<T: Target, D: Dot<T>, S: Source<T, D>, const STREAM: bool> Lines<T, D, S, STREAM> {
    /// One line of each panel, the first of them at `b`, times the units at `a`.
    ///
    /// # Safety
    /// As for [`Body::run`].
    #[inline(always)]
    unsafe fn line<const R: usize, const P: usize>(
        span: &Span,
        a: *const u32,
        b: *const u8,
        sums: &mut [[D::Sum; P]; R],
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            if R == 1 {
                // Panel by panel: what a line expands to need not be kept while other panels have their turn.
                for (p, sum) in sums[0].iter_mut().enumerate() {
                    let line = b.add(p * span.b_stride);
                    if STREAM {
                        T::prefetch(line.wrapping_add(AHEAD));
                    }
                    let lines = S::expand(line);
                    for (u, &line) in lines.iter().enumerate().take(S::LINES) {
                        *sum = D::step(*sum, D::splat(a.add(u)), line);
                    }
                }
                return;
            }
            let mut lines = [[D::load(b); MAX_LINES]; P];
            for (p, lines) in lines.iter_mut().enumerate() {
                let line = b.add(p * span.b_stride);
                if STREAM {
                    T::prefetch(line.wrapping_add(AHEAD));
                }
                *lines = S::expand(line);
            }
            for u in 0..S::LINES {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = D::splat(a.add(r * span.a_stride + u));
                    for (sum, lines) in sums.iter_mut().zip(&lines) {
                        *sum = D::step(*sum, x, lines[u]);
                    }
                }
            }
        }
    }
}

/// Expands `count` stored lines at `from` into `to`.
pub struct Unpack<T, D, S> {
    pub from: *const u8,
    pub count: usize,
    pub to: *mut u32,
    pub of: PhantomData<(T, D, S)>,
}

impl<T: Target, D: Dot<T>, S: Source<T, D>> Job for Unpack<T, D, S> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's contract: `from` holds `count` lines, `to` room for what they expand to.
        unsafe {
            for i in 0..self.count {
                let from = self.from.add(i * LINE);
                T::prefetch(from.wrapping_add(2 * AHEAD));
                let lines = S::expand(from);
                for (u, &line) in lines.iter().enumerate().take(S::LINES) {
                    let to = self.to.add((i * S::LINES + u) * LANES);
                    D::store_line(S::exact(line), to);
                }
            }
        }
    }
}

/// f32 multiply-add.
pub struct FloatDot;

impl<T: Target> Dot<T> for FloatDot {
    type Line = T::F;
    type Unit = T::F;
    type Sum = T::F;
    const SPLIT: bool = false;
    #[inline(always)]
    unsafe fn zero() -> T::F {
        // SAFETY: the caller's contract, here and in every function below: see `target`.
        unsafe { T::zero_f() }
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> T::F {
        // SAFETY: as above.
        unsafe { T::load_f(from) }
    }
    #[inline(always)]
    unsafe fn store_line(line: T::F, to: *mut u32) {
        // SAFETY: as above.
        unsafe { T::store_f(line, to) }
    }
    #[inline(always)]
    unsafe fn splat(from: *const u32) -> T::F {
        // SAFETY: as above.
        unsafe { T::splat_f(from) }
    }
    #[inline(always)]
    unsafe fn step(sum: T::F, a: T::F, b: T::F) -> T::F {
        // SAFETY: as above.
        unsafe { T::mul_add(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn store(sum: T::F, to: *mut u32) {
        // SAFETY: as above.
        unsafe { T::store_f(sum, to) }
    }
    #[inline(always)]
    unsafe fn load_sum(from: *const u32) -> T::F {
        // SAFETY: as above.
        unsafe { T::load_f(from.cast()) }
    }
}

/// The dots whose operands are lines of bytes; they differ in the sum and the step.
macro_rules! byte_dot {
    ($(#[$doc:meta])* $name:ident: $target:ident, $sum:ident, $zero:ident, $load:ident, $store:ident, $split:literal,
     |$s:ident, $a:ident, $b:ident| $step:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl<T: $target> $crate::cpu::kernel::run::Dot<T> for $name {
            type Line = T::I;
            type Unit = T::U;
            type Sum = T::$sum;
            const SPLIT: bool = $split;
            #[inline(always)]
            unsafe fn zero() -> T::$sum {
                // SAFETY: the caller's contract, here and in every function below: see `target`.
                unsafe { T::$zero() }
            }
            #[inline(always)]
            unsafe fn load(from: *const u8) -> T::I {
                // SAFETY: as above.
                unsafe { T::load_i(from) }
            }
            #[inline(always)]
            unsafe fn store_line(line: T::I, to: *mut u32) {
                // SAFETY: as above.
                unsafe { T::store_i(line, to) }
            }
            #[inline(always)]
            unsafe fn splat(from: *const u32) -> T::U {
                // SAFETY: as above.
                unsafe { T::splat_i(from) }
            }
            #[inline(always)]
            unsafe fn step($s: T::$sum, $a: T::U, $b: T::I) -> T::$sum {
                // SAFETY: as above.
                unsafe { $step }
            }
            #[inline(always)]
            unsafe fn store(sum: T::$sum, to: *mut u32) {
                // SAFETY: as above.
                unsafe { T::$store(sum, to) }
            }
            #[inline(always)]
            unsafe fn load_sum(from: *const u32) -> T::$sum {
                // SAFETY: as above.
                unsafe { T::$load(from.cast()) }
            }
        }
    };
}

#[cfg(target_arch = "aarch64")]
pub(super) use byte_dot;

byte_dot! {
    /// Pairs of i16 into i32.
    Int16Dot: Target, I, zero_i, load_i, store_i, true, |sum, a, b| T::madd_i16(sum, a, b)
}
byte_dot! {
    /// Four bytes into i32: unsigned weights, signed activations.
    QuadDots: QuadDot, I, zero_i, load_i, store_i, false, |sum, a, b| T::dot_quad(sum, b, a)
}
byte_dot! {
    /// Pairs of bf16 into f32.
    Bf16Dots: Bf16Dot, F, zero_f, load_f, store_f, false, |sum, a, b| T::dot_bf16(sum, a, b)
}
byte_dot! {
    /// Four bytes into the sums of an MX block, 16 or 32 bits wide.
    MxDot: Target, I, zero_i, load_i, store_i, true, |sum, a, b| T::mx_step(sum, b, a)
}
