//! What a kernel launch costs: the time that small kernels can't go below.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaFunction, CudaGraph, CudaSlice, LaunchConfig, PushKernelArg, sys};
use serde_json::Value;

use super::gate::Gate;
use super::gpu::{Gpu, driver, launching};
use super::kernels;
use crate::measure::{Elapsed, Plan, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Launches between two synchronisations where the host's rate is measured.
const BURST: u64 = 512;
/// Kernels of one graph.
const NODES: u64 = 128;

/// Which cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// Device time of an empty kernel among others that are queued already.
    Queued,
    /// Host time of a launch when the queue is never empty: the rate at which kernels can be queued.
    Enqueue,
    /// Host time of one launch and the wait for its end.
    RoundTrip,
    /// Host time of one kernel of a graph of many, launched as a whole and waited for.
    Graph,
}

impl Launch {
    /// Every cost.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Enqueue, Self::RoundTrip, Self::Graph];

    /// The metric on GPU `ordinal`.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let name = match self {
            Self::Queued => "queued",
            Self::Enqueue => "enqueue",
            Self::RoundTrip => "round-trip",
            Self::Graph => "graph-node",
        };
        MetricId::new(["launch", name, &format!("gpu{ordinal}")])
    }
}

/// Plans every launch metric of GPU `ordinal`.
pub fn plan(plan: &mut Plan, ordinal: usize) {
    for launch in Launch::ALL {
        plan.add(launch.metric(ordinal), Part::Compute, Unit::Nanoseconds, move || {
            LaunchSubject::new(Gpu::open(ordinal)?, ordinal, launch)
        });
    }
}

/// Launches of an empty kernel.
pub struct LaunchSubject {
    gpu: Rc<Gpu>,
    ordinal: usize,
    launch: Launch,
    gate: Gate,
    kernel: CudaFunction,
    /// Many launches that do not count themselves, and as many that do.
    graphs: Option<(CudaGraph, CudaGraph)>,
    count: CudaSlice<u32>,
}

impl LaunchSubject {
    /// Prepares `launch` on `gpu`.
    ///
    /// # Errors
    /// When the kernel can't be compiled, or graphs can't be captured.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, launch: Launch) -> Result<Self> {
        let count = gpu.stream().alloc_zeros(1).map_err(|e| driver("allocate a count", e))?;
        let mut subject = Self {
            gate: Gate::new(&gpu)?,
            kernel: gpu.load(kernels::EMPTY)?,
            graphs: None,
            ordinal,
            launch,
            count,
            gpu,
        };
        if launch == Launch::Graph {
            subject.graphs = Some((subject.capture(false)?, subject.capture(true)?));
        }
        Ok(subject)
    }

    fn capture(&self, counted: bool) -> Result<CudaGraph> {
        let stream = self.gpu.stream().clone();
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        let failed = |e| driver("capture a graph", e);
        stream.begin_capture(mode).map_err(failed)?;
        let queued = (0..NODES).try_for_each(|_| self.enqueue(counted));
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).map_err(failed)?;
        queued?;
        let graph = graph.ok_or_else(|| Error::Unavailable("the graph is empty".into()))?;
        graph.upload().map_err(failed)?;
        Ok(graph)
    }

    fn enqueue(&self, counted: bool) -> Result<()> {
        enqueue(&self.gpu, &self.kernel, counted.then_some(&self.count))
    }

    fn synchronise(&self) -> Result<()> {
        self.gpu.stream().synchronize().map_err(|e| driver("finish a kernel", e))
    }

    /// Does `iterations` iterations the way that is measured.
    fn launch(&mut self, iterations: u64, counted: bool) -> Result<Duration> {
        if self.launch == Launch::Queued {
            let Self { gpu, gate, kernel, count, .. } = self;
            return gate.time(gpu, iterations, || enqueue(gpu, kernel, counted.then_some(&*count)));
        }
        self.synchronise()?;
        let start = Instant::now();
        for iteration in 0..iterations {
            match self.launch {
                Launch::Graph => {
                    let (plain, counting) = self.graphs.as_ref().expect("captured in `new`");
                    let graph = if counted { counting } else { plain };
                    graph.launch().map_err(|e| launching("launch a graph", e))?;
                }
                _ => self.enqueue(counted)?,
            }
            if self.launch != Launch::Enqueue || (iteration + 1).is_multiple_of(BURST) {
                self.synchronise()?;
            }
        }
        let elapsed = start.elapsed();
        self.synchronise()?;
        Ok(elapsed)
    }

    /// Kernels of one iteration.
    const fn kernels(&self) -> u64 {
        match self.launch {
            Launch::Graph => NODES,
            _ => 1,
        }
    }
}

/// Queues one empty kernel, which counts itself in `count` where that is given.
fn enqueue(gpu: &Gpu, kernel: &CudaFunction, count: Option<&CudaSlice<u32>>) -> Result<()> {
    let one = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
    let mut launch = gpu.stream().launch_builder(kernel);
    let nowhere = 0u64;
    match count {
        Some(count) => launch.arg(count),
        None => launch.arg(&nowhere),
    };
    // SAFETY: the argument is that of kernels/empty_sm80.cu, a pointer or null; the count outlives the launch.
    unsafe { launch.launch(one) }.map_err(|e| launching("launch a kernel", e))?;
    Ok(())
}

impl Subject for LaunchSubject {
    fn metric(&self) -> MetricId {
        self.launch.metric(self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        Work { accesses: self.kernels(), ..Work::default() }
    }

    /// No vendor publishes one.
    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        format!("cuda/{}/{}", self.gpu.architecture(), self.gpu.name())
    }

    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    /// Launches that count themselves, and are all there.
    fn verify(&mut self) -> Result<Verified> {
        const TIMES: u64 = 5;
        let zero = |e| driver("fill device memory", e);
        self.gpu.stream().memset_zeros(&mut self.count).map_err(zero)?;
        self.launch(TIMES, true)?;
        let count =
            self.gpu.stream().clone_dtoh(&self.count).map_err(|e| driver("read a count", e))?;
        let expected = TIMES * self.kernels();
        if u64::from(count[0]) != expected {
            let count = count[0];
            return Err(Error::Wrong(format!("{count} kernels ran, {expected} were launched")));
        }
        Ok(Verified { checked: expected, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        self.launch(iterations, false).map(Elapsed)
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
