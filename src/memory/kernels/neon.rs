//! A pair of 128-bit registers: NEON, which every AArch64 CPU has.
//!
//! Stores past the caches are `stnp`. It is a hint, which a core may ignore: what crosses the bus then is more than what
//! is counted, as with ordinary stores.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Kernels;
use super::vector::{self, Vector, pattern};

/// These loops.
pub const fn kernels() -> Kernels {
    Kernels {
        path: "cpu/neon",
        non_temporal: true,
        read,
        write,
        write_temporal,
        copy,
        triad,
        mix_2r1w,
        mix_3r1w,
    }
}

#[derive(Clone, Copy)]
struct Pair(uint64x2_t, uint64x2_t);

// SAFETY: needs no instructions that an AArch64 CPU may lack.
unsafe impl Vector for Pair {
    const WORDS: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: every AArch64 CPU has NEON, here and below.
        unsafe { Self::splat(0) }
    }
    #[inline(always)]
    unsafe fn ramp(seed: u64, first: usize) -> Self {
        let words: [u64; 4] = std::array::from_fn(|lane| pattern(seed, first + lane));
        // SAFETY: reads `words`.
        unsafe { Self::load(words.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        // SAFETY: as above.
        unsafe { Self(vdupq_n_u64(word), vdupq_n_u64(word)) }
    }
    #[inline(always)]
    unsafe fn prefetch(from: *const u64) {
        vector::prefetch(from);
    }
    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        // SAFETY: valid by the caller's promise.
        unsafe { Self(vld1q_u64(from), vld1q_u64(from.add(2))) }
    }
    #[inline(always)]
    unsafe fn stream(to: *mut u64, value: Self) {
        // SAFETY: valid by the caller's promise.
        unsafe {
            asm!(
                "stnp {0:q}, {1:q}, [{2}]",
                in(vreg) value.0,
                in(vreg) value.1,
                in(reg) to,
                options(nostack, preserves_flags),
            );
        }
    }
    #[inline(always)]
    unsafe fn store(to: *mut u64, value: Self) {
        // SAFETY: valid by the caller's promise.
        unsafe {
            vst1q_u64(to, value.0);
            vst1q_u64(to.add(2), value.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vaddq_u64(self.0, other.0), vaddq_u64(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn triad(b: Self, s: Self, c: Self) -> Self {
        let half = |b, s, c| {
            // SAFETY: as above.
            unsafe {
                let [b, s, c] = [b, s, c].map(|half| vreinterpretq_f64_u64(half));
                vreinterpretq_u64_f64(vfmaq_f64(b, s, c))
            }
        };
        Self(half(b.0, s.0, c.0), half(b.1, s.1, c.1))
    }
    #[inline(always)]
    unsafe fn sum(self) -> u64 {
        // SAFETY: as above.
        unsafe { vaddvq_u64(vaddq_u64(self.0, self.1)) }
    }
    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: every AArch64 CPU has it.
        unsafe { asm!("dmb ishst", options(nostack, preserves_flags)) }
    }
}

fn read(words: &[u64]) -> u64 {
    // SAFETY: every AArch64 CPU has NEON, here and below.
    unsafe { vector::read::<Pair>(words) }
}

fn write(to: &mut [u64], seed: u64) {
    // SAFETY: as above.
    unsafe { vector::write::<Pair, true>(to, seed) }
}

fn write_temporal(to: &mut [u64], seed: u64) {
    // SAFETY: as above.
    unsafe { vector::write::<Pair, false>(to, seed) }
}

fn copy(to: &mut [u64], from: &[u64]) {
    // SAFETY: as above.
    unsafe { vector::copy::<Pair>(to, from) }
}

fn triad(a: &mut [u64], b: &[u64], c: &[u64], s: f64) {
    // SAFETY: as above.
    unsafe { vector::triad::<Pair>(a, b, c, s) }
}

fn mix_2r1w(a: &mut [u64], sources: [&[u64]; 2]) {
    // SAFETY: as above.
    unsafe { vector::mix::<Pair, 2>(a, sources) }
}

fn mix_3r1w(a: &mut [u64], sources: [&[u64]; 3]) {
    // SAFETY: as above.
    unsafe { vector::mix::<Pair, 3>(a, sources) }
}
