//! How long the host waits for a small copy: queueing it, the link, and learning that it is done.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaSlice, DevicePtr, result};
use hdrhistogram::Histogram;
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use super::POISON;
use super::memory::{HostMemory, Kind};
use super::problem::{Direction, size};
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

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
    host: HostMemory,
    device: CudaSlice<u8>,
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
        let device = gpu.stream().alloc_zeros(bytes);
        Ok(Self {
            host: HostMemory::new(&gpu, Kind::Pinned, bytes, None)?,
            device: device.map_err(|e| driver("allocate device memory", e))?,
            times: Histogram::new_with_max(LONGEST, 3).expect("constant bounds are right"),
            ordinal,
            direction,
            gpu,
        })
    }

    /// Copies once and waits for it.
    fn copy(&mut self) -> Result<()> {
        let stream = self.gpu.stream();
        let address = self.device.device_ptr(stream).0;
        let queued = match self.direction {
            Direction::HostToDevice => {
                // SAFETY: both sides have the same length, outlive the copy, and no one else uses them.
                unsafe { result::memcpy_htod_async(address, self.host.bytes(), stream.cu_stream()) }
            }
            // SAFETY: as above.
            _ => unsafe {
                result::memcpy_dtoh_async(self.host.bytes_mut(), address, stream.cu_stream())
            },
        };
        queued.map_err(|e| driver("queue a copy", e))?;
        stream.synchronize().map_err(|e| driver("finish a copy", e))
    }
}

impl Subject for CopyLatency {
    fn metric(&self) -> MetricId {
        Self::metric_of(self.direction, self.ordinal, self.device.len())
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        let bytes_read = self.device.len() as u64;
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
        let mut sent = vec![0; self.device.len()];
        Pcg64Mcg::seed_from_u64(rand::random()).fill_bytes(&mut sent);
        let poison = vec![POISON; sent.len()];
        let to_device = self.direction == Direction::HostToDevice;
        let (on_device, on_host) = if to_device { (&poison, &sent) } else { (&sent, &poison) };
        let filled = self.gpu.stream().memcpy_htod(on_device, &mut self.device);
        filled.map_err(|e| driver("fill device memory", e))?;
        self.host.bytes_mut().copy_from_slice(on_host);
        self.copy()?;
        let arrived = if to_device {
            let read = self.gpu.stream().clone_dtoh(&self.device);
            read.map_err(|e| driver("read device memory", e))?
        } else {
            self.host.bytes().to_vec()
        };
        if arrived != sent {
            return Err(Error::Wrong("other bytes arrived than were sent".into()));
        }
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
        Placement::new(Vec::new(), &self.host.census())
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
