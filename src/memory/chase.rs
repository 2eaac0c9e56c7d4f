//! A single random cycle through memory: each line holds the address of the next, and no other order visits them.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::host::{Buffer, Pages};
use crate::{Error, Result};

/// Bytes from one element of the cycle to its neighbour in memory: a cache line, so that every access is a new one.
pub const LINE: usize = 64;
/// Words of a line.
const WORDS: usize = LINE / size_of::<u64>();

/// Lines linked into one cycle, and where on it the walk stands.
pub struct Cycle {
    buffer: Buffer,
    lines: usize,
    /// Address of the line to go to.
    at: u64,
}

impl Cycle {
    /// Links `bytes` of memory of kind `pages` into one cycle that visits its lines in random order.
    ///
    /// # Errors
    /// As [`Buffer::new`].
    pub fn new(bytes: usize, pages: Pages, seed: u64) -> Result<Self> {
        Self::over(Buffer::new(bytes.max(LINE), pages)?, seed)
    }

    /// Links the lines of `buffer`.
    ///
    /// # Errors
    /// When the buffer holds no line, or more than 2^32.
    pub fn over(buffer: Buffer, seed: u64) -> Result<Self> {
        let mut cycle = Self { buffer, lines: 0, at: 0 };
        cycle.link(cycle.buffer.len(), seed)?;
        Ok(cycle)
    }

    /// Makes the lines of the first `bytes` of the memory one new cycle.
    ///
    /// # Errors
    /// When that is no line, more than 2^32, or more than there is.
    pub fn link(&mut self, bytes: usize, seed: u64) -> Result<()> {
        let lines = bytes.min(self.buffer.len()) / LINE;
        let count = u32::try_from(lines).ok().filter(|&lines| lines > 0).ok_or_else(|| {
            Error::input(format!("can't chase through {lines} lines"), "Choose 64 B to 256 GiB")
        })?;
        let start = self.buffer.as_ptr().expose_provenance() as u64;
        let next = sattolo(count, seed);
        let words = self.buffer.as_mut_slice::<u64>();
        for (line, &next) in next.iter().enumerate() {
            words[line * WORDS] = start + u64::from(next) * LINE as u64;
        }
        (self.lines, self.at) = (lines, start);
        Ok(())
    }

    /// Lines on the cycle.
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Never: a cycle has at least one line.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The memory.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Goes `steps` lines further, each load waiting for the one before.
    pub fn walk(&mut self, steps: u64) {
        let mut at = self.at;
        // Unrolled by hand: the loop's own work then hides behind the loads.
        for _ in 0..steps / 8 {
            for _ in 0..8 {
                at = self.follow(at);
            }
        }
        for _ in 0..steps % 8 {
            at = self.follow(at);
        }
        self.at = std::hint::black_box(at);
    }

    #[inline(always)]
    fn follow(&self, at: u64) -> u64 {
        // SAFETY: `at` is the address of a line of the buffer, as all links are: [`Self::over`] wrote them.
        unsafe { std::ptr::with_exposed_provenance::<u64>(at as usize).read() }
    }

    /// Proves that the walk visits every line once before it comes back: from the first line, the first return is
    /// after exactly as many steps as there are lines, and no link leaves the buffer.
    ///
    /// # Errors
    /// [`Error::Wrong`] when it is otherwise.
    pub fn verify(&self) -> Result<()> {
        let start = self.buffer.as_ptr().addr() as u64;
        let words = self.buffer.as_slice::<u64>();
        let (mut line, mut steps) = (0, 0);
        loop {
            let offset = words[line * WORDS].wrapping_sub(start);
            if !offset.is_multiple_of(LINE as u64) || offset / LINE as u64 >= self.lines as u64 {
                return Err(Error::Wrong(format!("link {steps} of the cycle leads out of it")));
            }
            line = (offset / LINE as u64) as usize;
            steps += 1;
            if line == 0 || steps > self.lines {
                break;
            }
        }
        if steps == self.lines {
            Ok(())
        } else {
            Err(Error::Wrong(format!("the cycle closes after {steps} of {} lines", self.lines)))
        }
    }
}

/// A random permutation that is one cycle (Sattolo 1986): element i leads to the i-th.
fn sattolo(count: u32, seed: u64) -> Vec<u32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut next: Vec<u32> = (0..count).collect();
    for i in (1..count as usize).rev() {
        next.swap(i, rng.random_range(0..i));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_of_every_length() {
        for bytes in [1, 64, 128, 192, 1000, 64 * 1021, 1 << 20] {
            let seed: u64 = rand::random();
            let mut cycle = Cycle::new(bytes, Pages::Small, seed).unwrap();
            cycle.verify().unwrap_or_else(|e| panic!("{bytes} B, seed {seed}: {e}"));
            // A walk of a whole round ends where it began, one that is shorter does not.
            let (start, lines) = (cycle.at, cycle.len() as u64);
            cycle.walk(lines);
            assert_eq!(cycle.at, start);
            if lines > 1 {
                cycle.walk(lines - 1);
                assert_ne!(cycle.at, start);
            }
        }
    }

    #[test]
    fn a_part_of_the_memory_can_be_linked_anew() {
        let mut cycle = Cycle::new(64 * 100, Pages::Small, 1).unwrap();
        for lines in [1, 7, 100, 50] {
            cycle.link(64 * lines, rand::random()).unwrap();
            cycle.verify().unwrap();
            assert_eq!(cycle.len(), lines);
            let start = cycle.at;
            cycle.walk(lines as u64);
            assert_eq!(cycle.at, start);
        }
        assert!(cycle.link(63, 1).is_err());
        cycle.link(64 * 1000, 1).unwrap();
        assert_eq!(cycle.len(), 100);
    }

    #[test]
    fn broken_cycles_are_caught() {
        let mut cycle = Cycle::new(64 * 100, Pages::Small, 1).unwrap();
        // Line 0 leads to itself: a cycle of one.
        let start = cycle.buffer.as_ptr().addr() as u64;
        cycle.buffer.as_mut_slice::<u64>()[0] = start;
        assert!(matches!(cycle.verify(), Err(Error::Wrong(_))));
        cycle.buffer.as_mut_slice::<u64>()[0] = start + 64 * 100;
        assert!(matches!(cycle.verify(), Err(Error::Wrong(_))));
        cycle.buffer.as_mut_slice::<u64>()[0] = start + 8;
        assert!(matches!(cycle.verify(), Err(Error::Wrong(_))));
        // A loop that never comes back to the first line.
        let mut trapped = Cycle::new(64 * 100, Pages::Small, 1).unwrap();
        let words = trapped.buffer.as_mut_slice::<u64>();
        let second = ((words[0] - start_of(words)) / 64) as usize;
        words[second * WORDS] = start_of(words) + second as u64 * 64;
        assert!(matches!(trapped.verify(), Err(Error::Wrong(_))));
    }

    fn start_of(words: &[u64]) -> u64 {
        words.as_ptr().addr() as u64
    }

    #[test]
    fn permutations_differ_by_seed_and_have_no_fixed_point() {
        let (a, b) = (sattolo(1000, 1), sattolo(1000, 2));
        assert_ne!(a, b);
        assert!(a.iter().enumerate().all(|(i, &next)| i != next as usize));
    }
}
