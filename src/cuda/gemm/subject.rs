//! A product on a GPU as something that can be timed.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::matrix::DeviceMatrix;
use super::numbers::Numbers;
use super::operand::Operand;
use super::path::{Multiply, Operands, Path, Product, paths};
use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu, emulated};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::Format;
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::{Gemm, Verified};
use crate::{Error, Result};

/// Products that each path is timed for when one is chosen: a round to warm up, and one that counts.
pub(in crate::cuda) const TRIAL: u64 = 6;

/// A GEMM on a GPU: cold operands, the fastest of the kernels that its chip can run.
pub struct GemmSubject {
    gpu: Rc<Gpu>,
    ordinal: usize,
    /// What the metric is named after; [`Operands::problem`] is what is computed.
    asked: Gemm,
    gate: Gate,
    a: Operand,
    b: Operand,
    operands: Operands,
    rotation: Rotation,
    chosen: Box<dyn Multiply>,
    path: String,
    /// Seconds a product of each path that was tried.
    tried: BTreeMap<String, f64>,
}

impl GemmSubject {
    /// Name of the metric of `problem` on GPU `ordinal`.
    pub fn metric_id(problem: Gemm, product: impl Into<Product>, ordinal: usize) -> MetricId {
        let (gpu, product) = (format!("gpu{ordinal}"), product.into().name());
        MetricId::new(["gemm", &gpu, &product, &problem.to_string()])
    }

    /// What it is expressed in: one row streams its weights, several multiply.
    pub fn unit_of(problem: Gemm, product: impl Into<Product>) -> Unit {
        match (problem.m, product.into().multiplied()) {
            (1, _) => Unit::GigaBytes,
            (_, Numbers::Plain(Format::Int8)) => Unit::TeraOps,
            _ => Unit::TeraFlops,
        }
    }

    /// Random operands from `seed` on `gpu`, in as many copies as it takes to be cold, and the fastest path for them; small
    /// ones on the emulated device.
    ///
    /// # Errors
    /// When the shape does not suit the format, the chip has no unit for it, or device memory is short.
    pub fn new(
        gpu: Rc<Gpu>,
        ordinal: usize,
        asked: Gemm,
        product: impl Into<Product>,
        seed: u64,
    ) -> Result<Self> {
        let product = product.into();
        product.weights().check(asked)?;
        let problem = emulated::product(&gpu, asked);
        let candidates = paths(&gpu, problem, product)?;
        let computed = Self::with_paths(gpu, ordinal, problem, product, seed, candidates)?;
        Ok(Self { asked, ..computed })
    }

    /// [`Self::new`] with the paths to choose from, and on the emulated device in full size.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_paths(
        gpu: Rc<Gpu>,
        ordinal: usize,
        problem: Gemm,
        product: impl Into<Product>,
        seed: u64,
        candidates: Vec<Box<dyn Path>>,
    ) -> Result<Self> {
        let product = product.into();
        let bytes = DeviceMatrix::bytes(product.activations(), problem.m, problem.k)
            + DeviceMatrix::bytes(product.weights(), problem.n, problem.k);
        let copies = copies(&gpu, problem, &product.name(), bytes)?;
        let a = Operand::random(product.activations(), problem.m, problem.k, seed)?;
        let b = Operand::random(product.weights(), problem.n, problem.k, !seed)?;
        let outputs = vec![f32::NAN; problem.m * problem.n];
        let operands = Operands {
            problem,
            product,
            a: a.upload(&gpu, copies)?,
            b: b.upload(&gpu, copies)?,
            c: gpu.stream().clone_htod(&outputs).map_err(|e| driver("allocate C", e))?,
        };
        let mut trial = Trial {
            gate: Gate::new(&gpu)?,
            rotation: Rotation::new(copies),
            operands,
            tried: BTreeMap::new(),
        };
        let (path, chosen) = trial.choose(&gpu, candidates)?;
        let Trial { gate, operands, tried, .. } = trial;
        let rotation = Rotation::new(copies);
        let asked = problem;
        Ok(Self { gpu, ordinal, asked, gate, a, b, operands, rotation, chosen, path, tried })
    }
}

