//! The algorithm, over any vector of 8-byte words.
//!
//! A loop goes word by word until the destination is aligned to a cache line, then line by line in blocks of
//! [`BLOCK`] words, then word by word again.

/// Words of a cache line.
const LINE: usize = 8;
/// Words a round: four lines keep enough independent work in flight to hide the latency of an addition.
const BLOCK: usize = 4 * LINE;
/// Words that a read asks for ahead of their use: 1 KiB.
const AHEAD: usize = 128;
/// Odd, so that all words of a pattern differ; the 64-bit golden ratio.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Word `index` of what a write leaves: different in every word and for every seed.
pub const fn pattern(seed: u64, index: usize) -> u64 {
    seed.wrapping_add(STRIDE.wrapping_mul(index as u64))
}

/// Asks for the lines of the block at `from`, which may be any address.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn prefetch(from: *const u64) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for line in 0..BLOCK / LINE {
        // SAFETY: every x86-64 CPU has it, and it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * LINE).cast()) };
    }
}

/// Asks for the lines of the block at `from`, which may be any address.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn prefetch(from: *const u64) {
    for line in 0..BLOCK / LINE {
        let line = from.wrapping_add(line * LINE);
        // SAFETY: every AArch64 CPU has it, and it never faults.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
    }
}

/// A register of [`Vector::WORDS`] words.
///
/// # Safety
/// Every method needs the CPU to have the instructions of the implementation; addresses must be valid for
/// [`Vector::WORDS`] words, those of `stream` and `store` aligned to the size of the vector.
pub unsafe trait Vector: Copy {
    /// Words in it: a divisor of 8.
    const WORDS: usize;
    /// Zero in each word.
    unsafe fn zero() -> Self;
    /// `seed + STRIDE * (first + lane)` in each lane.
    unsafe fn ramp(seed: u64, first: usize) -> Self;
    /// The same word in each lane.
    unsafe fn splat(word: u64) -> Self;
    /// Asks for the lines of a block at `from`; any address will do.
    unsafe fn prefetch(from: *const u64);
    /// Reads, at any alignment.
    unsafe fn load(from: *const u64) -> Self;
    /// Writes past the caches where that is possible.
    unsafe fn stream(to: *mut u64, value: Self);
    /// Writes as any program does: through the caches.
    unsafe fn store(to: *mut u64, value: Self);
    /// Wrapping sum of each lane.
    unsafe fn add(self, other: Self) -> Self;
    /// `b + s * c` of f64 lanes, rounded once.
    unsafe fn triad(b: Self, s: Self, c: Self) -> Self;
    /// Wrapping sum over the lanes.
    unsafe fn sum(self) -> u64;
    /// Makes streamed writes visible in order.
    unsafe fn fence();
}

/// Wrapping sum.
///
/// Two halves at once, each asked for [`AHEAD`] of its use: one stream alone leaves DRAM idle between its pages
/// (measured on Zen 4, two cores, 256 MiB each, median of 9: 62.9 GB/s with one stream, 65.4 with two, 67.3 with two
/// and prefetching; four and eight streams were no better).
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub unsafe fn read<V: Vector>(words: &[u64]) -> u64 {
    let (blocks, tail) = words.as_chunks::<BLOCK>();
    let (first, second) = blocks.split_at(blocks.len() / 2);
    // An odd number of blocks leaves one of the second half.
    let (second, odd) = second.split_at(first.len());
    // SAFETY: the instructions by the caller's promise; every block is inside `words`.
    unsafe {
        let mut sums = [V::zero(); BLOCK];
        for pair in first.iter().zip(second) {
            for block in [pair.0, pair.1] {
                V::prefetch(block.as_ptr().wrapping_add(AHEAD));
                for (i, sum) in sums.iter_mut().enumerate().take(BLOCK / V::WORDS) {
                    *sum = sum.add(V::load(block.as_ptr().add(i * V::WORDS)));
                }
            }
        }
        let mut total = V::zero();
        for sum in &sums[..BLOCK / V::WORDS] {
            total = total.add(*sum);
        }
        let rest = odd.as_flattened().iter().chain(tail);
        rest.fold(total.sum(), |sum, &word| sum.wrapping_add(word))
    }
}

