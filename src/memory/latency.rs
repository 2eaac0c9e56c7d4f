//! Latency of one dependent access, by page kind: small pages add the walk through the page tables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chase::{Cycle, LINE};
use super::roles::Pair;
use crate::host::cpus::affinity;
use crate::host::{Buffer, Caches, Pages, Root, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// The cycle is this many times the last-level cache that the core uses.
const OF_CACHE: usize = 4;
/// Least bytes: well beyond what small-page address translation caches reach.
const LEAST: usize = 256 << 20;
/// Accesses of an iteration: some milliseconds.
pub const ACCESSES: u64 = 1 << 16;
/// Part of the memory that has to be in huge pages for a figure that says so.
const HUGE_ENOUGH: f64 = 0.95;

/// Bytes of a cycle that no cache of `cpu` holds.
pub fn bytes_beyond_caches(cpu: usize) -> usize {
    (OF_CACHE * Caches::of(&[cpu]).last_level_total).max(LEAST)
}

/// A cache level whose latency is a metric of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// First level, data.
    L1,
    /// Second level.
    L2,
    /// Third level.
    L3,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// The metric: small sizes fit into one huge page, so address translation plays no role.
    pub fn metric(self) -> MetricId {
        let name = match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
        };
        MetricId::new(["dram", "latency", "cached", name])
    }

    /// Half of the level's size as `cpu` sees it, so that everything else there has room too.
    fn bytes(self, cpu: usize) -> Result<usize> {
        let caches = Caches::of(&[cpu]);
        let size = match self {
            Self::L1 => caches.l1_data,
            Self::L2 => caches.l2,
            Self::L3 => caches.l3,
        };
        let why = || Error::Unavailable(format!("the host does not show its {self:?} cache"));
        size.map(|bytes| bytes / 2).ok_or_else(why)
    }
}

/// One thread going round a random cycle.
pub struct Latency {
    id: MetricId,
    workers: Workers,
    node: Option<usize>,
    cycle: Cycle,
    cache: Cache,
    huge_fraction: Option<f64>,
}

impl Latency {
    /// The metric for memory of kind `pages`.
    pub fn id(pages: Pages) -> MetricId {
        MetricId::new(["dram", "latency", "random", pages.name()])
    }

    /// Prepares a cycle in pages of kind `pages`, four times as large as the last-level cache of the first core.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when such pages can't be had; otherwise when memory is short or threads can't be pinned.
    pub fn new(pages: Pages) -> Result<Self> {
        let cpu = first_cpu()?;
        Self::sized(Self::id(pages), pages, cpu, bytes_beyond_caches(cpu), None)
    }

    /// Prepares a cycle that stays in a cache.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when the host hides that cache.
    pub fn cached(level: Level) -> Result<Self> {
        let cpu = first_cpu()?;
        let bytes = level.bytes(cpu)?;
        let mut latency = Self::sized(level.metric(), Pages::Transparent, cpu, bytes, None)?;
        latency.cache = Cache::Hot;
        Ok(latency)
    }

    /// Prepares a cycle in memory of one node, walked by a core of another.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when binding is denied.
    pub fn on_pair(pair: &Pair) -> Result<Self> {
        let id = MetricId::new(["dram", "latency", pair.role.name()]);
        let cpu = pair.cpus.first().copied().unwrap_or(0);
        Self::sized(id, Pages::Transparent, cpu, bytes_beyond_caches(cpu), Some(pair.to))
    }

    fn sized(
        id: MetricId,
        pages: Pages,
        cpu: usize,
        bytes: usize,
        node: Option<usize>,
    ) -> Result<Self> {
        if pages == Pages::Transparent {
            refuse_without_huge_pages()?;
        }
        let workers = Workers::on(&[cpu])?;
        let buffer = match node {
            Some(node) => Buffer::on_node(bytes, pages, node)?,
            None => Buffer::new(bytes, pages)?,
        };
        // The pinned thread touches the pages, so that they lie on its node.
        let cycle = workers.install(|| Cycle::over(buffer, rand::random()))?;
        // A huge page holds more than a small cycle: measured against what is mapped.
        let mapped = bytes.next_multiple_of(pages.granule()) as f64;
        let huge_fraction = cycle.buffer().huge_bytes().map(|huge| huge as f64 / mapped);
        match (pages, huge_fraction) {
            (Pages::Transparent, Some(part)) if part < HUGE_ENOUGH => {
                Err(Error::Unavailable(format!(
                    "the kernel gave huge pages for {:.0} % of the memory only: it is fragmented",
                    part * 100.0
                )))
            }
            (Pages::Small, Some(part)) if part > 1.0 - HUGE_ENOUGH => Err(Error::Unavailable(
                "the kernel gave huge pages although small ones were asked for".into(),
            )),
            _ => Ok(Self { id, workers, node, cycle, cache: Cache::Cold, huge_fraction }),
        }
    }
}

fn first_cpu() -> Result<usize> {
    Ok(affinity()?.first().copied().unwrap_or(0))
}

fn refuse_without_huge_pages() -> Result<()> {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let why = match Root::host().read(path).text() {
        Some(text) if text.contains("[never]") => {
            format!("transparent huge pages are switched off ({path} is never)")
        }
        Some(_) => return Ok(()),
        None => "the kernel has no transparent huge pages".into(),
    };
    Err(Error::Unavailable(why))
}

impl Subject for Latency {
    fn metric(&self) -> MetricId {
        self.id.clone()
    }

    fn part(&self) -> Part {
        Part::Dram
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        Work { bytes_read: ACCESSES * LINE as u64, accesses: ACCESSES, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        "cpu/dependent-loads".into()
    }

    fn cache(&self) -> Cache {
        // The walk goes on where it stopped, so a line is met again only after all others.
        self.cache
    }

    fn verify(&mut self) -> Result<Verified> {
        let cycle = &self.cycle;
        self.workers.install(|| cycle.verify())?;
        if let Some(node) = self.node {
            cycle.buffer().census().prove(&[node])?;
        }
        Ok(Verified { checked: self.cycle.len() as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let cycle = std::sync::Mutex::new(&mut self.cycle);
        Ok(Elapsed(self.workers.timed(|_| {
            // One worker: the lock is free, and held once for all iterations.
            if let Ok(mut cycle) = cycle.lock() {
                cycle.walk(iterations * ACCESSES);
            }
        })))
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [self.cycle.buffer()])
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([
            ("bytes".to_owned(), self.cycle.buffer().len().into()),
            ("stride_bytes".to_owned(), LINE.into()),
        ]);
        if let Some(part) = self.huge_fraction {
            details.insert("huge_page_fraction".into(), part.into());
        }
        details
    }
}

#[cfg(test)]
mod tests;
