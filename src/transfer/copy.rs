//! Bandwidth of copies between host and device.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, result,
};
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use super::memory::{HostMemory, Kind};
use super::problem::{Direction, Engine, Problem};
use super::{POISON, link};
use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu, kernels};
use crate::host::Root;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Most bytes of one copy on the emulated device, which shows that the path works, not how fast.
const EMULATED_BYTES: usize = 1 << 20;

/// Copies of one problem.
pub struct Transfer {
    gpu: Rc<Gpu>,
    ordinal: usize,
    problem: Problem,
    gate: Gate,
    lanes: Vec<Lane>,
    /// Of the second direction, where there are two.
    second: Option<Arc<CudaStream>>,
    kernel: Option<CudaFunction>,
}

/// One direction's two ends.
struct Lane {
    direction: Direction,
    host: HostMemory,
    device: CudaSlice<u8>,
}

impl Transfer {
    /// Prepares `problem` between this host and `gpu`.
    ///
    /// # Errors
    /// When memory can't be had, bound or page-locked.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, problem: Problem) -> Result<Self> {
        let emulated = gpu.disqualified().is_some();
        let bytes = if emulated { problem.bytes.min(EMULATED_BYTES) } else { problem.bytes };
        let directions = match problem.direction {
            Direction::Both => Direction::ONE_WAY.to_vec(),
            one => vec![one],
        };
        let lane = |&direction| {
            let device = gpu.stream().alloc_zeros(bytes);
            let host = HostMemory::new(&gpu, problem.memory, bytes, problem.site.node())?;
            if let Some(node) = problem.site.node() {
                host.census().prove(&[node])?;
            }
            let device = device.map_err(|e| driver("allocate device memory", e))?;
            Ok(Lane { direction, host, device })
        };
        let second = (problem.direction == Direction::Both)
            .then(|| gpu.context().new_stream().map_err(|e| driver("make a stream", e)));
        let by_kernel = problem.engine == Engine::Multiprocessors;
        Ok(Self {
            lanes: directions.iter().map(lane).collect::<Result<_>>()?,
            gate: Gate::new(&gpu)?,
            second: second.transpose()?,
            kernel: by_kernel.then(|| gpu.load(kernels::VRAM_COPY)).transpose()?,
            ordinal,
            problem,
            gpu,
        })
    }

    /// Pageable copies wait for the host, who would wait for the gate: they are timed by the host's clock.
    fn by_host_clock(&self) -> bool {
        self.problem.memory == Kind::Pageable
    }

    fn time_by_host(&mut self, iterations: u64) -> Result<Duration> {
        let Self { gpu, lanes, .. } = self;
        let finish = || gpu.stream().synchronize().map_err(|e| driver("finish a copy", e));
        finish()?;
        let start = Instant::now();
        for _ in 0..iterations {
            lanes.iter_mut().try_for_each(|lane| lane.enqueue(gpu.stream()))?;
            finish()?;
        }
        gpu.monitor().observe();
        Ok(start.elapsed())
    }
}

/// Queues one copy of every lane on `gpu`'s stream; the second lane, if there is one, on `second` at the same time.
fn enqueue(
    gpu: &Gpu,
    lanes: &mut [Lane],
    second: Option<&Arc<CudaStream>>,
    kernel: Option<&CudaFunction>,
) -> Result<()> {
    let stream = gpu.stream();
    if let Some(kernel) = kernel {
        return lanes.iter_mut().try_for_each(|lane| lane.launch(gpu, kernel));
    }
    let order = |e| driver("order two streams", e);
    if let (Some(second), [_, other]) = (second, &mut *lanes) {
        second.join(stream).map_err(order)?;
        other.enqueue(second)?;
    }
    lanes[0].enqueue(stream)?;
    second.map_or(Ok(()), |second| stream.join(second).map_err(order))
}

impl Lane {
    /// Queues one copy of all bytes by the copy engine.
    fn enqueue(&mut self, stream: &Arc<CudaStream>) -> Result<()> {
        let address = self.device.device_ptr(stream).0;
        let queued = match self.direction {
            Direction::HostToDevice => {
                // SAFETY: both sides have the same length, outlive the stream's work, and no one else uses them.
                unsafe { result::memcpy_htod_async(address, self.host.bytes(), stream.cu_stream()) }
            }
            // SAFETY: as above.
            _ => unsafe {
                result::memcpy_dtoh_async(self.host.bytes_mut(), address, stream.cu_stream())
            },
        };
        queued.map_err(|e| driver("queue a copy", e))
    }

