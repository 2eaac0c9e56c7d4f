//! NEON with the byte dot product of mixed signs (i8mm) and the bf16 dot product: Neoverse V1 (Graviton3), N2, V2
//! (Grace, Graviton4) and later.
//!
//! `bfdot` rounds the sum of the two products and then that with the sum so far to odd, and takes subnormals as zero
//! (Arm Architecture Reference Manual, BFDOT).

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::run::{Body, Compiled, Span};
use super::super::target::{Bf16Dot, Job, QuadDot, Target, dispatch};
use super::dots::byte_dots;
use super::{F, I, U, e8m0_quarter, each, neon_lines, shuffle_e2m1, to_top, unit};
use crate::number::{E2M1_VALUES, E4M3_VALUES, E5M2_VALUES};

/// NEON with dotprod, i8mm and bf16.
pub struct NeonBf16;

/// The low and the high bytes of the bf16 of sixteen values.
struct Bf16Bytes {
    low: [u8; 16],
    high: [u8; 16],
}

impl Bf16Bytes {
    /// The first sixteen of `values`, all of them bf16.
    const fn of(values: &[f32]) -> Self {
        let mut bytes = Self { low: [0; 16], high: [0; 16] };
        let mut code = 0;
        while code < 16 {
            let bits = values[code].to_bits() >> 16;
            bytes.low[code] = bits as u8;
            bytes.high[code] = (bits >> 8) as u8;
            code += 1;
        }
        bytes
    }

    #[inline(always)]
    unsafe fn tables(&self) -> [uint8x16_t; 2] {
        [vld1q_u8(self.low.as_ptr()), vld1q_u8(self.high.as_ptr())]
    }
}

static E4M3_BF16: Bf16Bytes = Bf16Bytes::of(&E4M3_VALUES);
static E5M2_BF16: Bf16Bytes = Bf16Bytes::of(&E5M2_VALUES);
static E2M1_BF16: Bf16Bytes = Bf16Bytes::of(&E2M1_VALUES);

/// Sixteen fp8 codes, their magnitudes `HIGH + LOW = 8` bits apart from those of a bf16, as pairs: even and odd bytes.
///
/// A normal one's fields are moved into those of a bf16 and `bias` added to the upper byte, in which the exponent ends
/// at an even place. The first sixteen magnitudes, subnormals among them, come out of `small`.
#[inline(always)]
unsafe fn fp8_pairs<const LOW: i32, const HIGH: i32>(
    codes: uint8x16_t,
    bias: u8,
    small: &Bf16Bytes,
) -> [uint8x16_t; 2] {
    let [small_low, small_high] = small.tables();
    let magnitude = vandq_u8(codes, vdupq_n_u8(0x7f));
    let low = vqtbx1q_u8(vshlq_n_u8::<LOW>(codes), small_low, magnitude);
    let high = vaddq_u8(vshrq_n_u8::<HIGH>(magnitude), vdupq_n_u8(bias));
    let high = vbslq_u8(vdupq_n_u8(0x7f), vqtbx1q_u8(high, small_high, magnitude), codes);
    [vtrn1q_u8(low, high), vtrn2q_u8(low, high)]
}

/// Transposes four registers of two results each.
#[inline(always)]
fn lines<const N: usize>(registers: [[uint8x16_t; N]; 4]) -> [I; N] {
    std::array::from_fn(|line| registers.map(|register| register[line]))
}

impl Target for NeonBf16 {
    neon_lines!("neon,dotprod,i8mm,bf16");
    const MX_NARROW: bool = false;

    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: U) -> I {
        Self::dot_quad(sum, b, a)
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        each!(sum in sum => vcvtq_f32_s32(vreinterpretq_s32_u8(sum)))
    }
}

impl QuadDot for NeonBf16 {
    #[inline(always)]
    unsafe fn dot_quad(sum: I, b: I, a: U) -> I {
        byte_dots!("usdot", sum, b, a)
    }
}

impl Bf16Dot for NeonBf16 {
    #[inline(always)]
    unsafe fn dot_bf16(sum: F, a: U, b: I) -> F {
        each!(sum in sum, b in b => {
            let mut sum = sum;
            asm!(
                "bfdot {0:v}.4s, {1:v}.8h, {2:v}.2h[0]",
                inout(vreg) sum,
                in(vreg) b,
                in(vreg) a,
                options(pure, nomem, nostack, preserves_flags),
            );
            sum
        })
    }
    #[inline(always)]
    unsafe fn e4m3_pairs(quads: I) -> [I; 2] {
        // The biases are 7 and 127, 120 apart: 0x3c00 in the place of a bf16's exponent.
        lines(each!(quads in quads => fp8_pairs::<4, 4>(quads, 0x3c, &E4M3_BF16)))
    }
    #[inline(always)]
    unsafe fn e5m2_pairs(quads: I) -> [I; 2] {
        // 15 and 127: 112 apart.
        lines(each!(quads in quads => fp8_pairs::<5, 3>(quads, 0x38, &E5M2_BF16)))
    }
    #[inline(always)]
    unsafe fn offset_pairs(quads: I) -> [I; 2] {
        lines(each!(quads in quads => {
            let signed = veorq_u8(quads, vdupq_n_u8(0x80));
            // Small integers: their f32 is a bf16 followed by zeros.
            let first = integers::<0>(signed);
            let second = integers::<1>(signed);
            let third = integers::<2>(signed);
            let fourth = integers::<3>(signed);
            [upper_halves(first, third), upper_halves(second, fourth)]
        }))
    }
    #[inline(always)]
    unsafe fn e2m1_pairs(nibbles: I) -> [I; 4] {
        lines(each!(nibbles in nibbles => {
            let [first, second] = e2m1_quads(vandq_u8(nibbles, vdupq_n_u8(15)));
            let [third, fourth] = e2m1_quads(vshrq_n_u8::<4>(nibbles));
            [first, second, third, fourth]
        }))
    }
}

/// Byte `BYTE` of each lane, signed, as f32.
#[inline(always)]
unsafe fn integers<const BYTE: i32>(quads: uint8x16_t) -> float32x4_t {
    vcvtq_f32_s32(vshrq_n_s32::<24>(vreinterpretq_s32_u32(to_top::<BYTE>(quads))))
}

/// The upper halves of the lanes of both, in pairs.
#[inline(always)]
unsafe fn upper_halves(first: float32x4_t, second: float32x4_t) -> uint8x16_t {
    let halves = vtrn2q_u16(vreinterpretq_u16_f32(first), vreinterpretq_u16_f32(second));
    vreinterpretq_u8_u16(halves)
}

/// E2M1 codes, one a byte, as bf16 pairs: bytes (0, 1) and (2, 3) of each 32-bit lane.
#[inline(always)]
unsafe fn e2m1_quads(codes: uint8x16_t) -> [uint8x16_t; 2] {
    let [low, high] = E2M1_BF16.tables();
    let (low, high) = (vqtbl1q_u8(low, codes), vqtbl1q_u8(high, codes));
    let left = vreinterpretq_u32_u8(vzip1q_u8(low, high));
    let right = vreinterpretq_u32_u8(vzip2q_u8(low, high));
    [vreinterpretq_u8_u32(vuzp1q_u32(left, right)), vreinterpretq_u8_u32(vuzp2q_u32(left, right))]
}
