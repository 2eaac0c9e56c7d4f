//! Latency of one dependent access, by page kind: small pages add the walk through the page tables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chase::{Cycle, LINE};
use super::roles::Pair;
use super::{size, sweep};
use crate::host::cpus::affinity;
use crate::host::{Buffer, Caches, Pages, Policy, Root, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::figure::CURVE;
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

/// Bytes of a cycle that no cache of `cpu` holds, or what the user asks for.
///
/// # Errors
/// When the user asks for what can't be had.
pub fn bytes_beyond_caches(cpu: usize) -> Result<usize> {
    let enough = (OF_CACHE * Caches::of(&[cpu]).last_level_total).max(LEAST);
    Ok(size::requested()?.unwrap_or(enough))
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
    brief: bool,
    /// What else the record is to tell.
    notes: BTreeMap<String, Value>,
}

impl Latency {
    /// The metric for memory of kind `pages`.
    pub fn id(pages: Pages) -> MetricId {
        MetricId::new(["dram", "latency", "random", pages.name()])
    }

    /// The metric whose curve goes over sizes, in memory of kind `pages`.
    pub fn sweep_id(pages: Pages) -> MetricId {
        MetricId::new(["dram", "latency", "sweep", pages.name()])
    }

    /// Prepares a cycle in pages of kind `pages`, four times as large as the last-level cache of the first core.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when such pages can't be had; otherwise when memory is short or threads can't be pinned.
    pub fn new(pages: Pages) -> Result<Self> {
        let cpu = first_cpu()?;
        Self::sized(Self::id(pages), pages, cpu, bytes_beyond_caches(cpu)?, None)
    }

    /// Prepares a cycle that stays in a cache.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when the host hides that cache.
    pub fn cached(level: Level) -> Result<Self> {
        let cpu = first_cpu()?;
        let bytes = level.bytes(cpu)?;
        Self::sized(level.metric(), Pages::Transparent, cpu, bytes, None)
    }

    /// Prepares a cycle in memory of one node, walked by a core of another, for the metric `id`.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when binding is denied.
    pub fn on_pair(id: MetricId, pair: &Pair, pages: Pages) -> Result<Self> {
        let cpu = pair.cpus.first().copied().unwrap_or(0);
        let mut latency = Self::sized(id, pages, cpu, bytes_beyond_caches(cpu)?, Some(pair.to))?;
        latency.notes = pair.notes();
        Ok(latency)
    }

    /// Prepares the largest cycle of a sweep over sizes, of which the others are measured now: the curve that shows
    /// each cache and DRAM.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Wrong`] when a cycle is broken.
    pub fn swept(pages: Pages) -> Result<Self> {
        let cpu = first_cpu()?;
        let bytes = bytes_beyond_caches(cpu)?;
        let mut latency = Self::sized(Self::sweep_id(pages), pages, cpu, bytes, None)?;
        let curve = sweep::measure(&latency.workers, &mut latency.cycle, bytes)?;
        latency.note(CURVE, serde_json::to_value(curve).unwrap_or_default());
        Ok(latency)
    }

    /// Adds to what the record tells.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        self.notes.insert(key.into(), value.into());
    }

    /// Takes a fraction of the time that a metric may cost: one of many of its kind.
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
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
        let (workers, caches) = (Workers::on(&[cpu])?, Caches::of(&[cpu]));
        let policy = node.map_or(Policy::FirstTouch, Policy::Node);
        let buffer = Buffer::placed(bytes, pages, &policy)?;
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
            _ => Ok(Self {
                id,
                workers,
                node,
                cycle,
                cache: if bytes > caches.last_level_total { Cache::Cold } else { Cache::Hot },
                huge_fraction,
                brief: false,
                notes: BTreeMap::new(),
            }),
        }
    }
}

fn first_cpu() -> Result<usize> {
    Ok(affinity()?.first().copied().unwrap_or(0))
}

/// # Errors
/// [`Error::Unavailable`] when the kernel gives no transparent huge pages to those who ask.
pub fn refuse_without_huge_pages() -> Result<()> {
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

    fn brief(&self) -> bool {
        self.brief
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [self.cycle.buffer()])
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([
            ("bytes".to_owned(), self.cycle.buffer().len().into()),
            ("stride_bytes".to_owned(), LINE.into()),
        ]);
        details.extend(self.notes.clone());
        if let Some(part) = self.huge_fraction {
            details.insert("huge_page_fraction".into(), part.into());
        }
        details
    }
}

#[cfg(test)]
mod tests;
