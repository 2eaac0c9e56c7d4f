//! One loop on one GPU as a subject.

use std::collections::BTreeMap;
use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::loops::{EMULATED_TURNS, Loop, THREADS, TURNS};
use super::operands::Operands;
use super::theory::theoretical;
use crate::cuda::gate::Gate;
use crate::cuda::gpu::{Gpu, driver, launching};
use crate::measure::statistics::quantile;
use crate::measure::{Elapsed, Subject};
use crate::number::Format;
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// What a launch should last on real devices, in seconds: its start and end then are less than a hundredth of it.
const LAUNCH_SECONDS: f64 = 2e-3;
/// Bits that no sum has: a NaN, and no small integer.
const POISON: u32 = 0xffff_ffff;

/// One loop on every multiprocessor of a GPU.
pub struct TensorPeak {
    gpu: Rc<Gpu>,
    ordinal: usize,
    which: Loop,
    gate: Gate,
    launch: Launch,
    operands: Operands,
    /// MHz of the multiprocessors' clock in every timed run.
    clocks: Vec<f64>,
}

/// What a launch needs.
struct Launch {
    kernel: CudaFunction,
    blocks: u32,
    turns: u32,
    /// Odd, so that equal rounds do not cancel in the hash.
    rounds: u32,
    operands: CudaSlice<u32>,
    sums: CudaSlice<u32>,
    clocks: CudaSlice<u64>,
}

impl TensorPeak {
    /// `compute/peak/gpu0/bf16`; a loop that is not the best one of its architecture also says which it is.
    pub fn metric_of(which: Loop, ordinal: usize, best: bool) -> MetricId {
        let id = MetricId::new(["compute", "peak", &format!("gpu{ordinal}"), which.format.name()]);
        if best { id } else { MetricId::new([id.as_str(), which.mnemonic()]) }
    }

    /// What products in `format` are expressed in.
    pub fn unit_of(format: Format) -> Unit {
        if format == Format::Int8 { Unit::TeraOps } else { Unit::TeraFlops }
    }

    /// Prepares `which` on `gpu`.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, which: Loop) -> Result<Self> {
        let operands = Operands::random(which, rand::random())?;
        Ok(Self {
            launch: Launch::new(&gpu, which, &operands.words())?,
            gate: Gate::new(&gpu)?,
            clocks: Vec::new(),
            operands,
            gpu,
            ordinal,
            which,
        })
    }

    /// Median of the clocks of the runs so far, in Hz.
    fn clock(&self) -> Option<f64> {
        let mut sorted = self.clocks.clone();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then(|| quantile(&sorted, 0.5) * 1e6)
    }
}

