//! The device's ceiling: the best raw sequential direct read, over block sizes and queue depths.

use std::fs::File;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::host::Buffer;
use crate::storage::read::{Block, Blocks, Direct, Fault};

/// Block sizes tried, in bytes.
const BLOCKS: [usize; 3] = [256 << 10, 1 << 20, 4 << 20];

/// Queue depths tried.
const DEPTHS: [usize; 3] = [4, 16, 64];

/// Largest queue depth tried.
pub const MAX_DEPTH: usize = DEPTHS[DEPTHS.len() - 1];

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
    /// Tries every block size and depth for about `trial_time` each; all trials, the best one first.
    ///
    /// # Errors
    /// The first fault of a read.
    pub fn run(&mut self, trial_time: Duration) -> Result<Vec<Trial>, Fault> {
        let mut bytes = PROBE_BYTES;
        let probe = self.trial(1 << 20, 16, bytes)?;
        bytes = (probe.gb_per_s * 1e9 * trial_time.as_secs_f64()) as u64;
        let mut trials = Vec::new();
        for block_bytes in BLOCKS {
            for depth in DEPTHS {
                trials.push(self.trial(block_bytes, depth, bytes)?);
            }
        }
        let best_first = |a: &Trial, b: &Trial| b.gb_per_s.total_cmp(&a.gb_per_s);
        trials.sort_by(best_first);
        let finalists = [trials[0], trials[1]];
        for _ in 0..FINAL_ROUNDS {
            for finalist in finalists {
                trials.push(self.trial(finalist.block_bytes, finalist.depth, 2 * bytes)?);
            }
        }
        trials.sort_by(best_first);
        Ok(trials)
    }

    /// Reads about `bytes` from where the last trial ended.
    fn trial(&mut self, block_bytes: usize, depth: usize, bytes: u64) -> Result<Trial, Fault> {
        let cut = Blocks::whole_files(self.lengths, block_bytes, self.align);
        let total: u64 = cut.blocks.iter().map(|b| b.bytes as u64).sum();
        let (skip, mut left) = (self.cursor % total.max(1), bytes.min(total));
        let mut passed = 0;
        let start = cut.blocks.iter().position(|block| {
            passed += block.bytes as u64;
            passed > skip
        });
        let mut blocks: Vec<Block> = Vec::new();
        let mut seen = 0;
        for block in cut.blocks.iter().cycle().skip(start.unwrap_or(0)).take(cut.blocks.len()) {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(block.bytes as u64);
            seen += block.bytes as u64;
            blocks.push(*block);
        }
        self.cursor += seen;
        self.reader.limit(depth);
        let clock = Instant::now();
        self.reader.read(self.files, &blocks, self.memory, self.align)?;
        let gb_per_s = seen as f64 / clock.elapsed().as_secs_f64() / 1e9;
        Ok(Trial { block_bytes, depth, gb_per_s })
    }
}
