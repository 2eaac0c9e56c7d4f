//! Latency of one dependent access, by page kind: small pages add the walk through the page tables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chase::{Cycle, LINE};
use crate::host::cpus::affinity;
use crate::host::{Caches, Pages, Root, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// The cycle is this many times the last-level cache that the core uses.
const OF_CACHE: usize = 4;
/// Least bytes: well beyond what small-page address translation caches reach.
const LEAST: usize = 256 << 20;
/// Accesses of an iteration: some milliseconds.
const ACCESSES: u64 = 1 << 16;
/// Part of the memory that has to be in huge pages for a figure that says so.
const HUGE_ENOUGH: f64 = 0.95;

/// One thread going round a random cycle.
pub struct Latency {
    workers: Workers,
    pages: Pages,
    cycle: Cycle,
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
        let cpu = affinity()?.first().copied().unwrap_or(0);
        let bytes = (OF_CACHE * Caches::of(&[cpu]).last_level_total).max(LEAST);
        Self::sized(pages, cpu, bytes)
    }

    fn sized(pages: Pages, cpu: usize, bytes: usize) -> Result<Self> {
        if pages == Pages::Transparent {
            let path = "/sys/kernel/mm/transparent_hugepage/enabled";
            match Root::host().read(path).text() {
                Some(text) if text.contains("[never]") => {
                    return Err(Error::Unavailable(format!(
                        "transparent huge pages are switched off ({path} is never)"
                    )));
                }
                Some(_) => {}
                None => {
                    return Err(Error::Unavailable(
                        "the kernel has no transparent huge pages".into(),
                    ));
                }
            }
        }
        let workers = Workers::on(&[cpu])?;
        // The pinned thread touches the pages, so that they lie on its node.
        let cycle = workers.install(|| Cycle::new(bytes, pages, rand::random()))?;
        let huge_fraction = cycle.buffer().huge_bytes().map(|huge| huge as f64 / bytes as f64);
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
            _ => Ok(Self { workers, pages, cycle, huge_fraction }),
        }
    }
}

impl Subject for Latency {
    fn metric(&self) -> MetricId {
        Self::id(self.pages)
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
        Cache::Cold
    }

    fn verify(&mut self) -> Result<Verified> {
        let cycle = &self.cycle;
        self.workers.install(|| cycle.verify())?;
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
mod tests {
    use super::*;

    #[test]
    fn each_page_kind_runs_or_says_why_not() {
        let cpu = affinity().unwrap()[0];
        for pages in [Pages::Small, Pages::Transparent, Pages::Huge, Pages::Giant] {
            match Latency::sized(pages, cpu, 8 << 20) {
                Ok(mut latency) => {
                    assert_eq!(latency.verify().unwrap().checked, 1 << 17);
                    latency.run(1).unwrap();
                    latency.verify().unwrap();
                    assert_eq!(latency.placement().cpus, [cpu]);
                }
                Err(Error::Unavailable(why)) => assert_ne!(pages, Pages::Small, "{why}"),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn names_tell_the_page_kind() {
        assert_eq!(Latency::id(Pages::Transparent).as_str(), "dram/latency/random/thp");
        assert_eq!(Latency::id(Pages::Small).as_str(), "dram/latency/random/4k");
    }
}