impl Launch {
    fn new(gpu: &Gpu, which: Loop, words: &[u32]) -> Result<Self> {
        let emulated = gpu.disqualified().is_some();
        let turns = if emulated { EMULATED_TURNS } else { TURNS };
        let blocks = if emulated {
            which.blocks_per_multiprocessor()
        } else {
            gpu.multiprocessors()? * which.blocks_per_multiprocessor()
        };
        let stream = gpu.stream();
        let allocate = |e| driver("allocate device memory", e);
        let sums = blocks as usize * (which.sums() + 1) * THREADS;
        Ok(Self {
            kernel: gpu.load(which.build(turns))?,
            rounds: if emulated { 3 } else { rounds(gpu, which, blocks) },
            operands: stream.clone_htod(words).map_err(allocate)?,
            sums: stream.alloc_zeros(sums).map_err(allocate)?,
            clocks: stream.alloc_zeros(2 * blocks as usize).map_err(allocate)?,
            blocks,
            turns,
        })
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let grid = LaunchConfig {
            grid_dim: (self.blocks, 1, 1),
            block_dim: (THREADS as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.operands).arg(&self.rounds).arg(&mut self.sums).arg(&mut self.clocks);
        // SAFETY: the arguments are those of kernels/peak_mma.cuh and peak_wgmma.cuh, as large as these say.
        unsafe { launch.launch(grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }

    /// The sums that `operands` give, computed over poison.
    fn multiply(&mut self, gpu: &Gpu, operands: &[u32]) -> Result<Vec<u32>> {
        let poison = vec![POISON; self.sums.len()];
        let stream = gpu.stream();
        let fill = |e| driver("fill device memory", e);
        stream.memcpy_htod(&poison, &mut self.sums).map_err(fill)?;
        stream.memcpy_htod(operands, &mut self.operands).map_err(fill)?;
        self.enqueue(gpu)?;
        stream.clone_dtoh(&self.sums).map_err(|e| driver("read device memory", e))
    }

    /// MHz over all blocks and launches since the clocks were set to zero.
    fn megahertz(&self, gpu: &Gpu) -> Result<Option<f64>> {
        let clocks = gpu.stream().clone_dtoh(&self.clocks).map_err(|e| driver("read clocks", e))?;
        let sum = |from: usize| clocks.iter().skip(from).step_by(2).sum::<u64>() as f64;
        let (cycles, nanoseconds) = (sum(0), sum(1));
        Ok((nanoseconds > 0.0).then(|| cycles / nanoseconds * 1e3))
    }
}

/// Rounds that last about [`LAUNCH_SECONDS`] at the theoretical rate; odd.
fn rounds(gpu: &Gpu, which: Loop, blocks: u32) -> u32 {
    // Where the rate is not known: 100 TFLOP/s.
    let rate = theoretical(gpu, which.format, None).map_or(1e14, |ceiling| ceiling.value * 1e12);
    let round = which.operations() as f64 * f64::from(TURNS) * f64::from(blocks);
    (LAUNCH_SECONDS * rate / round) as u32 | 1
}

impl Subject for TensorPeak {
    fn metric(&self) -> MetricId {
        let best = Loop::best(self.which.format, self.gpu.architecture()) == Ok(self.which);
        Self::metric_of(self.which, self.ordinal, best)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(self.which.format)
    }

    fn work(&self) -> Work {
        let Launch { blocks, turns, rounds, .. } = self.launch;
        let repeats = u64::from(blocks) * u64::from(turns) * u64::from(rounds);
        Work { flops: self.which.operations() * repeats, ..Work::default() }
    }

    /// The published rate at the clock that the loop itself saw.
    fn ceiling(&self) -> Option<Ceiling> {
        theoretical(&self.gpu, self.which.format, self.clock())
    }

    fn kernel_path(&self) -> String {
        let (architecture, name) = (self.gpu.architecture(), self.gpu.name());
        format!("cuda/{architecture}/{}/{name}", self.which.mnemonic())
    }

    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        // First where every sum is exact, then with the operands that are timed.
        let exact = Operands::integers(self.which, rand::random())?;
        let path = self.kernel_path();
        let mut total = Verified { checked: 0, error_over_tolerance: 0.0 };
        for operands in [&exact, &self.operands] {
            let got = self.launch.multiply(&self.gpu, &operands.words())?;
            let verified =
                operands.check(&got, self.launch.turns).map_err(|error| match error {
                    Error::Wrong(what) => Error::Wrong(format!("{path}: {what}")),
                    other => other,
                })?;
            total.checked += verified.checked;
            total.error_over_tolerance =
                total.error_over_tolerance.max(verified.error_over_tolerance);
        }
        Ok(total)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, launch, clocks, .. } = self;
        gpu.stream()
            .memset_zeros(&mut launch.clocks)
            .map_err(|e| driver("fill device memory", e))?;
        let elapsed = gate.time(gpu, iterations, || launch.enqueue(gpu))?;
        clocks.extend(launch.megahertz(gpu)?);
        Ok(Elapsed(elapsed))
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let mut details = self.gpu.details();
        let (low, high) = self
            .clocks
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(low, high), &c| (low.min(c), high.max(c)));
        if let Some(clock) = self.clock() {
            let clocks = serde_json::json!({"median": clock / 1e6, "min": low, "max": high});
            details.insert("sm_mhz_in_kernel".into(), clocks);
        }
        details
    }

    /// Tensor cores at work reach the board's power limit.
    fn settles(&self) -> bool {
        true
    }

    fn conditions(&self) -> BTreeMap<String, serde_json::Value> {
        self.gpu.conditions()
    }

    fn throttled(&self) -> Option<String> {
        self.gpu.throttled()
    }

    fn disqualified(&self) -> Option<String> {
        self.gpu.disqualified()
    }
}
