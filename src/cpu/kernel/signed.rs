//! int8 where the byte dot product takes operands of equal signs only: the 128 that was added to the stored weights comes
//! off as they are unpacked or read, and rows need no correction.

use super::Kernel;
use super::generic::{ByLine, Facts, QUADS, boxed};
use super::run::{Lines, MAX_LINES, Source, byte_dot};
use super::source::{AsIs, Int8};
use super::target::Target;
use crate::cpu::Isa;

/// Byte dot products of equal signs.
#[allow(clippy::missing_safety_doc, reason = "as for Target")]
pub trait SignedDot: Target {
    /// Signed bytes multiplied, the four products of each 32-bit lane added to `sum`.
    unsafe fn dot_signed(sum: Self::I, b: Self::I, a: Self::U) -> Self::I;
    /// Unsigned bytes minus 128.
    unsafe fn offset_bytes(quads: Self::I) -> Self::I;
}

byte_dot! {
    /// Four bytes into i32, all of them signed.
    SignedDots: SignedDot, I, zero_i, load_i, store_i, false, |sum, a, b| T::dot_signed(sum, b, a)
}

impl<T: SignedDot> Source<T, SignedDots> for Int8 {
    const LINES: usize = 1;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: the caller's contract: see `target`.
        unsafe { [T::offset_bytes(T::load_i(from)); MAX_LINES] }
    }
}

/// int8 by byte dot products of equal signs.
pub fn signed_dot<T: SignedDot>(isa: Isa) -> Box<dyn Kernel> {
    type Tile<T> = Lines<T, SignedDots, AsIs, false>;
    boxed::<T, Tile<T>, Lines<T, SignedDots, Int8, true>, ByLine<SignedDots, Int8>, SignedDots>(
        isa,
        Facts { offset: 0, ..QUADS },
    )
}
