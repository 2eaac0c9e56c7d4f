//! NEON: a line is four registers. Three levels: the baseline of AArch64, with the byte dot product (dotprod), with the
//! dot product of mixed signs (i8mm) and that of bf16.
//!
//! The tile is 6 rows by one panel: 24 registers of sums, 4 of weights, up to 4 for the units of A. A unit is one lane
//! of a register that an ordinary load fills, and the multiplications take it by element: splats would compete with
//! them, since on Arm's cores a load that splats (`ld1r`) occupies a vector pipe too.
//!
//! Rust has no stable intrinsics for the dot products: they are inline assembly, one instruction each.

#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "every intrinsic here needs nothing but the CPU features and pointers of Target's contract"
)]

mod bf16;
mod dots;

use std::arch::aarch64::*;
use std::arch::asm;

use super::run::{Body, Compiled, Span};
use super::target::{Job, Target, dispatch};

pub use bf16::NeonBf16;
pub use dots::NeonDotprod;

/// The baseline of AArch64.
pub struct Neon;

/// A line of f32.
type F = [float32x4_t; 4];
/// A line of bytes.
type I = [uint8x16_t; 4];
/// A unit of A: lane 0 of a vector register. Any bits: nothing computes with it as a number.
type U = f32;

/// The same for the four registers of a line. No closure: it would not inherit the CPU features.
macro_rules! each {
    ($($name:ident in $line:expr),* => $result:expr) => {
        [
            { $(let $name = $line[0];)* $result },
            { $(let $name = $line[1];)* $result },
            { $(let $name = $line[2];)* $result },
            { $(let $name = $line[3];)* $result },
        ]
    };
}
use each;

/// The four bytes at `from` by an ordinary load. The compiler may not see that, or it would load and splat at once.
#[inline(always)]
unsafe fn unit(from: *const u32) -> U {
    let mut unit = from.cast::<f32>().read();
    asm!("/* {0:s} */", inout(vreg) unit, options(pure, nomem, nostack, preserves_flags));
    unit
}

/// Byte `BYTE` of each lane moved to the top.
#[inline(always)]
unsafe fn to_top<const BYTE: i32>(quads: uint8x16_t) -> uint32x4_t {
    let quads = vreinterpretq_u32_u8(quads);
    match BYTE {
        0 => vshlq_n_u32::<24>(quads),
        1 => vshlq_n_u32::<16>(quads),
        2 => vshlq_n_u32::<8>(quads),
        _ => quads,
    }
}

/// E2M1 codes, the low nibble of each byte, as twice the value plus 12.
#[inline(always)]
unsafe fn shuffle_e2m1(codes: uint8x16_t) -> uint8x16_t {
    const TABLE: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];
    vqtbl1q_u8(vld1q_u8(TABLE.as_ptr()), codes)
}

/// Four E8M0 codes, zero-extended.
#[inline(always)]
unsafe fn e8m0_quarter(codes: uint32x4_t) -> float32x4_t {
    // Code 0 is 2^-127, a subnormal; code 255 becomes all ones, a NaN.
    let power = vmaxq_u32(vshlq_n_u32::<23>(codes), vdupq_n_u32(1 << 22));
    vreinterpretq_f32_u32(vorrq_u32(power, vceqq_u32(codes, vdupq_n_u32(255))))
}

