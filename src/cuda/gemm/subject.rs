//! A product on a GPU as something that can be timed.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::matrix::DeviceMatrix;
use super::path::{Multiply, Operands, Path, paths};
use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::{Gemm, Verified, verify_gemm_summed};
use crate::{Error, Result};

/// Products that each path is timed for when one is chosen: a round to warm up, and one that counts.
pub(in crate::cuda) const TRIAL: u64 = 6;

/// A GEMM on a GPU: cold operands, the fastest of the kernels that its chip can run.
pub struct GemmSubject {
    gpu: Rc<Gpu>,
    ordinal: usize,
    gate: Gate,
    a: Matrix,
    b: Matrix,
    operands: Operands,
    rotation: Rotation,
    chosen: Box<dyn Multiply>,
    path: String,
    /// Seconds a product of each path that was tried.
    tried: BTreeMap<String, f64>,
}

impl GemmSubject {
    /// Name of the metric of `problem` in `format` on GPU `ordinal`.
    pub fn metric_id(problem: Gemm, format: Format, ordinal: usize) -> MetricId {
        MetricId::new(["gemm", &format!("gpu{ordinal}"), format.name(), &problem.to_string()])
    }

    /// What it is expressed in: one row streams its weights, several multiply.
    pub fn unit_of(problem: Gemm, format: Format) -> Unit {
        match (problem.m, format) {
            (1, _) => Unit::GigaBytes,
            (_, Format::Int8) => Unit::TeraOps,
            _ => Unit::TeraFlops,
        }
    }

    /// Random operands from `seed` on `gpu`, in as many copies as it takes to be cold, and the fastest path for them.
    ///
    /// # Errors
    /// When the shape does not suit the format, the chip has no unit for it, or device memory is short.
    pub fn new(
        gpu: Rc<Gpu>,
        ordinal: usize,
        problem: Gemm,
        format: Format,
        seed: u64,
    ) -> Result<Self> {
        problem.check(format)?;
        let candidates = paths(&gpu, problem, format)?;
        Self::with_paths(gpu, ordinal, problem, format, seed, candidates)
    }

    /// [`Self::new`] with the paths to choose from.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_paths(
        gpu: Rc<Gpu>,
        ordinal: usize,
        problem: Gemm,
        format: Format,
        seed: u64,
        candidates: Vec<Box<dyn Path>>,
    ) -> Result<Self> {
        let bytes = DeviceMatrix::bytes(format, problem.m, problem.k)
            + DeviceMatrix::bytes(format, problem.n, problem.k);
        let copies = copies(&gpu, problem, format.name(), bytes)?;
        let a = Matrix::random(format, problem.m, problem.k, seed)?;
        let b = Matrix::random(format, problem.n, problem.k, !seed)?;
        let outputs = vec![f32::NAN; problem.m * problem.n];
        let operands = Operands {
            problem,
            format,
            a: DeviceMatrix::upload(&gpu, &a, copies)?,
            b: DeviceMatrix::upload(&gpu, &b, copies)?,
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
        Ok(Self { gpu, ordinal, gate, a, b, operands, rotation, chosen, path, tried })
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
        Self::metric_id(self.operands.problem, self.operands.format, self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(self.operands.problem, self.operands.format)
    }

    /// With one row the bytes are those of the weights alone: a row of A and of C stays in cache.
    fn work(&self) -> Work {
        let Operands { problem, format, .. } = self.operands;
        let flops = problem.flops();
        if problem.m == 1 {
            let bytes_read = (problem.n * format.stored_row_bytes(problem.k)) as u64;
            return Work { flops, bytes_read, ..Work::default() };
        }
        Work {
            flops,
            bytes_read: problem.bytes_read(format),
            bytes_written: problem.bytes_written(),
            ..Work::default()
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        super::ceiling(&self.gpu, self.operands.format, &self.work(), self.unit())
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
        verify_gemm_summed(&self.a, &self.b, &outputs, self.chosen.sums())
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
