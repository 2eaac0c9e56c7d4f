//! The device's ceiling and its knee: the best raw sequential direct read over block sizes and queue depths, found by
//! a search along one and then the other.

use std::fs::File;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::host::Buffer;
use crate::storage::read::{Block, Blocks, Direct, Fault};

/// Block size at which depths are compared, in bytes.
const FIRST_BLOCK: usize = 1 << 20;

/// Smallest and largest block size tried, in bytes; each is four times the one before.
const BLOCKS: (usize, usize) = (256 << 10, 16 << 20);

/// Largest queue depth tried; depths double from 1.
pub const MAX_DEPTH: usize = 64;

/// A step that gains less than this is none: 3 %.
const GAIN: f64 = 1.03;

/// Steps without gain after which a search ends.
const PATIENCE: usize = 2;

/// The knee reaches this share of the best.
const KNEE_SHARE: f64 = 0.97;

/// Times that the best candidates are tried again: the ceiling is the best of all.
const FINAL_ROUNDS: usize = 2;

/// Bytes of the first read, which tells how many a trial needs.
const PROBE_BYTES: u64 = 64 << 20;

/// One block size and depth, and what they gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// Block size in bytes.
    pub block_bytes: usize,
    /// Reads in flight.
    pub depth: usize,
    /// 1e9 bytes a second.
    pub gb_per_s: f64,
}

/// The trial with the fewest bytes in flight that is nearly as fast as the best: beyond it more depth only adds latency.
pub fn knee(trials: &[Trial]) -> Option<Trial> {
    let best = trials.iter().map(|t| t.gb_per_s).fold(0.0, f64::max);
    let enough = trials.iter().filter(|t| t.gb_per_s >= KNEE_SHARE * best);
    enough.copied().min_by_key(|t| (t.block_bytes * t.depth, t.block_bytes))
}

/// Searches block size and depth with `measure`, which takes both and tells GB/s; every trial, the best one first.
fn search<E>(mut measure: impl FnMut(usize, usize) -> Result<f64, E>) -> Result<Vec<Trial>, E> {
    let mut trials = Vec::new();
    let depths = powers(1, MAX_DEPTH, 2);
    climb(&mut trials, depths.map(|depth| (FIRST_BLOCK, depth)), &mut measure)?;
    let depth = fastest(&trials).map_or(1, |best| best.depth);
    let larger = powers(4 * FIRST_BLOCK, BLOCKS.1, 4);
    climb(&mut trials, larger.map(|block| (block, depth)), &mut measure)?;
    let smaller = powers(BLOCKS.0, FIRST_BLOCK / 4, 4);
    climb(&mut trials, smaller.map(|block| (block, depth)), &mut measure)?;
    for _ in 0..FINAL_ROUNDS {
        for finalist in [fastest(&trials), knee(&trials)].into_iter().flatten() {
            let (block_bytes, depth) = (finalist.block_bytes, finalist.depth);
            trials.push(Trial { block_bytes, depth, gb_per_s: measure(block_bytes, depth)? });
        }
    }
    trials.sort_by(|a, b| b.gb_per_s.total_cmp(&a.gb_per_s));
    Ok(trials)
}

/// Tries `steps` in order until nothing is gained any more.
fn climb<E>(
    trials: &mut Vec<Trial>,
    steps: impl Iterator<Item = (usize, usize)>,
    measure: &mut impl FnMut(usize, usize) -> Result<f64, E>,
) -> Result<(), E> {
    let mut idle = 0;
    for (block_bytes, depth) in steps {
        let before = fastest(trials).map_or(0.0, |best| best.gb_per_s);
        let gb_per_s = measure(block_bytes, depth)?;
        trials.push(Trial { block_bytes, depth, gb_per_s });
        idle = if gb_per_s > before * GAIN { 0 } else { idle + 1 };
        if idle == PATIENCE {
            break;
        }
    }
    Ok(())
}

