//! What a bandwidth loop runs over: how large its streams are, where they lie, what is in them.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::super::ceiling::DramCeiling;
use super::super::kernels::Kernels;
use crate::host::pages::{self, HUGE};
use crate::host::{Buffer, Caches, Disjoint, Pages, Root, Worker, Workers};
use crate::record::MetricId;
use crate::{Error, Result};

/// Words of a huge page: slices end on these, so that no page belongs to two workers.
pub const GRANULE: usize = HUGE / size_of::<u64>();
/// Least bytes of a worker's slice: a pass takes milliseconds, and starting together microseconds.
const LEAST_SLICE: usize = 16 << 20;
/// A stream is this many times the last-level caches in use (STREAM's rule) ...
const OF_CACHE: usize = 4;
/// ... and never less than this many times, where memory is short.
pub const LEAST_OF_CACHE: usize = 2;
/// What the destination holds before a verification: no f64 of the data, no pattern.
const POISON: u64 = 0x7ff4_dead_7ff4_dead;
/// What is done to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// Reads one stream.
    Read,
    /// Writes one stream, past the caches.
    WriteNt,
    /// Copies one stream to another, writes past the caches.
    CopyNt,
    /// `a = b + s c` over three streams, writes past the caches.
    TriadNt,
}

impl Loop {
    /// Every loop.
    pub const ALL: [Self; 4] = [Self::Read, Self::WriteNt, Self::CopyNt, Self::TriadNt];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::WriteNt => "write-nt",
            Self::CopyNt => "copy-nt",
            Self::TriadNt => "triad-nt",
        }
    }

    /// Streams read, and streams written.
    pub const fn streams(self) -> (u64, u64) {
        match self {
            Self::Read => (1, 0),
            Self::WriteNt => (0, 1),
            Self::CopyNt => (1, 1),
            Self::TriadNt => (2, 1),
        }
    }

    /// The metric over all cores.
    pub fn metric(self) -> MetricId {
        MetricId::new(["dram", self.name(), "all-cores"])
    }
}

/// Where a loop runs and over what.
pub struct Setup {
    pub id: MetricId,
    pub workers: Arc<Workers>,
    pub kernels: Kernels,
    pub kind: Loop,
    /// Words of a stream.
    pub words: usize,
    /// Last-level caches that the workers use.
    pub cache_bytes: usize,
    /// The node that the memory is bound to; without one it lies where each worker touched it first.
    pub node: Option<usize>,
    pub ceiling: DramCeiling,
}

impl Setup {
    /// Sizes the streams of `kind` by the caches of `workers`.
    pub fn new(
        id: MetricId,
        workers: Arc<Workers>,
        kind: Loop,
        node: Option<usize>,
        ceiling: DramCeiling,
    ) -> Result<Self> {
        let cache_bytes = Caches::of(workers.cpus()).last_level_total;
        let (read, written) = kind.streams();
        let streams = (read + written) as usize;
        let wanted = (OF_CACHE * cache_bytes).max(LEAST_SLICE * workers.count());
        let free = pages::available(&Root::host()).map_or(usize::MAX, |free| free as usize);
        // A quarter of what is free stays with the rest of the host.
        let bytes = wanted.min(free / 4 * 3 / streams);
        if bytes < LEAST_OF_CACHE * cache_bytes {
            return Err(Error::Unavailable(format!(
                "{streams} streams of twice the last-level cache ({} MiB) do not fit into free memory",
                cache_bytes >> 20
            )));
        }
        let share = (bytes / workers.count() / HUGE).max(1) * GRANULE;
        let words = share * workers.count();
        let kernels = Kernels::best();
        Ok(Self { id, workers, kernels, kind, words, cache_bytes, node, ceiling })
    }

    /// Memory for one stream; nobody has touched it yet, unless it is bound.
    pub fn buffer(&self) -> Result<Buffer> {
        let bytes = self.words * size_of::<u64>();
        match self.node {
            Some(node) => Buffer::on_node(bytes, Pages::Transparent, node),
            None => Buffer::new(bytes, Pages::Transparent),
        }
    }
}

/// Worker's words.
pub fn part(worker: Worker<'_>, words: usize) -> std::ops::Range<usize> {
    worker.part(words, GRANULE)
}

/// Uniform in [-1, 1) as f64, each worker touching its own part first.
pub fn fill_random(workers: &Workers, buffer: &mut Buffer, seed: u64) {
    let words = Disjoint::new(buffer.as_mut_slice::<f64>());
    workers.run(|worker| {
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ (worker.index() as u64) << 32);
        // SAFETY: the workers' parts do not overlap.
        let part = unsafe { words.slice(part(worker, words.len())) };
        part.fill_with(|| rng.random::<f64>().mul_add(2.0, -1.0));
    });
}

/// Fills a destination with what no loop writes.
pub fn poison(workers: &Workers, buffer: &mut Buffer) {
    let words = Disjoint::new(buffer.as_mut_slice::<u64>());
    workers.run(|worker| {
        // SAFETY: the workers' parts do not overlap.
        unsafe { words.slice(part(worker, words.len())) }.fill(POISON);
    });
}
