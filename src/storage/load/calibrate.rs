//! The device's ceiling and its knee: the best raw sequential direct read over block sizes, queue depths and threads,
//! found by a search along one after the other.

use std::fs::File;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::host::Buffer;
use crate::storage::read::{Block, Blocks, Fault, Reader};

/// Block size at which depths are compared, in bytes.
const FIRST_BLOCK: usize = 1 << 20;

/// Smallest and largest block size tried, in bytes; each is four times the one before.
const BLOCKS: (usize, usize) = (256 << 10, 16 << 20);

/// Largest queue depth of a thread tried; depths double from 1, and so do threads.
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

/// How much is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Block size in bytes.
    pub block_bytes: usize,
    /// Reads in flight on each thread.
    pub depth: usize,
    /// Threads, each with a ring of its own.
    pub threads: usize,
}

impl InFlight {
    /// Bytes in flight.
    pub const fn bytes(&self) -> usize {
        self.block_bytes * self.depth * self.threads
    }
}

/// How much was in flight, and what that gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// What was in flight.
    #[serde(flatten)]
    pub in_flight: InFlight,
    /// 1e9 bytes a second.
    pub gb_per_s: f64,
}

/// The trial with the fewest bytes in flight, then the fewest threads, that is nearly as fast as the best: beyond it
/// more in flight only adds latency.
pub fn knee(trials: &[Trial]) -> Option<Trial> {
    let best = trials.iter().map(|t| t.gb_per_s).fold(0.0, f64::max);
    let enough = trials.iter().filter(|t| t.gb_per_s >= KNEE_SHARE * best);
    enough
        .copied()
        .min_by_key(|t| (t.in_flight.bytes(), t.in_flight.threads, t.in_flight.block_bytes))
}

/// Searches depth, block size and threads with `measure`, which tells the GB/s of so much in flight; every trial, the best first.
/// Each is climbed from the knee of what was tried before, so that ties do not pile up what is in flight.
fn search<E>(
    most_threads: usize,
    mut measure: impl FnMut(InFlight) -> Result<f64, E>,
) -> Result<Vec<Trial>, E> {
    let mut trials = Vec::new();
    let first = InFlight { block_bytes: FIRST_BLOCK, depth: 1, threads: 1 };
    let depths = powers(1, MAX_DEPTH, 2).map(|depth| InFlight { depth, ..first });
    climb(&mut trials, depths, &mut measure)?;
    for blocks in [(4 * FIRST_BLOCK, BLOCKS.1), (BLOCKS.0, FIRST_BLOCK / 4)] {
        let best = knee(&trials).map_or(first, |best| best.in_flight);
        let blocks = powers(blocks.0, blocks.1, 4);
        climb(
            &mut trials,
            blocks.map(|block_bytes| InFlight { block_bytes, ..best }),
            &mut measure,
        )?;
    }
    let best = knee(&trials).map_or(first, |best| best.in_flight);
    let threads = powers(2, most_threads, 2).map(|threads| InFlight { threads, ..best });
    climb(&mut trials, threads, &mut measure)?;
    for _ in 0..FINAL_ROUNDS {
        for finalist in [fastest(&trials), knee(&trials)].into_iter().flatten() {
            trials.push(Trial {
                in_flight: finalist.in_flight,
                gb_per_s: measure(finalist.in_flight)?,
            });
        }
    }
    trials.sort_by(|a, b| b.gb_per_s.total_cmp(&a.gb_per_s));
    Ok(trials)
}

