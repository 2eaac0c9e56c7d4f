//! All GPUs at once: what the host's memory and its links carry together, which can be less than the sum of the links.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lane::Lane;
use super::link;
use super::memory::Kind;
use super::problem::{Direction, Site, size};
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Copies queued on each device before the host waits: far below what a stream takes, so that queueing never blocks.
const QUEUE: u64 = 64;

/// One copy of every GPU at the same time, to or from page-locked memory near each.
pub struct Together {
    direction: Direction,
    bytes: usize,
    gpus: Vec<(Rc<Gpu>, Lane)>,
}

impl Together {
    /// `pcie/h2d/pinned/all-gpus/256MiB`.
    pub fn metric_of(direction: Direction, bytes: usize) -> MetricId {
        MetricId::new(["pcie", direction.name(), "pinned", "all-gpus", &size(bytes)])
    }

    /// Prepares copies of `bytes` bytes each, one way, for each of `gpus` with host memory at its site.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with fewer than two GPUs; when a device can't be opened or memory can't be had.
    pub fn new(gpus: &[(usize, Site)], direction: Direction, bytes: usize) -> Result<Self> {
        if gpus.len() < 2 {
            return Err(Error::Unavailable("copies of all GPUs at once need two at least".into()));
        }
        let lane = |&(ordinal, site): &(usize, Site)| {
            let gpu = Gpu::open(ordinal)?;
            let lane = Lane::new(&gpu, direction, Kind::Pinned, site, bytes)?;
            Ok((gpu, lane))
        };
        Ok(Self { direction, bytes, gpus: gpus.iter().map(lane).collect::<Result<_>>()? })
    }

    /// Queues `batch` copies on every device in turn, and waits for all.
    fn copy(&mut self, batch: u64) -> Result<()> {
        for _ in 0..batch {
            self.gpus.iter_mut().try_for_each(|(gpu, lane)| lane.enqueue(gpu.stream()))?;
        }
        self.gpus.iter().try_for_each(|(gpu, _)| {
            gpu.stream().synchronize().map_err(|e| driver("finish a copy", e))
        })
    }
}

impl Subject for Together {
    fn metric(&self) -> MetricId {
        Self::metric_of(self.direction, self.bytes)
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// Bytes that cross the links, all together.
    fn work(&self) -> Work {
        let bytes_read = self.gpus.iter().map(|(_, lane)| lane.device.len() as u64).sum();
        Work { bytes_read, ..Work::default() }
    }

    /// The sum of the links' rates.
    fn ceiling(&self) -> Option<Ceiling> {
        let links = self.gpus.iter().map(|(gpu, _)| link::of(gpu));
        let links = links.collect::<Option<Vec<_>>>()?;
        let names: Vec<_> = links.iter().map(|link| link.source.as_str()).collect();
        let (value, source) = (links.iter().map(|link| link.value).sum(), names.join(" + "));
        links.first().map(|link| Ceiling { value, source, origin: link.origin })
    }

    fn kernel_path(&self) -> String {
        let names: Vec<_> = self.gpus.iter().map(|(gpu, _)| gpu.name()).collect();
        format!("cuda/copy-engine/pinned/{}", names.join(" + "))
    }

    /// The devices do not keep what passes through their copy engines.
    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        let prepared = self.gpus.iter_mut().map(|(gpu, lane)| {
            let sent = lane.prepare(gpu)?;
            gpu.stream().synchronize().map_err(|e| driver("fill device memory", e))?;
            Ok(sent)
        });
        let sent = prepared.collect::<Result<Vec<_>>>()?;
        self.copy(1)?;
        self.gpus.iter().zip(&sent).try_for_each(|((gpu, lane), sent)| lane.check(gpu, sent))?;
        Ok(Verified { checked: self.work().bytes_read, error_over_tolerance: 0.0 })
    }

    /// By the host's clock, since devices share none: what queueing adds is microseconds beside copies of milliseconds.
    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let batch = left.min(QUEUE);
            let start = Instant::now();
            self.copy(batch)?;
            total += start.elapsed();
            left -= batch;
        }
        self.gpus.iter().for_each(|(gpu, _)| gpu.monitor().observe());
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        let mut census = self.gpus[0].1.host.census();
        self.gpus.iter().skip(1).for_each(|(_, lane)| census.merge(&lane.host.census()));
        Placement::new(Vec::new(), &census)
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let of = |(gpu, _): &(Rc<Gpu>, Lane)| {
            (gpu.pci_address().to_owned(), Value::from_iter(gpu.details()))
        };
        self.gpus.iter().map(of).collect()
    }

    fn conditions(&self) -> BTreeMap<String, Value> {
        let of = |(gpu, _): &(Rc<Gpu>, Lane)| {
            (gpu.pci_address().to_owned(), Value::from_iter(gpu.conditions()))
        };
        self.gpus.iter().map(of).collect()
    }

    fn throttled(&self) -> Option<String> {
        self.gpus.iter().find_map(|(gpu, _)| gpu.throttled())
    }

    fn disqualified(&self) -> Option<String> {
        self.gpus.iter().find_map(|(gpu, _)| gpu.disqualified())
    }
}
