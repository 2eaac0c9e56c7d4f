//! Bandwidth of copies between host and device.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaFunction, CudaStream};
use serde_json::Value;

use super::lane::Lane;
use super::link;
use super::load::CpuLoad;
use super::memory::Kind;
use super::problem::{Direction, Engine, Problem};
use crate::Result;
use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu, kernels};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;

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
    /// What the cores read from DRAM meanwhile.
    load: Option<CpuLoad>,
}

impl Transfer {
    /// Prepares `problem` between this host and `gpu`.
    ///
    /// # Errors
    /// When memory can't be had, bound or page-locked.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, problem: Problem) -> Result<Self> {
        let directions = match problem.direction {
            Direction::Both => Direction::ONE_WAY.to_vec(),
            one => vec![one],
        };
        let Problem { memory, site, bytes, .. } = problem;
        let lane = |&direction| Lane::new(&gpu, direction, memory, site, bytes);
        let second = (problem.direction == Direction::Both)
            .then(|| gpu.context().new_stream().map_err(|e| driver("make a stream", e)));
        let by_kernel = problem.engine == Engine::Multiprocessors;
        Ok(Self {
            lanes: directions.iter().map(lane).collect::<Result<_>>()?,
            gate: Gate::new(&gpu)?,
            second: second.transpose()?,
            kernel: by_kernel.then(|| gpu.load(kernels::VRAM_COPY)).transpose()?,
            load: problem.under_load.then(CpuLoad::new).transpose()?,
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
        let one_way = link::of(&self.gpu)?;
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
        let Self { gpu, gate, lanes, second, kernel, load, .. } = self;
        let copy = || enqueue(gpu, lanes, second.as_ref(), kernel.as_ref());
        let time = || gate.time(gpu, iterations, copy);
        match load {
            Some(load) => load.beside(time),
            None => time(),
        }
        .map(Elapsed)
    }

    fn placement(&self) -> Placement {
        let mut census = self.lanes[0].host.census();
        self.lanes.iter().skip(1).for_each(|lane| census.merge(&lane.host.census()));
        Placement::new(Vec::new(), &census)
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.gpu.details();
        details.extend(self.load.iter().flat_map(CpuLoad::details));
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
