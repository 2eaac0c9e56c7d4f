//! NEON with the byte dot product of equal signs: Neoverse N1 (Graviton2, Ampere Altra), Cortex-A76 and later.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::run::{Body, Compiled, Span};
use super::super::signed::SignedDot;
use super::super::target::{Job, Target, dispatch};
use super::{F, I, U, e8m0_quarter, each, neon_lines, shuffle_e2m1, to_top, unit};

/// NEON with dotprod.
pub struct NeonDotprod;

/// A byte dot product of each register of a line with a unit.
macro_rules! byte_dots {
    ($instruction:literal, $sum:expr, $b:expr, $a:expr) => {
        $crate::cpu::kernel::neon::each!(sum in $sum, b in $b => {
            let mut sum = sum;
            std::arch::asm!(
                concat!($instruction, " {0:v}.4s, {1:v}.16b, {2:v}.4b[0]"),
                inout(vreg) sum,
                in(vreg) b,
                in(vreg) $a,
                options(pure, nomem, nostack, preserves_flags),
            );
            sum
        })
    };
}
pub(super) use byte_dots;

impl Target for NeonDotprod {
    neon_lines!("neon,dotprod");
    const MX_NARROW: bool = false;

    /// The weights are at most 24: their signs are positive.
    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: U) -> I {
        byte_dots!("sdot", sum, b, a)
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        each!(sum in sum => vcvtq_f32_s32(vreinterpretq_s32_u8(sum)))
    }
}

impl SignedDot for NeonDotprod {
    #[inline(always)]
    unsafe fn dot_signed(sum: I, b: I, a: U) -> I {
        byte_dots!("sdot", sum, b, a)
    }
    #[inline(always)]
    unsafe fn offset_bytes(quads: I) -> I {
        each!(quads in quads => veorq_u8(quads, vdupq_n_u8(0x80)))
    }
}
