//! Without any instruction set: what the compiler makes of plain words, with ordinary stores.

use super::Kernels;
use super::vector::{self, Vector, pattern};

/// These loops.
pub const fn kernels() -> Kernels {
    Kernels {
        path: "cpu/portable",
        non_temporal: false,
        read,
        write,
        write_temporal: write,
        copy,
        triad,
        mix_2r1w,
        mix_3r1w,
    }
}

// SAFETY: needs no instructions that a CPU may lack.
unsafe impl Vector for u64 {
    const WORDS: usize = 1;
    #[inline(always)]
    unsafe fn zero() -> Self {
        0
    }
    #[inline(always)]
    unsafe fn ramp(seed: u64, first: usize) -> Self {
        pattern(seed, first)
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        word
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u64) {}
    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        // SAFETY: valid by the caller's promise.
        unsafe { from.read() }
    }
    #[inline(always)]
    unsafe fn stream(to: *mut u64, value: Self) {
        // SAFETY: valid by the caller's promise.
        unsafe { to.write(value) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut u64, value: Self) {
        // SAFETY: valid by the caller's promise.
        unsafe { to.write(value) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    unsafe fn triad(b: Self, s: Self, c: Self) -> Self {
        f64::from_bits(s).mul_add(f64::from_bits(c), f64::from_bits(b)).to_bits()
    }
    #[inline(always)]
    unsafe fn sum(self) -> u64 {
        self
    }
    #[inline(always)]
    unsafe fn fence() {}
}

fn read(words: &[u64]) -> u64 {
    // SAFETY: no special instructions.
    unsafe { vector::read::<u64>(words) }
}

fn write(to: &mut [u64], seed: u64) {
    // SAFETY: no special instructions.
    unsafe { vector::write::<u64, false>(to, seed) }
}

fn copy(to: &mut [u64], from: &[u64]) {
    // SAFETY: no special instructions.
    unsafe { vector::copy::<u64>(to, from) }
}

fn triad(a: &mut [u64], b: &[u64], c: &[u64], s: f64) {
    // SAFETY: no special instructions.
    unsafe { vector::triad::<u64>(a, b, c, s) }
}

fn mix_2r1w(a: &mut [u64], sources: [&[u64]; 2]) {
    // SAFETY: no special instructions.
    unsafe { vector::mix::<u64, 2>(a, sources) }
}

fn mix_3r1w(a: &mut [u64], sources: [&[u64]; 3]) {
    // SAFETY: no special instructions.
    unsafe { vector::mix::<u64, 3>(a, sources) }
}