/// Tries `steps` in order until nothing is gained any more.
fn climb<E>(
    trials: &mut Vec<Trial>,
    steps: impl Iterator<Item = InFlight>,
    measure: &mut impl FnMut(InFlight) -> Result<f64, E>,
) -> Result<(), E> {
    let mut idle = 0;
    for in_flight in steps {
        let before = fastest(trials).map_or(0.0, |best| best.gb_per_s);
        let gb_per_s = measure(in_flight)?;
        trials.push(Trial { in_flight, gb_per_s });
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

/// Hands out files piece by piece, each where the one before ended, so that no cache below serves a piece again soon.
pub struct Pieces {
    lengths: Vec<u64>,
    align: u64,
    cursor: u64,
}

impl Pieces {
    /// Pieces of files of these lengths.
    pub fn new(lengths: Vec<u64>, align: u64) -> Self {
        Self { lengths, align, cursor: 0 }
    }

    /// The next blocks of `block_bytes`, about `bytes` in all but no more than the files have.
    pub fn next(&mut self, block_bytes: usize, bytes: u64) -> Vec<Block> {
        let cut = Blocks::whole_files(&self.lengths, block_bytes, self.align);
        let total: u64 = cut.blocks.iter().map(|b| b.bytes as u64).sum();
        let skip = self.cursor % total.max(1);
        let mut passed = 0;
        let first = cut.blocks.iter().position(|block| {
            passed += block.bytes as u64;
            passed > skip
        });
        let mut taken = 0;
        let rotated = cut.blocks.iter().cycle().skip(first.unwrap_or(0)).take(cut.blocks.len());
        let blocks = rotated.take_while(|block| {
            let more = taken < bytes;
            taken += if more { block.bytes as u64 } else { 0 };
            more
        });
        let blocks = blocks.copied().collect();
        self.cursor += taken;
        blocks
    }
}

/// Searches `files`, opened for direct reads, for what is best in flight with about `trial_time` a trial; every trial, the best
/// one first. `reader` has a depth of at least [`MAX_DEPTH`] and `most_threads` threads, `memory` is as long as
/// [`Blocks::whole_files`] needs.
///
/// # Errors
/// The first fault of a read.
pub fn calibrate(
    reader: &mut Reader,
    most_threads: usize,
    files: &[File],
    pieces: &mut Pieces,
    memory: &mut Buffer,
    trial_time: Duration,
) -> Result<Vec<Trial>, Fault> {
    let mut trial = |in_flight: InFlight, bytes| {
        let blocks = pieces.next(in_flight.block_bytes, bytes);
        reader.limit(in_flight.threads, in_flight.depth);
        let mut session = reader.open(files, pieces.align);
        let clock = Instant::now();
        session.read(&blocks, memory)?;
        let read: usize = blocks.iter().map(|block| block.bytes).sum();
        Ok(read as f64 / clock.elapsed().as_secs_f64() / 1e9)
    };
    let first = InFlight { block_bytes: FIRST_BLOCK, depth: MAX_DEPTH / 4, threads: 1 };
    let probe = trial(first, PROBE_BYTES)?;
    let bytes = (probe * 1e9 * trial_time.as_secs_f64()) as u64;
    search(most_threads, |in_flight| trial(in_flight, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that gives each read a share of its rate until `depth` reads of `block` bytes are in flight on each of
    /// `threads` threads.
    fn device(
        block: usize,
        depth: usize,
        threads: usize,
    ) -> impl FnMut(InFlight) -> Result<f64, ()> {
        let share = |have: usize, need: usize| have.min(need) as f64 / need as f64;
        move |now| {
            let parts = [(now.block_bytes, block), (now.depth, depth), (now.threads, threads)];
            Ok(parts.into_iter().fold(10.0, |rate, (have, need)| rate * share(have, need)))
        }
    }

    #[test]
    fn the_search_finds_the_knee_without_trying_everything() {
        for threads in [1, 4] {
            let trials = search(8, device(1 << 20, 8, threads)).unwrap();
            assert_eq!(trials[0].gb_per_s, 10.0);
            let knee = knee(&trials).unwrap().in_flight;
            assert_eq!(knee, InFlight { block_bytes: 1 << 20, depth: 8, threads });
            let grid = 7 * 4 * 4;
            assert!(trials.len() < grid / 5, "{}", trials.len());
        }
        let trials = search(1, device(1 << 20, 8, 4)).unwrap();
        assert!(trials.iter().all(|trial| trial.in_flight.threads == 1), "no more than there are");
    }

    #[test]
    fn a_device_that_wants_large_blocks_gets_them() {
        let trials = search(2, device(16 << 20, 4, 1)).unwrap();
        assert_eq!((trials[0].gb_per_s, trials[0].in_flight.block_bytes), (10.0, 16 << 20));
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn a_fault_ends_the_search() {
        let mut left = 3;
        let failing = |_| {
            left -= 1;
            if left == 0 { Err("EIO") } else { Ok(1.0) }
        };
        assert_eq!(search(2, failing), Err("EIO"));
    }

    #[test]
    fn pieces_go_on_where_the_last_one_ended_and_start_over() {
        let mut pieces = Pieces::new(vec![10_000, 5_000], 512);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let blocks = pieces.next(1024, 2_500);
            assert_eq!(blocks.len(), 3);
            seen.extend(blocks.iter().map(|block| (block.file, block.offset)));
        }
        assert_eq!(seen.len(), 15);
        assert_eq!(seen.iter().collect::<std::collections::HashSet<_>>().len(), 15, "all blocks");
        assert_eq!(pieces.next(1024, 2_500)[0].offset, 0, "from the start again");
        assert_eq!(pieces.next(1024, 1 << 40).len(), 15, "no more than there is");
    }
}