/// Copies of `bytes` of operands that outgrow L2; on the emulated device, which has no cache, no more than it takes to take
/// turns.
///
/// # Errors
/// When the device has no memory for them and C.
pub(in crate::cuda) fn copies(gpu: &Gpu, problem: Gemm, format: &str, bytes: u64) -> Result<usize> {
    let cache = if gpu.disqualified().is_some() { 0 } else { gpu.l2_bytes()? };
    let copies = Rotation::copies(bytes, cache);
    let (needed, free) = (bytes * copies as u64 + problem.bytes_written(), gpu.free_bytes()?);
    if needed > free {
        return Err(Error::Unavailable(format!(
            "{problem} in {format} needs {needed} bytes of device memory, {free} are free"
        )));
    }
    Ok(copies)
}

/// Products that fill the tensor cores reach the board's power limit; a row at a time does not.
pub(in crate::cuda) const fn settles(problem: Gemm) -> bool {
    problem.m > 64
}

/// The contest of the paths.
struct Trial {
    gate: Gate,
    rotation: Rotation,
    operands: Operands,
    tried: BTreeMap<String, f64>,
}

impl Trial {
    /// The fastest of `candidates`, ready to run. On the emulated device, whose times mean nothing, the first.
    fn choose(
        &mut self,
        gpu: &Rc<Gpu>,
        candidates: Vec<Box<dyn Path>>,
    ) -> Result<(String, Box<dyn Multiply>)> {
        let mut best: Option<(f64, String, Box<dyn Multiply>)> = None;
        let count = if gpu.disqualified().is_some() { 1 } else { candidates.len() };
        for path in candidates.into_iter().take(count) {
            let mut ready = path.prepare(gpu, &self.operands)?;
            let seconds = if count > 1 { self.time(gpu, ready.as_mut())? } else { 0.0 };
            if count > 1 {
                self.tried.insert(path.name(), seconds);
            }
            if best.as_ref().is_none_or(|(least, ..)| seconds < *least) {
                best = Some((seconds, path.name(), ready));
            }
        }
        let (_, name, ready) = best
            .ok_or_else(|| Error::Unavailable("no kernel of this format fits the device".into()))?;
        Ok((name, ready))
    }

    /// Seconds a product, after a round to warm up.
    fn time(&mut self, gpu: &Gpu, path: &mut dyn Multiply) -> Result<f64> {
        let Self { gate, rotation, operands, .. } = self;
        let mut round = || gate.time(gpu, TRIAL, || path.enqueue(operands, rotation.advance()));
        round()?;
        Ok(round()?.as_secs_f64() / TRIAL as f64)
    }
}

impl Subject for GemmSubject {
    fn metric(&self) -> MetricId {
        Self::metric_id(self.asked, self.operands.product, self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(self.asked, self.operands.product)
    }

    /// With one row the bytes are those of the weights alone: a row of A and of C stays in cache.
    fn work(&self) -> Work {
        let Operands { problem, product, .. } = self.operands;
        let flops = problem.flops();
        let weights = problem.n * product.weights().stored_row_bytes(problem.k);
        if problem.m == 1 {
            return Work { flops, bytes_read: weights as u64, ..Work::default() };
        }
        let activations = problem.m * product.activations().stored_row_bytes(problem.k);
        Work {
            flops,
            bytes_read: (activations + weights) as u64,
            bytes_written: problem.bytes_written(),
            ..Work::default()
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        super::ceiling(&self.gpu, self.operands.product.multiplied(), &self.work(), self.unit())
    }

    fn kernel_path(&self) -> String {
        let emulated = if self.gpu.disqualified().is_some() { "/emulated" } else { "" };
        format!("cuda/{}/{}{emulated}", self.gpu.architecture(), self.path)
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        let stream = self.gpu.stream();
        let mut outputs = vec![f32::NAN; self.operands.c.len()];
        stream.memcpy_htod(&outputs, &mut self.operands.c).map_err(|e| driver("poison C", e))?;
        self.chosen.enqueue(&mut self.operands, self.rotation.advance())?;
        stream.memcpy_dtoh(&self.operands.c, &mut outputs).map_err(|e| driver("read C", e))?;
        stream.synchronize().map_err(|e| driver("multiply", e))?;
        self.a.verify(&self.b, &outputs, self.chosen.sums())
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, operands, rotation, chosen, .. } = self;
        gate.time(gpu, iterations, || chosen.enqueue(operands, rotation.advance())).map(Elapsed)
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let mut details = self.gpu.details();
        details.insert("device".into(), self.gpu.name().into());
        details.insert("copies".into(), self.operands.a.len().into());
        details.insert("tried_seconds".into(), serde_json::json!(self.tried));
        emulated::note(&mut details, &self.asked, &self.operands.problem);
        details
    }

    fn settles(&self) -> bool {
        settles(self.operands.problem)
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
