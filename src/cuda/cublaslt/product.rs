//! A product by the library, as something that can be timed.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::rc::Rc;

use cudarc::cublaslt::sys;
use cudarc::driver::{CudaSlice, DevicePtrMut};
use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::descriptor::{Description, Layout};
use super::handle::{Handle, check, version};
use super::numbers::Scaling;
use super::operand::{device_bytes, random, stored_row_bytes, upload};
use super::question::{WORKSPACE, choices, layouts};
use crate::cuda::gemm::{Numbers, Operand};
use crate::cuda::gpu::driver;
use crate::cuda::timed::{Task, Timed};
use crate::cuda::{Gate, Gpu, emulated, gemm, peak};
use crate::measure::Rotation;
use crate::number::{BlockFormat, Format};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::{Gemm, Sums, Verified};
use crate::{Error, Result};

/// Name of the metric of `problem` in `numbers` on GPU `ordinal`.
pub fn metric_id(problem: Gemm, numbers: Numbers, ordinal: usize) -> MetricId {
    let gpu = format!("gpu{ordinal}");
    MetricId::new(["gemm", "cublaslt", &gpu, numbers.name(), &problem.to_string()])
}

/// What it is expressed in: as our product of the same shape.
pub fn unit_of(problem: Gemm, numbers: Numbers) -> Unit {
    gemm::GemmSubject::unit_of(problem, numbers)
}

/// A product by cuBLASLt: cold operands, the fastest of the algorithms that its heuristic names.
pub struct Product {
    /// What the metric is named after.
    asked: Gemm,
    problem: Gemm,
    numbers: Numbers,
    scaling: Scaling,
    ordinal: usize,
    handle: Handle,
    version: String,
    host: [Operand; 2],
    layouts: [Layout; 3],
    copies: Vec<Copy>,
    rotation: Rotation,
    c: CudaSlice<u32>,
    workspace: CudaSlice<u8>,
    algorithm: Algorithm,
    /// Seconds a product of each algorithm that was tried.
    tried: BTreeMap<String, f64>,
    /// For the measured peaks, which keep it.
    gpu: Rc<Gpu>,
}

/// Our A and B in device memory, and what names their scales.
struct Copy {
    a: gemm::DeviceMatrix,
    b: gemm::DeviceMatrix,
    description: Description,
}

/// Random operands from `seed` on `gpu`, in as many copies as it takes to be cold, and the fastest algorithm for them; small
/// ones on the emulated device.
///
/// # Errors
/// [`Error::Unavailable`] when the library is missing or has no algorithm for the product on this chip, or device memory is
/// short; [`Error::Input`] when the shape does not suit the format.
pub fn subject(
    gpu: Rc<Gpu>,
    ordinal: usize,
    problem: Gemm,
    numbers: Numbers,
    seed: u64,
) -> Result<Timed<Product>> {
    let product = Product::new(&gpu, ordinal, problem, numbers, seed)?;
    Timed::on(gpu, product)
}

