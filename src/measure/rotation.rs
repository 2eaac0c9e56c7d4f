//! Cold inputs: take turns over copies that together outgrow the last-level cache.
//!
//! A kernel that is run again on the same inputs reads them from the cache and reports a bandwidth that no model
//! will ever see. The remedy is CUTLASS's: duplicates of all inputs worth at least twice the last-level cache, and at
//! least two even when one problem is already larger. Twice is not always enough: caches that don't replace the oldest
//! line first keep a part of what comes round again. (Measured on a Zen 4 guest with 32 MiB of L3, where DRAM gives
//! 68 GB/s: 29 MB of weights rotating over 88 MB were read at 84 GB/s, over 268 MB at 72 GB/s.) So it is eight times,
//! as far as [`MANY`] copies go.
//!
//! Whether every copy really had its turn is checked, since a harness that runs fewer iterations than there are copies
//! is warm without knowing it (flashinfer issue 4468).

use crate::record::Cache;

/// Sizes of the last-level cache that copies are worth at least.
const LEAST: u64 = 2;
/// Sizes of the last-level cache that copies should be worth.
const ENOUGH: u64 = 8;
/// Copies that are not exceeded for more than [`LEAST`]: each must have its turn within the samples of a slow kernel.
const MANY: u64 = 24;

/// Which copy is next, and how often each has been used.
#[derive(Debug, Clone)]
pub struct Rotation {
    uses: Vec<u64>,
    next: usize,
}

impl Rotation {
    /// Copies that are needed for one copy of `bytes` and a last-level cache of `cache_bytes`.
    pub fn copies(bytes: u64, cache_bytes: u64) -> usize {
        let worth = |caches: u64| (caches * cache_bytes).div_ceil(bytes.max(1));
        let copies = worth(ENOUGH).min(MANY).max(worth(LEAST)).max(2);
        usize::try_from(copies).unwrap_or(usize::MAX)
    }

    /// A rotation over `copies` copies.
    pub fn new(copies: usize) -> Self {
        Self { uses: vec![0; copies.max(1)], next: 0 }
    }

    /// The copy to use now.
    pub fn advance(&mut self) -> usize {
        let copy = self.next;
        self.uses[copy] += 1;
        self.next = (copy + 1) % self.uses.len();
        copy
    }

    /// Cold when there are at least two copies and each has been used.
    pub fn cache(&self) -> Cache {
        let covered = self.uses.len() >= 2 && self.uses.iter().all(|&uses| uses > 0);
        if covered { Cache::Cold } else { Cache::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_outgrow_the_cache() {
        // Eight caches of large inputs, two of small ones, never fewer than two copies.
        assert_eq!(Rotation::copies(29 << 20, 32 << 20), 9);
        assert_eq!(Rotation::copies(16 << 20, 32 << 20), 16);
        assert_eq!(Rotation::copies(4 << 20, 32 << 20), 24);
        assert_eq!(Rotation::copies(1 << 20, 32 << 20), 64);
        assert_eq!(Rotation::copies((1 << 20) + 1, 32 << 20), 64);
        assert_eq!(Rotation::copies((1 << 20) - 1, 32 << 20), 65);
        assert_eq!(Rotation::copies(1 << 40, 32 << 20), 2);
        assert_eq!(Rotation::copies(0, 16), 32);
    }

    #[test]
    fn warm_until_every_copy_was_used() {
        let mut rotation = Rotation::new(3);
        let used: Vec<usize> = (0..2).map(|_| rotation.advance()).collect();
        assert_eq!((used, rotation.cache()), (vec![0, 1], Cache::Unknown));
        assert_eq!((rotation.advance(), rotation.cache()), (2, Cache::Cold));
        assert_eq!(rotation.advance(), 0);
    }

    #[test]
    fn one_copy_is_never_cold() {
        let mut rotation = Rotation::new(1);
        for _ in 0..9 {
            rotation.advance();
        }
        assert_eq!(rotation.cache(), Cache::Unknown);
    }
}
