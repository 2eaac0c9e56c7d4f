//! The vector operations that the kernels are written in.
//!
//! Everything moves in **lines** of 64 bytes: a line of weights holds the same few elements of K for the 16 columns of
//! a panel, so lane `j` belongs to column `j` and a sum never crosses lanes. A line is one AVX-512 register, two AVX2
//! registers, or an array in plain Rust; [`Target`] hides which. The kernels (in [`super::run`]) are written once
//! over it, and each instruction set's file says only what the operations are.
//!
//! # Safety
//! Every function of [`Target`] and of the traits below it may use the target's instructions, so it must be inlined
//! into a function that has them: call it only from a [`Job`] given to [`Target::enter`], on a CPU that has the
//! target's instruction set. Pointers must be valid for one line; `load` and `store` need no alignment.

use super::run::{Body, Span};

/// Columns of a panel: lanes of a line of f32 or of four-byte groups.
pub const LANES: usize = 16;

/// Bytes of a line.
pub const LINE: usize = 64;

/// Work to be compiled for a [`Target`].
pub trait Job {
    /// Does it. Implementations are `#[inline(always)]`, or they would not see the target's instructions.
    ///
    /// # Safety
    /// The CPU must have the target's instruction set.
    unsafe fn run(self);
}

/// One instruction set's lines and what can be done with them.
#[allow(clippy::missing_safety_doc, reason = "the module documentation states it once for all")]
pub trait Target: 'static + Send + Sync {
    /// A line of 16 f32.
    type F: Copy;
    /// A line of 64 bytes.
    type I: Copy;
    /// Four bytes of a row of A, for every lane of a line: a line of copies, or a register that is multiplied by element.
    type U: Copy;

    /// Rows of the register tile.
    const ROWS: usize;
    /// Panels (of 16 columns) of the register tile.
    const PANELS: usize;
    /// Most rows of a stream.
    const STREAM_ROWS: usize;
    /// Whether [`Self::mx_step`] sums in 16-bit lanes, so that the correction must fit the lower one.
    const MX_NARROW: bool;

    /// Runs `job` compiled for this instruction set.
    unsafe fn enter(job: impl Job);

    /// Runs `B` compiled for up to ROWS rows by 1 panel or PANELS. Sizes are few, since each is compiled for each `B`:
    /// rows are rounded up, so A and `out` must have room for as many.
    unsafe fn tile<B: Body>(rows: usize, panels: usize, span: Span);

    /// Runs `B` compiled for up to STREAM_ROWS rows by 1 panel, or for one row by [`super::run::STREAMS`]. Rows are
    /// rounded up.
    unsafe fn stream<B: Body>(rows: usize, panels: usize, span: Span);

    /// Runs `B` compiled for ROWS and PANELS.
    unsafe fn peak<B: Body>(span: Span);

    /// Asks for the cache line at `address` early. Never faults.
    unsafe fn prefetch(address: *const u8);

    /// Zeros.
    unsafe fn zero_f() -> Self::F;
    /// Reads 16 f32.
    unsafe fn load_f(from: *const u8) -> Self::F;
    /// Writes 16 f32.
    unsafe fn store_f(value: Self::F, to: *mut u32);
    /// The f32 at `from` in every lane.
    unsafe fn splat_f(from: *const u32) -> Self::F;
    /// `a * b`.
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    unsafe fn mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    /// Zeros.
    unsafe fn zero_i() -> Self::I;
    /// Reads 64 bytes.
    unsafe fn load_i(from: *const u8) -> Self::I;
    /// Writes 64 bytes.
    unsafe fn store_i(value: Self::I, to: *mut u32);
    /// The four bytes at `from`, for every lane.
    unsafe fn splat_i(from: *const u32) -> Self::U;

    /// 32-bit lanes holding two bf16 (first, second): the first as f32.
    unsafe fn bf16_first(pairs: Self::I) -> Self::F;
    /// 32-bit lanes holding two bf16 (first, second): the second as f32.
    unsafe fn bf16_second(pairs: Self::I) -> Self::F;
    /// Byte `BYTE` of each 32-bit lane, E4M3, as f32 times 2^-120.
    unsafe fn e4m3_scaled<const BYTE: i32>(quads: Self::I) -> Self::F;
    /// Byte `BYTE` of each 32-bit lane, E5M2, as f32 times 2^-112.
    unsafe fn e5m2_scaled<const BYTE: i32>(quads: Self::I) -> Self::F;
    /// Byte `BYTE` of each 32-bit lane, unsigned, as f32.
    unsafe fn byte_to_f32<const BYTE: i32>(quads: Self::I) -> Self::F;
    /// 16-bit lanes: the low byte of each, zero-extended.
    unsafe fn low_bytes(pairs: Self::I) -> Self::I;
    /// 16-bit lanes: the high byte of each, zero-extended.
    unsafe fn high_bytes(pairs: Self::I) -> Self::I;
    /// Low nibbles, E2M1, as bytes `2 x value + 12`.
    unsafe fn e2m1_low(nibbles: Self::I) -> Self::I;
    /// High nibbles, E2M1, as bytes `2 x value + 12`.
    unsafe fn e2m1_high(nibbles: Self::I) -> Self::I;
    /// Sixteen E8M0 codes as f32 powers of two; 255 is NaN.
    unsafe fn e8m0(from: *const u8) -> Self::F;

    /// Signed 16-bit lanes multiplied, the two products of each 32-bit lane added to `sum`.
    unsafe fn madd_i16(sum: Self::I, a: Self::U, b: Self::I) -> Self::I;

    /// The start of a sum of [`Self::mx_step`]: the correction in the splat at `from` (see [`super::rows`]).
    unsafe fn mx_start(from: *const u32) -> Self::I;
    /// Unsigned bytes `b` times signed bytes `a`, added to a sum that holds at least 32 products of 24 x 12.
    unsafe fn mx_step(sum: Self::I, b: Self::I, a: Self::U) -> Self::I;
    /// The sum of each 32-bit lane as f32.
    unsafe fn mx_finish(sum: Self::I) -> Self::F;
}

