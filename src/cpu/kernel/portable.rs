//! Plain Rust: the path for any CPU, and what the compiler makes of the baseline of the architecture.

#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "only loads and stores are unsafe here, under the contract of Target"
)]

use std::array::from_fn;

use super::mx::{OFFSET, QUADS};
use super::run::{Body, Compiled, Span};
use super::target::{Job, LANES, Target, dispatch};
use crate::number::{E2M1_DOUBLED, decode_e8m0};

/// No instruction beyond the baseline.
pub struct Portable;

type F = [f32; LANES];
type I = [u32; LANES];

/// Twice the value of each E2M1 code plus 12.
static UNSIGNED_E2M1: [u8; 16] = {
    let mut table = [0; 16];
    let mut code = 0;
    while code < 16 {
        table[code] = (E2M1_DOUBLED[code] as i32 + OFFSET) as u8;
        code += 1;
    }
    table
};

#[inline(always)]
fn each<A: Copy, B>(line: [A; LANES], f: impl Fn(A) -> B) -> [B; LANES] {
    from_fn(|i| f(line[i]))
}

#[inline(always)]
fn e2m1(nibbles: u32) -> u32 {
    u32::from_le_bytes(nibbles.to_le_bytes().map(|code| UNSIGNED_E2M1[usize::from(code & 15)]))
}

impl Target for Portable {
    type F = F;
    type I = I;
    type U = I;

    const ROWS: usize = 2;
    const PANELS: usize = 1;
    const STREAM_ROWS: usize = 2;
    const MX_NARROW: bool = false;

    unsafe fn enter(job: impl Job) {
        job.run();
    }
    unsafe fn peak<B: Body>(span: Span) {
        Self::enter(Compiled::<B, 2, 1>::new(span));
    }
    unsafe fn tile<B: Body>(rows: usize, panels: usize, span: Span) {
        dispatch!(Self, B, rows, panels, span, [1 1, 2 1]);
    }
    unsafe fn stream<B: Body>(rows: usize, panels: usize, span: Span) {
        dispatch!(Self, B, rows, panels, span, [1 1, 1 4, 2 1]);
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}

    #[inline(always)]
    unsafe fn zero_f() -> F {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn load_f(from: *const u8) -> F {
        from.cast::<F>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store_f(value: F, to: *mut u32) {
        to.cast::<F>().write_unaligned(value);
    }
    #[inline(always)]
    unsafe fn splat_f(from: *const u32) -> F {
        [f32::from_bits(*from); LANES]
    }
    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn mul_add(a: F, b: F, c: F) -> F {
        // Not f32::mul_add, which is a library call where the baseline has no such instruction.
        from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn zero_i() -> I {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn load_i(from: *const u8) -> I {
        each(from.cast::<I>().read_unaligned(), u32::from_le)
    }
    #[inline(always)]
    unsafe fn store_i(value: I, to: *mut u32) {
        to.cast::<I>().write_unaligned(each(value, u32::to_le));
    }
    #[inline(always)]
    unsafe fn splat_i(from: *const u32) -> I {
        [*from; LANES]
    }
    #[inline(always)]
    unsafe fn bf16_first(pairs: I) -> F {
        each(pairs, |pair| f32::from_bits(pair << 16))
    }
    #[inline(always)]
    unsafe fn bf16_second(pairs: I) -> F {
        each(pairs, |pair| f32::from_bits(pair & 0xffff_0000))
    }
    #[inline(always)]
    unsafe fn e4m3_scaled<const BYTE: i32>(quads: I) -> F {
        each(quads, |quad| {
            f32::from_bits(((quad << (24 - 8 * BYTE)) as i32 >> 4) as u32 & 0x87f0_0000)
        })
    }
    #[inline(always)]
    unsafe fn e5m2_scaled<const BYTE: i32>(quads: I) -> F {
        each(quads, |quad| {
            f32::from_bits(((quad << (24 - 8 * BYTE)) as i32 >> 3) as u32 & 0x8fe0_0000)
        })
    }
    #[inline(always)]
    unsafe fn byte_to_f32<const BYTE: i32>(quads: I) -> F {
        each(quads, |quad| (quad >> (8 * BYTE) & 0xff) as i32 as f32)
    }
    #[inline(always)]
    unsafe fn low_bytes(pairs: I) -> I {
        each(pairs, |pair| pair & 0x00ff_00ff)
    }
    #[inline(always)]
    unsafe fn high_bytes(pairs: I) -> I {
        each(pairs, |pair| pair >> 8 & 0x00ff_00ff)
    }
    #[inline(always)]
    unsafe fn e2m1_low(nibbles: I) -> I {
        each(nibbles, e2m1)
    }
    #[inline(always)]
    unsafe fn e2m1_high(nibbles: I) -> I {
        each(nibbles, |nibbles| e2m1(nibbles >> 4))
    }
    #[inline(always)]
    unsafe fn e8m0(from: *const u8) -> F {
        from.cast::<[u8; LANES]>().read().map(decode_e8m0)
    }
    #[inline(always)]
    unsafe fn madd_i16(sum: I, a: I, b: I) -> I {
        let product = |a: u32, b: u32| i32::from(a as i16).wrapping_mul(i32::from(b as i16)) as u32;
        from_fn(|i| {
            sum[i].wrapping_add(product(a[i], b[i])).wrapping_add(product(a[i] >> 16, b[i] >> 16))
        })
    }
    #[inline(always)]
    unsafe fn mx_start(from: *const u32) -> I {
        [*from; LANES]
    }
    #[inline(always)]
    unsafe fn mx_step(sum: I, b: I, a: I) -> I {
        let product = |a: u32, b: u32| i32::from(a as i8).wrapping_mul(i32::from(b as u8)) as u32;
        from_fn(|i| {
            (0..4).fold(sum[i], |sum, byte| {
                sum.wrapping_add(product(a[i] >> (8 * byte), b[i] >> (8 * byte)))
            })
        })
    }
    #[inline(always)]
    unsafe fn mx_finish(sum: I) -> F {
        each(sum, |sum| sum as i32 as f32)
    }
}

/// A block's products, 24 x 12 each at most, stay far below what f32 counts exactly.
const _: () = assert!(4 * QUADS * 24 * 12 < 1 << 24);
