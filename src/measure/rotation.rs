//! Cold inputs: take turns over copies that together outgrow the last-level cache.
//!
//! A kernel that is run again on the same inputs reads them from the cache and reports a bandwidth that no model
//! will ever see. The remedy is CUTLASS's: duplicates of all inputs worth at least twice the last-level cache, and at
//! least two even when one problem is already larger. Whether every copy really had its turn is checked, since a
//! harness that runs fewer iterations than there are copies is warm without knowing it (flashinfer issue 4468).

use crate::record::Cache;

/// Which copy is next, and how often each has been used.
#[derive(Debug, Clone)]
pub struct Rotation {
    uses: Vec<u64>,
    next: usize,
}

impl Rotation {
    /// Copies that are needed for one copy of `bytes` and a last-level cache of `cache_bytes`.
    pub fn copies(bytes: u64, cache_bytes: u64) -> usize {
        let copies = (2 * cache_bytes).div_ceil(bytes.max(1)).max(2);
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
    fn twice_the_cache_and_at_least_two_copies() {
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