fn fastest(trials: &[Trial]) -> Option<Trial> {
    trials.iter().copied().max_by(|a, b| a.gb_per_s.total_cmp(&b.gb_per_s))
}

fn powers(first: usize, last: usize, factor: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(first), move |n| Some(n * factor)).take_while(move |&n| n <= last)
}

/// Reads files piece by piece, each trial where the one before ended, so that no cache below serves it.
pub struct Calibration<'a> {
    /// Reader with a depth of at least [`MAX_DEPTH`].
    pub reader: &'a mut Direct,
    /// Files, opened for direct I/O.
    pub files: &'a [File],
    /// Their lengths.
    pub lengths: &'a [u64],
    /// At least as long as [`Blocks::whole_files`] needs.
    pub memory: &'a mut Buffer,
    /// Alignment of direct reads.
    pub align: u64,
    /// Bytes read so far.
    pub cursor: u64,
}

impl Calibration<'_> {
    /// Searches with about `trial_time` a trial; every trial, the best one first.
    ///
    /// # Errors
    /// The first fault of a read.
    pub fn run(&mut self, trial_time: Duration) -> Result<Vec<Trial>, Fault> {
        let probe = self.trial(FIRST_BLOCK, MAX_DEPTH / 4, PROBE_BYTES)?;
        let bytes = (probe * 1e9 * trial_time.as_secs_f64()) as u64;
        search(|block_bytes, depth| self.trial(block_bytes, depth, bytes))
    }

    /// GB/s of reading about `bytes` from where the last trial ended.
    fn trial(&mut self, block_bytes: usize, depth: usize, bytes: u64) -> Result<f64, Fault> {
        let cut = Blocks::whole_files(self.lengths, block_bytes, self.align);
        let total: u64 = cut.blocks.iter().map(|b| b.bytes as u64).sum();
        let skip = self.cursor % total.max(1);
        let mut passed = 0;
        let first = cut.blocks.iter().position(|block| {
            passed += block.bytes as u64;
            passed > skip
        });
        let mut taken = 0;
        let rotated = cut.blocks.iter().cycle().skip(first.unwrap_or(0)).take(cut.blocks.len());
        let blocks: Vec<Block> = rotated
            .take_while(|block| {
                let more = taken < bytes;
                taken += if more { block.bytes as u64 } else { 0 };
                more
            })
            .copied()
            .collect();
        self.cursor += taken;
        self.reader.limit(depth);
        let clock = Instant::now();
        self.reader.read(self.files, &blocks, self.memory, self.align)?;
        Ok(taken as f64 / clock.elapsed().as_secs_f64() / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that gives each read a share of its rate until `depth` of `block` bytes are in flight.
    fn device(block: usize, depth: usize) -> impl FnMut(usize, usize) -> Result<f64, ()> {
        move |b, d| {
            Ok(10.0 * (b.min(block) as f64 / block as f64) * (d.min(depth) as f64 / depth as f64))
        }
    }

    #[test]
    fn the_search_finds_the_knee_without_trying_everything() {
        let trials = search(device(1 << 20, 8)).unwrap();
        assert_eq!(trials[0].gb_per_s, 10.0);
        let knee = knee(&trials).unwrap();
        assert_eq!((knee.block_bytes, knee.depth), (1 << 20, 8));
        let grid = 7 * 4;
        assert!(trials.len() < grid / 2 + 2, "{}", trials.len());
    }

    #[test]
    fn a_device_that_wants_large_blocks_gets_them() {
        let trials = search(device(16 << 20, 4)).unwrap();
        assert_eq!((trials[0].gb_per_s, trials[0].block_bytes), (10.0, 16 << 20));
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn a_fault_ends_the_search() {
        let mut left = 3;
        let failing = |_, _| {
            left -= 1;
            if left == 0 { Err("EIO") } else { Ok(1.0) }
        };
        assert_eq!(search(failing), Err("EIO"));
    }
}
