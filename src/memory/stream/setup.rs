//! What a bandwidth loop runs over: how large its streams are, where they lie, what is in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use super::super::ceiling::DramCeiling;
use super::super::kernels::Kernels;
use super::super::size;
use crate::host::pages::{self, HUGE};
use crate::host::{Buffer, Caches, Disjoint, Pages, Policy, Root, Worker, Workers};
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
/// Words by which each stream of a loop starts behind the one before: whole lines, an odd number of them, so that streams
/// meet neither in the low 12 bits of their addresses (a load would wait for an older store to the same offset of a page)
/// nor in the same DRAM bank. Streams that all start at huge pages would do both in every round, which real arrays don't:
/// on Zen 4 it cost a copy 6 to 10 %.
const STAGGER: usize = 41 * 8;
/// What the destination holds before a verification: no f64 of the data, no pattern.
pub const POISON: u64 = 0x7ff4_dead_7ff4_dead;

/// What is done to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// Reads one stream.
    Read,
    /// Writes one stream, past the caches.
    WriteNt,
    /// Writes one stream through the caches, which first read the lines that are overwritten.
    Write,
    /// Copies one stream to another, writes past the caches.
    CopyNt,
    /// `a = b + s c` over three streams, writes past the caches.
    TriadNt,
    /// `a = b + c`: two reads for a write past the caches, without floating point.
    Mix2,
    /// `a = b + c + d`: three reads for a write past the caches.
    Mix3,
}

impl Loop {
    /// Every loop.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::WriteNt,
        Self::Write,
        Self::CopyNt,
        Self::TriadNt,
        Self::Mix2,
        Self::Mix3,
    ];
    /// Those that even a quick run has.
    pub const MAIN: [Self; 4] = [Self::Read, Self::WriteNt, Self::CopyNt, Self::TriadNt];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::WriteNt => "write-nt",
            Self::Write => "write",
            Self::CopyNt => "copy-nt",
            Self::TriadNt => "triad-nt",
            Self::Mix2 => "mix-2r1w-nt",
            Self::Mix3 => "mix-3r1w-nt",
        }
    }

    /// Streams read, and streams written.
    pub const fn streams(self) -> (u64, u64) {
        match self {
            Self::Read => (1, 0),
            Self::WriteNt | Self::Write => (0, 1),
            Self::CopyNt => (1, 1),
            Self::TriadNt | Self::Mix2 => (2, 1),
            Self::Mix3 => (3, 1),
        }
    }

    /// Whether its writes pass the caches by, where the instruction set can do that.
    pub const fn past_caches(self) -> bool {
        !matches!(self, Self::Write)
    }

    /// The loops of the instruction set that does it best.
    fn kernels(self) -> Kernels {
        match self.streams() {
            (0, _) | (_, 0) => Kernels::best(),
            _ => Kernels::best_combining(),
        }
    }

    /// The metric over all cores.
    pub fn metric(self) -> MetricId {
        MetricId::new(["dram", self.name(), "all-cores"])
    }
}

/// Whose memory the workers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Each worker's slice lies where the worker touches it first.
    Toucher,
    /// The first worker touches everything first, as a program with one loading thread does.
    FirstWorker,
    /// Everything is bound to one node.
    Node(usize),
    /// Everything is interleaved over these nodes.
    Interleaved(Vec<usize>),
    /// Each worker's slice is bound to the node given for it.
    Each(Vec<usize>),
}

impl Home {
    /// What that asks of the kernel for a stream of `words`, of which each of `count` workers has an equal part.
    fn policy(&self, words: usize, count: usize) -> Policy {
        match self {
            Self::Toucher | Self::FirstWorker => Policy::FirstTouch,
            Self::Node(node) => Policy::Node(*node),
            Self::Interleaved(nodes) => Policy::Interleaved(nodes.clone()),
            Self::Each(nodes) => {
                let share = words / count.max(1) * size_of::<u64>();
                let part =
                    |(index, &node): (usize, &usize)| (index * share..(index + 1) * share, node);
                Policy::Parts(nodes.iter().enumerate().map(part).collect())
            }
        }
    }

    /// Bytes that `streams` streams together may take, when the host has `free` and a node has `free_on(node)`: a quarter
    /// of what is free stays with everybody else.
    fn room(&self, count: usize, free: u64, free_on: impl Fn(usize) -> Option<u64>) -> u64 {
        let share =
            |node: &usize, of: u64| free_on(*node).map_or(u64::MAX, |free| free.saturating_mul(of));
        let on_nodes = match self {
            Self::Toucher | Self::FirstWorker => u64::MAX,
            Self::Node(node) => share(node, 1),
            Self::Interleaved(nodes) => {
                nodes.iter().map(|node| share(node, nodes.len() as u64)).min().unwrap_or(u64::MAX)
            }
            Self::Each(nodes) => {
                let workers = |node: &usize| nodes.iter().filter(|other| *other == node).count();
                let most = |node: &usize| {
                    (free_on(*node)? as u128 * count as u128 / workers(node).max(1) as u128)
                        .try_into()
                        .ok()
                };
                nodes.iter().filter_map(most).min().unwrap_or(u64::MAX)
            }
        };
        free.min(on_nodes) / 4 * 3
    }
}