/// Byte dot products of mixed signs.
#[allow(clippy::missing_safety_doc, reason = "the module documentation states it once for all")]
pub trait QuadDot: Target {
    /// Unsigned bytes `b` times signed bytes `a`, the four products of each 32-bit lane added to `sum`.
    unsafe fn dot_quad(sum: Self::I, b: Self::I, a: Self::U) -> Self::I;
}

/// bf16 dot products.
#[allow(clippy::missing_safety_doc, reason = "the module documentation states it once for all")]
pub trait Bf16Dot: Target {
    /// bf16 pairs multiplied, the two products of each 32-bit lane added to `sum`.
    unsafe fn dot_bf16(sum: Self::F, a: Self::U, b: Self::I) -> Self::F;
    /// E4M3 quads as bf16 pairs: (bytes 0, 2) and (bytes 1, 3) of each 32-bit lane.
    unsafe fn e4m3_pairs(quads: Self::I) -> [Self::I; 2];
    /// E5M2 quads as bf16 pairs: (bytes 0, 2) and (bytes 1, 3) of each 32-bit lane.
    unsafe fn e5m2_pairs(quads: Self::I) -> [Self::I; 2];
    /// Bytes minus 128 as bf16 pairs: (bytes 0, 2) and (bytes 1, 3) of each 32-bit lane.
    unsafe fn offset_pairs(quads: Self::I) -> [Self::I; 2];
    /// E2M1 as bf16 pairs: low nibbles (0, 1) and (2, 3) of each 32-bit lane, then the high ones.
    unsafe fn e2m1_pairs(nibbles: Self::I) -> [Self::I; 4];
}

/// The body of [`Target::tile`] and [`Target::stream`]: the compiled rows by panels, in the order of preference.
macro_rules! dispatch {
    ($target:ty, $body:ty, $rows:expr, $panels:expr, $span:expr, [$($r:literal $p:literal),*]) => {
        match ($rows, $panels) {
            $((0..=$r, $p) => {
                <$target>::enter($crate::cpu::kernel::run::Compiled::<$body, $r, $p>::new($span))
            })*
            (rows, panels) => unreachable!("no kernel of {rows} rows and {panels} panels"),
        }
    };
}
pub(super) use dispatch;
