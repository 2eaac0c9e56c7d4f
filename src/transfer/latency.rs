//! How long the host waits for a small copy: queueing it, the link, and learning that it is done.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::lane::Lane;
use super::memory::Kind;
use super::problem::{Direction, Site, size};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;

/// Longest time that the histogram tells apart, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;
/// Percentiles of the record.
const PERCENTILES: [(f64, &str); 5] =
    [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9"), (100.0, "max")];

/// Copies of a few bytes, each waited for.
pub struct CopyLatency {
    gpu: Rc<Gpu>,
    ordinal: usize,
    direction: Direction,
    lane: Lane,
    /// Nanoseconds of every copy since it was prepared.
    times: Histogram<u64>,
}

impl CopyLatency {
    /// `pcie/latency/h2d/gpu0/4KiB`.
    pub fn metric_of(direction: Direction, ordinal: usize, bytes: usize) -> MetricId {
        let (gpu, size) = (format!("gpu{ordinal}"), size(bytes));
        MetricId::new(["pcie", "latency", direction.name(), &gpu, &size])
    }

    /// Prepares copies of `bytes` bytes one way.
    ///
    /// # Errors
    /// When memory can't be had or page-locked.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, direction: Direction, bytes: usize) -> Result<Self> {
        Ok(Self {
            lane: Lane::new(&gpu, direction, Kind::Pinned, Site::FirstTouch, bytes)?,
            times: Histogram::new_with_max(LONGEST, 3).expect("constant bounds are right"),
            ordinal,
            direction,
            gpu,
        })
    }

    /// Copies once and waits for it.
    fn copy(&mut self) -> Result<()> {
        let stream = self.gpu.stream();
        self.lane.enqueue(stream)?;
        stream.synchronize().map_err(|e| driver("finish a copy", e))
    }
}

impl Subject for CopyLatency {
    fn metric(&self) -> MetricId {
        Self::metric_of(self.direction, self.ordinal, self.lane.device.len())
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        let bytes_read = self.lane.device.len() as u64;
        Work { accesses: 1, bytes_read, ..Work::default() }
    }

    /// Nobody publishes one.
    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        format!("cuda/copy-engine/pinned/{}", self.gpu.name())
    }

    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        let sent = self.lane.prepare(&self.gpu)?;
        self.copy()?;
        self.lane.check(&self.gpu, &sent)?;
        Ok(Verified { checked: sent.len() as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let start = Instant::now();
            self.copy()?;
            let elapsed = start.elapsed();
            self.times.saturating_record(elapsed.as_nanos() as u64);
            total += elapsed;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        Placement::new(Vec::new(), &self.lane.host.census())
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.gpu.details();
        let of = |(p, name): &(f64, &str)| {
            ((*name).to_owned(), json!(self.times.value_at_percentile(*p)))
        };
        let percentiles: serde_json::Map<String, Value> = PERCENTILES.iter().map(of).collect();
        details.insert("nanoseconds".into(), Value::Object(percentiles));
        details.insert("copies".into(), self.times.len().into());
        details
    }

    fn conditions(&self) -> BTreeMap<String, Value> {
        self.gpu.conditions()
    }

    fn throttled(&self) -> Option<String> {
        self.gpu.throttled()
    }

    fn disqualified(&self) -> Option<String> {
        self.gpu.disqualified()
    }
}