/// Writes [`pattern`], past the caches or through them.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub unsafe fn write<V: Vector, const PAST_CACHES: bool>(to: &mut [u64], seed: u64) {
    let head = head(to);
    for (i, word) in to[..head].iter_mut().enumerate() {
        *word = pattern(seed, i);
    }
    let (blocks, tail) = to[head..].as_chunks_mut::<BLOCK>();
    let count = blocks.len();
    // SAFETY: the instructions by the caller's promise; every block is inside `to` and aligned to a line.
    unsafe {
        let mut ramps = [V::zero(); BLOCK];
        for (i, ramp) in ramps.iter_mut().enumerate().take(BLOCK / V::WORDS) {
            *ramp = V::ramp(seed, head + i * V::WORDS);
        }
        let step = V::splat(STRIDE.wrapping_mul(BLOCK as u64));
        for block in blocks {
            for (i, ramp) in ramps.iter_mut().enumerate().take(BLOCK / V::WORDS) {
                let to = block.as_mut_ptr().add(i * V::WORDS);
                if PAST_CACHES {
                    V::stream(to, *ramp);
                } else {
                    V::store(to, *ramp);
                }
                *ramp = ramp.add(step);
            }
        }
        V::fence();
    }
    for (i, word) in tail.iter_mut().enumerate() {
        *word = pattern(seed, head + count * BLOCK + i);
    }
}

/// Copies.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub unsafe fn copy<V: Vector>(to: &mut [u64], from: &[u64]) {
    assert_eq!(to.len(), from.len(), "a copy needs as much room as data");
    let head = head(to);
    to[..head].copy_from_slice(&from[..head]);
    let (to, to_tail) = to[head..].as_chunks_mut::<BLOCK>();
    let (from, from_tail) = from[head..].as_chunks::<BLOCK>();
    // SAFETY: the instructions by the caller's promise; every block is inside, `to` aligned to a line.
    unsafe {
        for (to, from) in to.iter_mut().zip(from) {
            for i in 0..BLOCK / V::WORDS {
                let at = i * V::WORDS;
                V::stream(to.as_mut_ptr().add(at), V::load(from.as_ptr().add(at)));
            }
        }
        V::fence();
    }
    to_tail.copy_from_slice(from_tail);
}

/// `a[i] = b[i] + s * c[i]`.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub unsafe fn triad<V: Vector>(a: &mut [u64], b: &[u64], c: &[u64], s: f64) {
    assert!(a.len() == b.len() && a.len() == c.len(), "a triad needs three equal lengths");
    let scalar = |a: &mut [u64], b: &[u64], c: &[u64]| {
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = s.mul_add(f64::from_bits(*c), f64::from_bits(*b)).to_bits();
        }
    };
    let head = head(a);
    scalar(&mut a[..head], &b[..head], &c[..head]);
    let (a, a_tail) = a[head..].as_chunks_mut::<BLOCK>();
    let (b, b_tail) = b[head..].as_chunks::<BLOCK>();
    let (c, c_tail) = c[head..].as_chunks::<BLOCK>();
    // SAFETY: the instructions by the caller's promise; every block is inside, `a` aligned to a line.
    unsafe {
        let factor = V::splat(s.to_bits());
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            for i in 0..BLOCK / V::WORDS {
                let at = i * V::WORDS;
                let (b, c) = (V::load(b.as_ptr().add(at)), V::load(c.as_ptr().add(at)));
                V::stream(a.as_mut_ptr().add(at), V::triad(b, factor, c));
            }
        }
        V::fence();
    }
    scalar(a_tail, b_tail, c_tail);
}

/// `a[i]` = wrapping sum of word `i` of each source.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub unsafe fn mix<V: Vector, const R: usize>(a: &mut [u64], sources: [&[u64]; R]) {
    assert!(sources.iter().all(|source| source.len() == a.len()), "a mix needs equal lengths");
    let scalar = |a: &mut [u64], from: usize| {
        for (i, a) in a.iter_mut().enumerate() {
            *a = sources.iter().fold(0, |sum: u64, source| sum.wrapping_add(source[from + i]));
        }
    };
    let head = head(a);
    scalar(&mut a[..head], 0);
    let (blocks, tail) = a[head..].as_chunks_mut::<BLOCK>();
    let tail_at = head + blocks.len() * BLOCK;
    // SAFETY: the instructions by the caller's promise; every block is inside all of them, `a` aligned to a line.
    unsafe {
        for (index, block) in blocks.iter_mut().enumerate() {
            for i in 0..BLOCK / V::WORDS {
                let at = head + index * BLOCK + i * V::WORDS;
                let mut sum = V::load(sources[0].as_ptr().add(at));
                for source in &sources[1..] {
                    sum = sum.add(V::load(source.as_ptr().add(at)));
                }
                V::stream(block.as_mut_ptr().add(i * V::WORDS), sum);
            }
        }
        V::fence();
    }
    scalar(tail, tail_at);
}

/// Words before the first cache line that starts in `to`.
fn head(to: &[u64]) -> usize {
    to.as_ptr().align_offset(LINE * size_of::<u64>()).min(to.len())
}