impl Product {
    fn new(
        gpu: &Rc<Gpu>,
        ordinal: usize,
        asked: Gemm,
        numbers: Numbers,
        seed: u64,
    ) -> Result<Self> {
        numbers.check(asked)?;
        let problem = emulated::product(gpu, asked);
        let (version, handle) = (version()?, Handle::open(gpu)?);
        let layouts = layouts(problem, numbers)?;
        // Asked first: where there is no algorithm, nothing needs to be quantised and uploaded.
        let (scaling, candidates) = choices(gpu, &handle, numbers, &layouts)?.ok_or_else(|| {
            let (name, chip) = (numbers.name(), gpu.architecture());
            Error::Unavailable(format!(
                "cuBLASLt {version} has no algorithm for {name} {problem} on {chip}"
            ))
        })?;
        let bytes = device_bytes(numbers, problem.m, problem.k)
            + device_bytes(numbers, problem.n, problem.k);
        let copies = gemm::copies(gpu, problem, numbers.name(), bytes)?;
        let a = random(numbers, scaling, (problem.m, problem.k), seed)?;
        let b = random(numbers, scaling, (problem.n, problem.k), !seed)?;
        let uploaded = upload(&a, gpu, copies)?.into_iter().zip(upload(&b, gpu, copies)?);
        let copies = uploaded.map(|(a, b)| {
            let description = Description::new(numbers, scaling, [b.scales(gpu), a.scales(gpu)])?;
            Ok(Copy { a, b, description })
        });
        let copies: Vec<Copy> = copies.collect::<Result<_>>()?;
        let allocate = |e| driver("allocate C and a workspace", e);
        let mut product = Self {
            rotation: Rotation::new(copies.len()),
            c: gpu.stream().alloc_zeros(problem.m * problem.n).map_err(allocate)?,
            workspace: gpu.stream().alloc_zeros(WORKSPACE).map_err(allocate)?,
            algorithm: candidates[0],
            tried: BTreeMap::new(),
            gpu: Rc::clone(gpu),
            host: [a, b],
            asked,
            problem,
            numbers,
            scaling,
            ordinal,
            handle,
            version,
            layouts,
            copies,
        };
        product.choose(gpu, candidates)?;
        product.rotation = Rotation::new(product.copies.len());
        Ok(product)
    }

    /// Keeps the fastest of `candidates` that run; on the emulated device, whose times mean nothing, the first.
    fn choose(&mut self, gpu: &Gpu, candidates: Vec<Algorithm>) -> Result<()> {
        if gpu.disqualified().is_some() || candidates.len() == 1 {
            return Ok(());
        }
        let mut gate = Gate::new(gpu)?;
        let mut best: Option<(f64, Algorithm)> = None;
        let mut refused = None;
        for candidate in candidates {
            self.algorithm = candidate;
            let seconds = match self.time(gpu, &mut gate) {
                Ok(seconds) => seconds,
                Err(error) => {
                    refused = Some(error);
                    continue;
                }
            };
            self.tried.insert(candidate.name(), seconds);
            if best.is_none_or(|(least, _)| seconds < least) {
                best = Some((seconds, candidate));
            }
        }
        let none = || Error::Unavailable("cuBLASLt ran none of its algorithms".into());
        self.algorithm = best.ok_or_else(|| refused.unwrap_or_else(none))?.1;
        Ok(())
    }

    /// Seconds a product, after a round to warm up. The first product waits behind no gate: the library loads its kernel
    /// then, which may have to wait for the device.
    fn time(&mut self, gpu: &Gpu, gate: &mut Gate) -> Result<f64> {
        self.enqueue(gpu)?;
        gpu.stream().synchronize().map_err(|e| driver("multiply", e))?;
        let mut round = || gate.time(gpu, gemm::TRIAL, || self.enqueue(gpu));
        round()?;
        Ok(round()?.as_secs_f64() / gemm::TRIAL as f64)
    }

    /// Bytes of one row of an operand with its scales.
    const fn stored_row_bytes(&self) -> usize {
        stored_row_bytes(self.numbers, self.scaling, self.problem.k)
    }

    /// How the chip adds up: fp8 on Ada and Hopper loses bits, and how often the library promotes its sums to f32 there it
    /// does not say, so they are allowed what they would lose if it never did.
    fn sums(&self) -> Sums {
        match (self.numbers, self.gpu.architecture()) {
            (Numbers::Plain(Format::Fp8E4m3), "sm_89" | "sm_90a") => Sums::hopper_fp8(usize::MAX),
            _ => Sums::F32,
        }
    }
}