/// Where a loop runs and over what.
pub struct Setup {
    pub id: MetricId,
    pub workers: Arc<Workers>,
    /// Who touches the memory first, where that is not each worker its own.
    pub toucher: Option<Workers>,
    pub kernels: Kernels,
    pub kind: Loop,
    /// Words of a stream.
    pub words: usize,
    /// Last-level caches that the workers use.
    pub cache_bytes: usize,
    /// Where the memory has to be.
    pub policy: Policy,
    pub ceiling: DramCeiling,
    /// What else the record is to tell.
    pub notes: BTreeMap<String, Value>,
}

impl Setup {
    /// Sizes the streams of `kind` by the caches of `workers`.
    pub fn new(
        id: MetricId,
        workers: Arc<Workers>,
        kind: Loop,
        home: &Home,
        ceiling: DramCeiling,
    ) -> Result<Self> {
        let cache_bytes = Caches::of(workers.cpus()).last_level_total;
        let (read, written) = kind.streams();
        let streams = (read + written) as usize;
        let requested = size::requested()?;
        let enough = (OF_CACHE * cache_bytes).max(LEAST_SLICE * workers.count());
        let wanted = requested.unwrap_or(enough);
        let root = Root::host();
        let free = pages::available(&root).unwrap_or(u64::MAX);
        // On one node the host's own figure is the better one.
        let several =
            root.list("/sys/devices/system/node/has_memory").is_some_and(|nodes| nodes.len() > 1);
        let free_on = |node| if several { pages::available_on(&root, node) } else { None };
        let room = usize::try_from(home.room(workers.count(), free, free_on)).unwrap_or(usize::MAX);
        if requested.is_some_and(|bytes| bytes > room / streams) {
            return Err(Error::input(
                format!("{streams} streams of {} MiB do not fit into free memory", wanted >> 20),
                format!("Set {} to less", size::VARIABLE),
            ));
        }
        let bytes = wanted.min(room / streams);
        if bytes < LEAST_OF_CACHE * cache_bytes {
            return Err(Error::Unavailable(format!(
                "{streams} streams of twice the last-level cache ({} MiB) do not fit into free memory",
                cache_bytes >> 20
            )));
        }
        let share = (bytes / workers.count() / HUGE).max(1) * GRANULE;
        let words = share * workers.count();
        let toucher = match (home, workers.cpus().first()) {
            (Home::FirstWorker, Some(&first)) => Some(Workers::on(&[first])?),
            _ => None,
        };
        Ok(Self {
            policy: home.policy(words, workers.count()),
            id,
            workers,
            toucher,
            kernels: kind.kernels(),
            kind,
            words,
            cache_bytes,
            ceiling,
            notes: BTreeMap::new(),
        })
    }

    /// The words of stream `stream` (0 is the destination, or the only source) that `worker` moves: its part but for what the
    /// streams are shifted against each other, equally many of each. Parts smaller than a huge page are not shifted.
    pub fn window(&self, worker: Worker<'_>, stream: usize) -> Range<usize> {
        let part = part(worker, self.words);
        if part.len() < GRANULE {
            return part;
        }
        let (read, written) = self.kind.streams();
        let behind = (read + written) as usize - 1 - stream;
        part.start + stream * STAGGER..part.end - behind * STAGGER
    }

    /// Memory for one stream; nobody has touched it yet, unless it is bound.
    pub fn buffer(&self) -> Result<Buffer> {
        Buffer::placed(self.words * size_of::<u64>(), Pages::Transparent, &self.policy)
    }

    /// Those who touch memory first.
    pub fn touchers(&self) -> &Workers {
        self.toucher.as_ref().unwrap_or(&self.workers)
    }
}

/// Worker's words.
pub fn part(worker: Worker<'_>, words: usize) -> Range<usize> {
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

/// Fills a destination with [`POISON`].
pub fn poison(workers: &Workers, buffer: &mut Buffer) {
    let words = Disjoint::new(buffer.as_mut_slice::<u64>());
    workers.run(|worker| {
        // SAFETY: the workers' parts do not overlap.
        unsafe { words.slice(part(worker, words.len())) }.fill(POISON);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_is_at_home_where_it_is_told() {
        let each = Home::Each(vec![0, 0, 8]);
        let share = 2 * HUGE;
        assert_eq!(
            each.policy(6 * GRANULE, 3),
            Policy::Parts(vec![(0..share, 0), (share..2 * share, 0), (2 * share..3 * share, 8)])
        );
        assert_eq!(Home::FirstWorker.policy(GRANULE, 1), Policy::FirstTouch);
        assert_eq!(Home::Node(3).policy(GRANULE, 1), Policy::Node(3));
    }

    #[test]
    fn the_smallest_node_limits_what_is_bound_to_it() {
        let free_on = |node| Some([400, 100, 1 << 40][node]);
        let room = |home: Home| home.room(4, 1000, free_on);
        assert_eq!(room(Home::Toucher), 750);
        assert_eq!(room(Home::Node(1)), 75);
        // Two equal shares: node 1 has room for one of 100.
        assert_eq!(room(Home::Interleaved(vec![0, 1])), 150);
        // One worker of four on node 1 may have 100, so all four together 400.
        assert_eq!(room(Home::Each(vec![0, 0, 0, 1])), 300);
        assert_eq!(room(Home::Each(vec![0, 1, 1, 1])), 99);
        assert_eq!(Home::Node(0).room(1, 1000, |_| None), 750);
        assert_eq!(Home::Node(2).room(1, u64::MAX, |_| Some(u64::MAX)), u64::MAX / 4 * 3);
    }
}