    /// Queues one copy of all bytes by a kernel.
    fn launch(&mut self, gpu: &Gpu, kernel: &CudaFunction) -> Result<()> {
        let (device, host) = (self.device.device_ptr(gpu.stream()).0, self.host.device_address()?);
        let vectors = self.device.len() as u64 / 16;
        let (from, to) = match self.direction {
            Direction::HostToDevice => (host, device),
            _ => (device, host),
        };
        let grid = LaunchConfig {
            grid_dim: (4 * gpu.multiprocessors()?, 1, 1),
            block_dim: (512, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = gpu.stream().launch_builder(kernel);
        launch.arg(&from).arg(&to).arg(&vectors);
        // SAFETY: the arguments are those of kernels/vram_copy_sm80.cu; both ranges are `vectors` x 16 bytes, and mapped.
        unsafe { launch.launch(grid) }.map_err(|e| driver("launch a kernel", e))?;
        Ok(())
    }

    /// Puts random bytes at the source and poison at the target; returns the former.
    fn prepare(&mut self, gpu: &Gpu) -> Result<Vec<u8>> {
        let mut sent = vec![0; self.device.len()];
        Pcg64Mcg::seed_from_u64(rand::random()).fill_bytes(&mut sent);
        let poison = vec![POISON; sent.len()];
        let (on_device, on_host) = match self.direction {
            Direction::HostToDevice => (&poison, &sent),
            _ => (&sent, &poison),
        };
        let filled = gpu.stream().memcpy_htod(on_device, &mut self.device);
        filled.map_err(|e| driver("fill device memory", e))?;
        self.host.bytes_mut().copy_from_slice(on_host);
        Ok(sent)
    }

    /// Compares what arrived with what was sent.
    fn check(&self, gpu: &Gpu, sent: &[u8]) -> Result<()> {
        let arrived = match self.direction {
            Direction::HostToDevice => gpu
                .stream()
                .clone_dtoh(&self.device)
                .map_err(|e| driver("read device memory", e))?,
            _ => self.host.bytes().to_vec(),
        };
        match arrived.iter().zip(sent).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(i) => {
                let (got, sent) = (arrived[i], sent[i]);
                Err(Error::Wrong(format!("byte {i} is {got:#04x}, sent was {sent:#04x}")))
            }
        }
    }
}

impl Subject for Transfer {
    fn metric(&self) -> MetricId {
        self.problem.metric(self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// Bytes that cross the link, each counted once.
    fn work(&self) -> Work {
        let bytes_read = self.lanes.iter().map(|lane| lane.device.len() as u64).sum();
        Work { bytes_read, ..Work::default() }
    }

    /// The link's rate; twice that for both directions at once.
    fn ceiling(&self) -> Option<Ceiling> {
        let one_way = link::ceiling(&Root::host(), self.gpu.pci_address())?;
        if self.lanes.len() == 1 {
            return Some(one_way);
        }
        let (value, source) = (2.0 * one_way.value, format!("2 x {}", one_way.source));
        Some(Ceiling { value, source, ..one_way })
    }

    fn kernel_path(&self) -> String {
        let engine = match self.problem.engine {
            Engine::Copy => "copy-engine",
            Engine::Multiprocessors => "multiprocessors",
        };
        format!("cuda/{engine}/{}/{}", self.problem.memory.name(), self.gpu.name())
    }

    /// The device does not keep what passes through the copy engine.
    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        let Self { gpu, lanes, second, kernel, .. } = self;
        let prepared = lanes.iter_mut().map(|lane| lane.prepare(gpu));
        let sent = prepared.collect::<Result<Vec<_>>>()?;
        gpu.stream().synchronize().map_err(|e| driver("fill device memory", e))?;
        enqueue(gpu, lanes, second.as_ref(), kernel.as_ref())?;
        gpu.stream().synchronize().map_err(|e| driver("finish a copy", e))?;
        lanes.iter().zip(&sent).try_for_each(|(lane, sent)| lane.check(gpu, sent))?;
        Ok(Verified { checked: self.work().bytes_read, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        if self.by_host_clock() {
            return self.time_by_host(iterations).map(Elapsed);
        }
        let Self { gpu, gate, lanes, second, kernel, .. } = self;
        let copy = || enqueue(gpu, lanes, second.as_ref(), kernel.as_ref());
        gate.time(gpu, iterations, copy).map(Elapsed)
    }

    fn placement(&self) -> Placement {
        let mut census = self.lanes[0].host.census();
        self.lanes.iter().skip(1).for_each(|lane| census.merge(&lane.host.census()));
        Placement::new(Vec::new(), &census)
    }

    fn details(&self) -> BTreeMap<String, Value> {
        self.gpu.details()
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