impl Task for Product {
    fn metric(&self) -> MetricId {
        metric_id(self.asked, self.numbers, self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        unit_of(self.asked, self.numbers)
    }

    /// Counted as for our products.
    fn work(&self) -> Work {
        let Gemm { m, n, .. } = self.problem;
        let (flops, row) = (self.problem.flops(), self.stored_row_bytes());
        if m == 1 {
            return Work { flops, bytes_read: (n * row) as u64, ..Work::default() };
        }
        let bytes_written = self.problem.bytes_written();
        Work { flops, bytes_read: ((m + n) * row) as u64, bytes_written, ..Work::default() }
    }

    /// That of our products; fp8 on Blackwell boards is judged as block-scaled products are, which the library makes of it
    /// (its fp8 exceeds the rate of the plain instruction on GeForce boards: clpeak's tables of an RTX 5060).
    fn ceiling(&self, _: &Gpu) -> Option<Ceiling> {
        let gpu = &self.gpu;
        let compute = match self.numbers {
            Numbers::Plain(Format::Fp8E4m3) if gpu.architecture().starts_with("sm_12") => {
                peak::theoretical_blocked(gpu, BlockFormat::Mxfp8)
            }
            numbers => gemm::peak_of(gpu, numbers),
        };
        gemm::roofline(gpu, compute, &self.work(), self.unit())
    }

    fn kernel_path(&self, gpu: &Gpu) -> String {
        let emulated = if gpu.disqualified().is_some() { "/emulated" } else { "" };
        let Self { version, algorithm, .. } = self;
        let architecture = gpu.architecture();
        format!("cublaslt/{version}/{architecture}/{}{emulated}", algorithm.name())
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([
            ("device".into(), json!(self.gpu.name())),
            ("copies".into(), json!(self.copies.len())),
            ("tried_seconds".into(), json!(self.tried)),
            (
                "cublaslt".into(),
                json!({
                    "version": self.version,
                    "algorithm": self.algorithm.details(),
                    "scales": self.scaling.name(self.numbers),
                    "c": if self.numbers.integers() { "i32" } else { "f32" },
                    "workspace_bytes": WORKSPACE,
                }),
            ),
        ]);
        emulated::note(&mut details, &self.asked, &self.problem);
        details
    }

    fn settles(&self) -> bool {
        gemm::settles(self.problem)
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<Verified> {
        let stream = gpu.stream();
        // NaN as f32, more than any sum as i32.
        let mut outputs = vec![f32::NAN.to_bits(); self.c.len()];
        stream.memcpy_htod(&outputs, &mut self.c).map_err(|e| driver("poison C", e))?;
        self.enqueue(gpu)?;
        stream.memcpy_dtoh(&self.c, &mut outputs).map_err(|e| driver("read C", e))?;
        stream.synchronize().map_err(|e| driver("multiply", e))?;
        let integers = self.numbers.integers();
        let value = |bits: u32| if integers { bits as i32 as f32 } else { f32::from_bits(bits) };
        let outputs: Vec<f32> = outputs.into_iter().map(value).collect();
        let [a, b] = &self.host;
        a.verify(b, &outputs, self.sums())
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let stream = gpu.stream();
        let Copy { a, b, description } = &self.copies[self.rotation.advance()];
        let [of_b, of_a, of_c] = &self.layouts;
        // 1 and 0 in the type of the sums; the bits of zero are the same in both.
        let one = if self.numbers.integers() { 1u32 } else { 1f32.to_bits() };
        let zero = 0u32;
        let pointer = |address: u64| address as *const c_void;
        let c = self.c.device_ptr_mut(stream).0 as *mut c_void;
        let workspace = self.workspace.device_ptr_mut(stream).0 as *mut c_void;
        // SAFETY: every description is alive and tells the truth of its matrix; alpha and beta are read before the call
        // returns; the device memory outlives the work, which is on the one stream that all its users are on.
        let status = unsafe {
            sys::cublasLtMatmul(
                self.handle.0,
                description.0,
                (&raw const one).cast(),
                pointer(b.codes(gpu)),
                of_b.0,
                pointer(a.codes(gpu)),
                of_a.0,
                (&raw const zero).cast(),
                c,
                of_c.0,
                c,
                of_c.0,
                &raw const self.algorithm.raw,
                workspace,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        };
        check(status, &format!("multiply {} in {}", self.problem, self.numbers.name()))
    }
}
