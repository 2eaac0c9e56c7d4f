//! The best way of direct reading that this host allows: io_uring, else threads of blocking reads.

use std::fs::File;

use super::blocks::Block;
use super::drive::{Fault, drive};
use super::pread;
use super::refusal::Refusal;
use super::ring::Ring;
use crate::host::Buffer;

/// Most threads that stand for a queue when there is no io_uring.
const MAX_THREADS: usize = 32;

/// Reads past the page cache, many in flight.
pub struct Direct {
    ring: Result<Ring, Refusal>,
    depth: usize,
}

impl Direct {
    /// A reader with up to `depth` reads in flight.
    pub fn new(depth: usize) -> Self {
        Self { ring: Ring::new(depth), depth }
    }

    /// Keeps no more than `depth` reads in flight from now on, at most as many as it was made for.
    pub fn limit(&mut self, depth: usize) {
        self.depth = depth;
        if let Ok(ring) = &mut self.ring {
            ring.limit(depth);
        }
    }

    /// Prepares for reads into `memories`; see [`Ring::register`].
    pub fn register<'m>(&mut self, memories: impl IntoIterator<Item = &'m mut Buffer>) {
        if let Ok(ring) = &mut self.ring {
            ring.register(memories);
        }
    }

    /// Reads `blocks` of `files`, opened for direct I/O, into `memory`.
    ///
    /// # Errors
    /// The first fault.
    pub fn read(
        &mut self,
        files: &[File],
        blocks: &[Block],
        memory: &mut Buffer,
        align: u64,
    ) -> Result<(), Fault> {
        match &mut self.ring {
            Ok(ring) => drive(&mut ring.queue(files, memory, align), blocks.iter().copied()),
            Err(_) => pread::read(files, blocks, memory, align, self.threads()),
        }
    }

    fn threads(&self) -> usize {
        self.depth.clamp(1, MAX_THREADS)
    }

    /// Which code reads.
    pub fn path(&self) -> String {
        match &self.ring {
            Ok(ring) => ring.path(),
            Err(_) => format!("pread/direct x{} threads", self.threads()),
        }
    }

    /// Set-up flags of the ring, where there is one.
    pub fn flags(&self) -> Option<&'static str> {
        self.ring.as_ref().ok().map(Ring::flags)
    }

    /// What was asked for and not given, best first.
    pub fn refusals(&self) -> Vec<String> {
        match &self.ring {
            Ok(ring) => ring.refusals().iter().map(ToString::to_string).collect(),
            Err(refusal) => vec![refusal.to_string()],
        }
    }
}
