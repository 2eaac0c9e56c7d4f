//! From the stored line to what the dot instruction takes: one [`Source`] a format and kind of dot.
//!
//! The layouts are chosen so that an expansion is a shift and a mask: see [`crate::cpu::gemm::pack`].

use super::run::{Bf16Dots, Dot, FloatDot, Int16Dot, Source};
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
    unsafe fn expand(from: *const u8) -> [D::Line; 4] {
        // SAFETY: the caller's contract, here and in every function below: see `target`.
        unsafe { [D::load(from); 4] }
    }
}

/// bf16 pairs.
pub struct Bf16;

impl<T: Target> Source<T, FloatDot> for Bf16 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; 4] {
        // SAFETY: as above.
        unsafe {
            let pairs = T::load_i(from);
            let (first, second) = (T::bf16_first(pairs), T::bf16_second(pairs));
            [first, second, first, first]
        }
    }
}

/// E4M3 quads, stored as elements 0, 2, 1, 3.
pub struct E4m3;

impl<T: Target> Source<T, FloatDot> for E4m3 {
    const LINES: usize = 4;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::F; 4] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            [
                T::e4m3_scaled::<0>(quads),
                T::e4m3_scaled::<2>(quads),
                T::e4m3_scaled::<1>(quads),
                T::e4m3_scaled::<3>(quads),
            ]
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
    unsafe fn expand(from: *const u8) -> [T::F; 4] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            [
                T::e5m2_scaled::<0>(quads),
                T::e5m2_scaled::<2>(quads),
                T::e5m2_scaled::<1>(quads),
                T::e5m2_scaled::<3>(quads),
            ]
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
    unsafe fn expand(from: *const u8) -> [T::I; 4] {
        // SAFETY: as above.
        unsafe {
            let [first, second] = T::e4m3_pairs(T::load_i(from));
            [first, second, first, first]
        }
    }
}

impl<T: Bf16Dot> Source<T, Bf16Dots> for E5m2 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; 4] {
        // SAFETY: as above.
        unsafe {
            let [first, second] = T::e5m2_pairs(T::load_i(from));
            [first, second, first, first]
        }
    }
}

/// int8 quads plus 128, stored as elements 0, 2, 1, 3.
pub struct Int8;

impl<T: Target> Source<T, Int16Dot> for Int8 {
    const LINES: usize = 2;
    #[inline(always)]
    unsafe fn expand(from: *const u8) -> [T::I; 4] {
        // SAFETY: as above.
        unsafe {
            let quads = T::load_i(from);
            let (first, second) = (T::low_bytes(quads), T::high_bytes(quads));
            [first, second, first, first]
        }
    }
}