/// What the targets have in common.
macro_rules! neon_lines {
    ($features:literal) => {
        type F = F;
        type I = I;
        type U = U;
        const ROWS: usize = 6;
        const PANELS: usize = 1;
        const STREAM_ROWS: usize = 4;

        #[target_feature(enable = $features)]
        unsafe fn enter(job: impl Job) {
            job.run();
        }
        unsafe fn peak<B: Body>(span: Span) {
            Self::enter(Compiled::<B, 6, 1>::new(span));
        }
        unsafe fn tile<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [2 1, 4 1, 6 1]);
        }
        unsafe fn stream<B: Body>(rows: usize, panels: usize, span: Span) {
            dispatch!(Self, B, rows, panels, span, [1 1, 1 4, 2 1, 4 1]);
        }
        #[inline(always)]
        unsafe fn prefetch(address: *const u8) {
            asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
        }

        #[inline(always)]
        unsafe fn zero_f() -> F {
            [vdupq_n_f32(0.0); 4]
        }
        #[inline(always)]
        unsafe fn load_f(from: *const u8) -> F {
            each!(i in [0, 16, 32, 48] => vreinterpretq_f32_u8(vld1q_u8(from.add(i))))
        }
        #[inline(always)]
        unsafe fn store_f(value: F, to: *mut u32) {
            let _ = each!(i in [0, 4, 8, 12], value in value => vst1q_f32(to.add(i).cast(), value));
        }
        #[inline(always)]
        unsafe fn splat_f(from: *const u32) -> F {
            [vdupq_n_f32(unit(from)); 4]
        }
        #[inline(always)]
        unsafe fn mul(a: F, b: F) -> F {
            each!(a in a, b in b => vmulq_f32(a, b))
        }
        #[inline(always)]
        unsafe fn mul_add(a: F, b: F, c: F) -> F {
            each!(a in a, b in b, c in c => vfmaq_f32(c, b, a))
        }
        #[inline(always)]
        unsafe fn zero_i() -> I {
            [vdupq_n_u8(0); 4]
        }
        #[inline(always)]
        unsafe fn load_i(from: *const u8) -> I {
            each!(i in [0, 16, 32, 48] => vld1q_u8(from.add(i)))
        }
        #[inline(always)]
        unsafe fn store_i(value: I, to: *mut u32) {
            let _ = each!(i in [0, 4, 8, 12], value in value => vst1q_u8(to.add(i).cast(), value));
        }
        #[inline(always)]
        unsafe fn splat_i(from: *const u32) -> U {
            unit(from)
        }
        #[inline(always)]
        unsafe fn bf16_first(pairs: I) -> F {
            each!(p in pairs => vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_u8(p))))
        }
        #[inline(always)]
        unsafe fn bf16_second(pairs: I) -> F {
            let mask = vdupq_n_u32(0xffff_0000);
            each!(p in pairs => vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_u8(p), mask)))
        }
        #[inline(always)]
        unsafe fn e4m3_scaled<const BYTE: i32>(quads: I) -> F {
            let mask = vdupq_n_s32(0x87f0_0000_u32 as i32);
            each!(quads in quads => {
                let top = vshrq_n_s32::<4>(vreinterpretq_s32_u32(to_top::<BYTE>(quads)));
                vreinterpretq_f32_s32(vandq_s32(top, mask))
            })
        }
        #[inline(always)]
        unsafe fn e5m2_scaled<const BYTE: i32>(quads: I) -> F {
            let mask = vdupq_n_s32(0x8fe0_0000_u32 as i32);
            each!(quads in quads => {
                let top = vshrq_n_s32::<3>(vreinterpretq_s32_u32(to_top::<BYTE>(quads)));
                vreinterpretq_f32_s32(vandq_s32(top, mask))
            })
        }
        #[inline(always)]
        unsafe fn byte_to_f32<const BYTE: i32>(quads: I) -> F {
            each!(quads in quads => vcvtq_f32_u32(vshrq_n_u32::<24>(to_top::<BYTE>(quads))))
        }
        #[inline(always)]
        unsafe fn low_bytes(pairs: I) -> I {
            let mask = vreinterpretq_u8_u16(vdupq_n_u16(0xff));
            each!(pairs in pairs => vandq_u8(pairs, mask))
        }
        #[inline(always)]
        unsafe fn high_bytes(pairs: I) -> I {
            each!(p in pairs => vreinterpretq_u8_u16(vshrq_n_u16::<8>(vreinterpretq_u16_u8(p))))
        }
        #[inline(always)]
        unsafe fn e2m1_low(nibbles: I) -> I {
            each!(nibbles in nibbles => shuffle_e2m1(vandq_u8(nibbles, vdupq_n_u8(15))))
        }
        #[inline(always)]
        unsafe fn e2m1_high(nibbles: I) -> I {
            each!(nibbles in nibbles => shuffle_e2m1(vshrq_n_u8::<4>(nibbles)))
        }
        #[inline(always)]
        unsafe fn e8m0(from: *const u8) -> F {
            let codes = vld1q_u8(from);
            let (low, high) = (vmovl_u8(vget_low_u8(codes)), vmovl_high_u8(codes));
            [
                e8m0_quarter(vmovl_u16(vget_low_u16(low))),
                e8m0_quarter(vmovl_high_u16(low)),
                e8m0_quarter(vmovl_u16(vget_low_u16(high))),
                e8m0_quarter(vmovl_high_u16(high)),
            ]
        }
        /// Even and odd elements of two registers of weights are multiplied apart: the products of four columns then
        /// land in the lanes of their sums.
        #[inline(always)]
        unsafe fn madd_i16(sum: I, a: U, b: I) -> I {
            let a = vreinterpretq_s16_f32(vdupq_n_f32(a));
            let two = |sum: [uint8x16_t; 2], b: [uint8x16_t; 2]| {
                let [b0, b1] = b.map(|b| vreinterpretq_s16_u8(b));
                let [sum0, sum1] = sum.map(|sum| vreinterpretq_s32_u8(sum));
                let (even, odd) = (vuzp1q_s16(b0, b1), vuzp2q_s16(b0, b1));
                let sum0 = vmlal_laneq_s16::<0>(sum0, vget_low_s16(even), a);
                let sum1 = vmlal_high_laneq_s16::<0>(sum1, even, a);
                let sum0 = vmlal_laneq_s16::<1>(sum0, vget_low_s16(odd), a);
                let sum1 = vmlal_high_laneq_s16::<1>(sum1, odd, a);
                [sum0, sum1].map(|sum| vreinterpretq_u8_s32(sum))
            };
            let [first, second] = two([sum[0], sum[1]], [b[0], b[1]]);
            let [third, fourth] = two([sum[2], sum[3]], [b[2], b[3]]);
            [first, second, third, fourth]
        }
        #[inline(always)]
        unsafe fn mx_start(from: *const u32) -> I {
            [vreinterpretq_u8_u32(vdupq_n_u32(*from)); 4]
        }
    };
}
use neon_lines;

