//! From the stored line to what the dot instruction takes: one [`Source`] a format and kind of dot.
//!
//! The layouts are chosen so that an expansion is a shift and a mask: see [`crate::cpu::gemm::pack`].

use std::marker::PhantomData;

use super::mx::OFFSET;
use super::run::{Bf16Dots, Dot, FloatDot, Int16Dot, MAX_LINES, Source};
use super::target::{Bf16Dot, Target};

/// The fields of E4M3, moved into those of an f32, give the value times 2^-120: the biases are 7 and 127.
pub const E4M3_SHIFT: i32 = 127 - 7;

/// As [`E4M3_SHIFT`], for E5M2 with its bias of 15.
pub const E5M2_SHIFT: i32 = 127 - 15;

/// Bits of the f32 2^`exponent`.
pub const fn power_of_two(exponent: i32) -> u32 {
    ((exponent + 127) as u32) << 23
}

/// Lines that are operands as they are.
pub struct AsIs;

impl<T: Target, D: Dot<T>> Source<T, D> for AsIs {
    const LINES: usize = 1;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [D::Line; MAX_LINES] {
        // SAFETY: the caller's contract, here and in every function below: see `target`.
        unsafe { [D::load(from); MAX_LINES] }
    }
}

/// bf16 pairs.
pub struct Bf16;

impl<T: Target> Source<T, FloatDot> for Bf16 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let pairs = T::load_i(from);
            let (first, second) = (T::bf16_first(pairs), T::bf16_second(pairs));
            [first, second, first, first, first, first, first, first]
        }
    }
}

/// E4M3 quads, stored as elements 0, 2, 1, 3.
pub struct E4m3;

impl<T: Target> Source<T, FloatDot> for E4m3 {
    const LINES: usize = 4;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            let first = T::e4m3_scaled::<0>(quads);
            let second = T::e4m3_scaled::<2>(quads);
            let third = T::e4m3_scaled::<1>(quads);
            let fourth = T::e4m3_scaled::<3>(quads);
            [first, second, third, fourth, first, first, first, first]
        }
    }
    #[inline(always)]
    unsafe fn exact(line: T::F) -> T::F {
        // SAFETY: as above; the pointer is to a static.
        unsafe { T::mul(line, T::splat_f(&const { power_of_two(E4M3_SHIFT) })) }
    }
}

/// E5M2 quads, stored as elements 0, 2, 1, 3.
pub struct E5m2;

impl<T: Target> Source<T, FloatDot> for E5m2 {
    const LINES: usize = 4;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            let first = T::e5m2_scaled::<0>(quads);
            let second = T::e5m2_scaled::<2>(quads);
            let third = T::e5m2_scaled::<1>(quads);
            let fourth = T::e5m2_scaled::<3>(quads);
            [first, second, third, fourth, first, first, first, first]
        }
    }
    #[inline(always)]
    unsafe fn exact(line: T::F) -> T::F {
        // SAFETY: as above; the pointer is to a static.
        unsafe { T::mul(line, T::splat_f(&const { power_of_two(E5M2_SHIFT) })) }
    }
}

impl<T: Bf16Dot> Source<T, Bf16Dots> for E4m3 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let [first, second] = T::e4m3_pairs(T::load_i(from));
            [first, second, first, first, first, first, first, first]
        }
    }
}

impl<T: Bf16Dot> Source<T, Bf16Dots> for E5m2 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let [first, second] = T::e5m2_pairs(T::load_i(from));
            [first, second, first, first, first, first, first, first]
        }
    }
}

/// int8 quads plus 128, stored as elements 0, 2, 1, 3.
pub struct Int8;

impl<T: Target> Source<T, Int16Dot> for Int8 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            let (first, second) = (T::low_bytes(quads), T::high_bytes(quads));
            [first, second, first, first, first, first, first, first]
        }
    }
}

impl<T: Target> Source<T, FloatDot> for Int8 {
    const LINES: usize = 4;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; MAX_LINES] {
        // SAFETY: as above; the pointers are to statics.
        unsafe {
            let quads = T::load_i(from);
            let one = T::splat_f(&const { 1f32.to_bits() });
            let offset = T::splat_f(&const { (-128f32).to_bits() });
            let first = T::mul_add(T::byte_to_f32::<0>(quads), one, offset);
            let second = T::mul_add(T::byte_to_f32::<2>(quads), one, offset);
            let third = T::mul_add(T::byte_to_f32::<1>(quads), one, offset);
            let fourth = T::mul_add(T::byte_to_f32::<3>(quads), one, offset);
            [first, second, third, fourth, first, first, first, first]
        }
    }
}

impl<T: Bf16Dot> Source<T, Bf16Dots> for Int8 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let [first, second] = T::offset_pairs(T::load_i(from));
            [first, second, first, first, first, first, first, first]
        }
    }
}

/// E2M1, four bytes a column: elements 0 to 3 in the low, 4 to 7 in the high nibbles.
pub struct E2m1;

impl<T: Target> Source<T, FloatDot> for E2m1 {
    const LINES: usize = 8;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; MAX_LINES] {
        // SAFETY: as above; the pointers are to statics.
        unsafe {
            let nibbles = T::load_i(from);
            let half = T::splat_f(&const { 0.5f32.to_bits() });
            let offset = T::splat_f(&const { (-OFFSET as f32 / 2.0).to_bits() });
            let (low, high) = (T::e2m1_low(nibbles), T::e2m1_high(nibbles));
            [
                T::mul_add(T::byte_to_f32::<0>(low), half, offset),
                T::mul_add(T::byte_to_f32::<1>(low), half, offset),
                T::mul_add(T::byte_to_f32::<2>(low), half, offset),
                T::mul_add(T::byte_to_f32::<3>(low), half, offset),
                T::mul_add(T::byte_to_f32::<0>(high), half, offset),
                T::mul_add(T::byte_to_f32::<1>(high), half, offset),
                T::mul_add(T::byte_to_f32::<2>(high), half, offset),
                T::mul_add(T::byte_to_f32::<3>(high), half, offset),
            ]
        }
    }
}

impl<T: Bf16Dot> Source<T, Bf16Dots> for E2m1 {
    const LINES: usize = 4;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let [first, second, third, fourth] = T::e2m1_pairs(T::load_i(from));
            [first, second, third, fourth, first, first, first, first]
        }
    }
}

/// `S` with its power of two undone, where the other operand can't make up for it.
pub struct Exact<S>(PhantomData<S>);

impl<T: Target, D: Dot<T>, S: Source<T, D>> Source<T, D> for Exact<S> {
    const LINES: usize = S::LINES;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [D::Line; MAX_LINES] {
        // SAFETY: as above.
        unsafe {
            let mut lines = S::expand(from);
            for line in lines.iter_mut().take(S::LINES) {
                *line = S::exact(*line);
            }
            lines
        }
    }
}
