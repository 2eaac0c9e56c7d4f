//! 256-bit registers: AVX2 and FMA.

use std::arch::x86_64::*;

use super::Kernels;
use super::vector::{self, Vector, pattern};

/// These loops, where the CPU has the instructions.
pub fn kernels() -> Option<Kernels> {
    let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    has.then_some(Kernels {
        path: "cpu/avx2",
        non_temporal: true,
        read,
        write,
        write_temporal,
        copy,
        triad,
        mix_2r1w,
        mix_3r1w,
    })
}

#[derive(Clone, Copy)]
struct Register(__m256i);

// SAFETY: used by the functions below only, which run where [`kernels`] found the instructions.
unsafe impl Vector for Register {
    const WORDS: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: has the instructions by the caller's promise.
        Self(unsafe { _mm256_setzero_si256() })
    }
    #[inline(always)]
    unsafe fn ramp(seed: u64, first: usize) -> Self {
        let words: [u64; 4] = std::array::from_fn(|lane| pattern(seed, first + lane));
        // SAFETY: has the instructions by the caller's promise; reads `words`.
        unsafe { Self::load(words.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        // SAFETY: has the instructions by the caller's promise.
        Self(unsafe { _mm256_set1_epi64x(word as i64) })
    }
    #[inline(always)]
    unsafe fn prefetch(from: *const u64) {
        vector::prefetch(from);
    }
    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        // SAFETY: instructions and address by the caller's promise.
        Self(unsafe { _mm256_loadu_si256(from.cast()) })
    }
    #[inline(always)]
    unsafe fn stream(to: *mut u64, value: Self) {
        // SAFETY: instructions, address and alignment by the caller's promise; the loops end with a fence.
        unsafe { _mm256_stream_si256(to.cast(), value.0) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut u64, value: Self) {
        // SAFETY: instructions, address and alignment by the caller's promise.
        unsafe { _mm256_store_si256(to.cast(), value.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: has the instructions by the caller's promise.
        Self(unsafe { _mm256_add_epi64(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn triad(b: Self, s: Self, c: Self) -> Self {
        // SAFETY: has the instructions by the caller's promise.
        unsafe {
            let [b, s, c] = [b, s, c].map(|register| _mm256_castsi256_pd(register.0));
            Self(_mm256_castpd_si256(_mm256_fmadd_pd(s, c, b)))
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> u64 {
        let mut words = [0u64; 4];
        // SAFETY: has the instructions by the caller's promise; writes `words`.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
        words.iter().fold(0, |sum, &word| sum.wrapping_add(word))
    }
    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: every x86-64 CPU has it.
        unsafe { _mm_sfence() }
    }
}

fn read(words: &[u64]) -> u64 {
    #[target_feature(enable = "avx2,fma")]
    fn inner(words: &[u64]) -> u64 {
        // SAFETY: the features are enabled here.
        unsafe { vector::read::<Register>(words) }
    }
    // SAFETY: handed out by [`kernels`] where the CPU has the features.
    unsafe { inner(words) }
}

fn write(to: &mut [u64], seed: u64) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(to: &mut [u64], seed: u64) {
        // SAFETY: the features are enabled here.
        unsafe { vector::write::<Register, true>(to, seed) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(to, seed) }
}

fn copy(to: &mut [u64], from: &[u64]) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(to: &mut [u64], from: &[u64]) {
        // SAFETY: the features are enabled here.
        unsafe { vector::copy::<Register>(to, from) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(to, from) }
}

fn triad(a: &mut [u64], b: &[u64], c: &[u64], s: f64) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(a: &mut [u64], b: &[u64], c: &[u64], s: f64) {
        // SAFETY: the features are enabled here.
        unsafe { vector::triad::<Register>(a, b, c, s) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(a, b, c, s) }
}

fn write_temporal(to: &mut [u64], seed: u64) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(to: &mut [u64], seed: u64) {
        // SAFETY: the features are enabled here.
        unsafe { vector::write::<Register, false>(to, seed) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(to, seed) }
}

fn mix_2r1w(a: &mut [u64], sources: [&[u64]; 2]) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(a: &mut [u64], sources: [&[u64]; 2]) {
        // SAFETY: the features are enabled here.
        unsafe { vector::mix::<Register, 2>(a, sources) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(a, sources) }
}

fn mix_3r1w(a: &mut [u64], sources: [&[u64]; 3]) {
    #[target_feature(enable = "avx2,fma")]
    fn inner(a: &mut [u64], sources: [&[u64]; 3]) {
        // SAFETY: the features are enabled here.
        unsafe { vector::mix::<Register, 3>(a, sources) }
    }
    // SAFETY: as in `read`.
    unsafe { inner(a, sources) }
}