impl Target for Neon {
    neon_lines!("neon");
    const MX_NARROW: bool = true;

    /// Sums pairs in 16 bits: the 16 products of a lane and the correction stay below 2^15. Even and odd bytes are
    /// multiplied apart, as in [`Self::madd_i16`].
    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: U) -> I {
        let a = vreinterpretq_s8_f32(vdupq_n_f32(a));
        let (a_even, a_odd) = (vuzp1q_s8(a, a), vuzp2q_s8(a, a));
        let two = |sum: [uint8x16_t; 2], b: [uint8x16_t; 2]| {
            let [b0, b1] = b.map(|b| vreinterpretq_s8_u8(b));
            let [sum0, sum1] = sum.map(|sum| vreinterpretq_s16_u8(sum));
            let (even, odd) = (vuzp1q_s8(b0, b1), vuzp2q_s8(b0, b1));
            let sum0 = vmlal_s8(sum0, vget_low_s8(even), vget_low_s8(a_even));
            let sum1 = vmlal_high_s8(sum1, even, a_even);
            let sum0 = vmlal_s8(sum0, vget_low_s8(odd), vget_low_s8(a_odd));
            let sum1 = vmlal_high_s8(sum1, odd, a_odd);
            [sum0, sum1].map(|sum| vreinterpretq_u8_s16(sum))
        };
        let [first, second] = two([sum[0], sum[1]], [b[0], b[1]]);
        let [third, fourth] = two([sum[2], sum[3]], [b[2], b[3]]);
        [first, second, third, fourth]
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        each!(sum in sum => vcvtq_f32_s32(vpaddlq_s16(vreinterpretq_s16_u8(sum))))
    }
}

/// The 16 products of a 16-bit lane, and the correction for all 32.
const _: () = const { assert!(16 * 24 * 12 + 12 * 32 * 12 < i16::MAX as i32) };
