//! Attention on a GPU as something that can be timed.

use std::collections::BTreeMap;
use std::f64::consts::LOG2_E;
use std::rc::Rc;

use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::operands::Operands;
use super::plan::{Chip, Plan};
use crate::cuda::gate::Gate;
use crate::cuda::gemm;
use crate::cuda::gpu::{Gpu, driver};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::{Attention, AttentionInputs, Phase, Verified, Weights, verify_attention};
use crate::{Error, Result};

/// Keys and queries at most on the emulated device, which shows that the path works, not how fast.
const EMULATED_KEYS: usize = 300;

/// One attention on one GPU: queries and cache cold, both in one format.
pub struct AttentionSubject {
    gpu: Rc<Gpu>,
    gate: Gate,
    ordinal: usize,
    asked: Attention,
    format: Format,
    /// Q, K, V.
    inputs: [Matrix; 3],
    launch: Launch,
    rotation: Rotation,
}

/// The kernel and the device memory that it works on.
struct Launch {
    problem: Attention,
    plan: Plan,
    kernel: CudaFunction,
    copies: Vec<Operands>,
    o: CudaSlice<f32>,
    /// Results of splits, their maxima and sums, and one counter a key/value head; decode only.
    partial: CudaSlice<f32>,
    partial_sums: CudaSlice<f32>,
    tickets: CudaSlice<u32>,
}

impl AttentionSubject {
    /// Name of the metric of `problem` in `format` on GPU `ordinal`.
    pub fn metric_id(problem: &Attention, format: Format, ordinal: usize) -> MetricId {
        let gpu = format!("gpu{ordinal}");
        MetricId::new(["attention", &gpu, format.name(), &problem.to_string()])
    }

    /// What it is expressed in: decode streams the cache, prefill multiplies.
    pub const fn unit_of(problem: &Attention) -> Unit {
        match problem.phase {
            Phase::Prefill => Unit::TeraFlops,
            Phase::Decode => Unit::GigaBytes,
        }
    }

    /// Random inputs from `seed`, in as many copies as it takes to be cold, on `gpu`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the cause when no kernel computes it on this chip, or when memory is short.
    pub fn new(
        gpu: Rc<Gpu>,
        ordinal: usize,
        asked: Attention,
        format: Format,
        seed: u64,
    ) -> Result<Self> {
        let problem = if gpu.disqualified().is_some() { shrunk(asked) } else { asked };
        let chip = Chip {
            architecture: gpu.architecture(),
            multiprocessors: gpu.multiprocessors()?,
            shared_bytes: gpu.shared_bytes_per_block()? as usize,
        };
        let plan = Plan::new(&problem, format, chip)?;
        let copies = match gpu.disqualified() {
            Some(_) => 2,
            None => Rotation::copies(problem.bytes_read(format), gpu.l2_bytes()?),
        };
        problem
            .check_fits(format, copies, gpu.free_bytes()?)
            .map_err(|error| Error::Unavailable(format!("on this GPU: {error}")))?;
        let rows = |heads: usize, each: usize, columns: usize, salt: u64| {
            Matrix::random(format, heads * each, columns, seed.wrapping_add(salt))
        };
        let inputs = [
            rows(problem.heads, problem.queries, problem.qk_dim, 0)?,
            rows(problem.kv_heads, problem.keys, problem.qk_dim, 1)?,
            rows(problem.kv_heads, problem.keys, problem.v_dim, 2)?,
        ];
        let launch = Launch::new(&gpu, problem, plan, &inputs, copies)?;
        let gate = Gate::new(&gpu)?;
        let rotation = Rotation::new(copies);
        Ok(Self { gpu, gate, ordinal, asked, format, inputs, launch, rotation })
    }
}

/// The same kind of attention, small.
fn shrunk(asked: Attention) -> Attention {
    let kv_heads = asked.kv_heads.min(2);
    let keys = asked.keys.min(EMULATED_KEYS);
    Attention {
        kv_heads,
        heads: asked.heads / asked.kv_heads * kv_heads,
        keys,
        queries: asked.queries.min(keys),
        ..asked
    }
}

impl Launch {
    fn new(
        gpu: &Gpu,
        problem: Attention,
        plan: Plan,
        [q, k, v]: &[Matrix; 3],
        copies: usize,
    ) -> Result<Self> {
        let kernel = gpu.load(plan.build.clone())?;
        kernel
            .set_attribute(
                Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                plan.shared_bytes as i32,
            )
            .map_err(|e| driver("give a kernel its shared memory", e))?;
        let copies = (0..copies)
            .map(|_| Operands::upload(gpu, &problem, [q, k, v], plan.stride))
            .collect::<Result<Vec<_>>>()?;
        let rows = problem.heads * problem.queries;
        let parts = match problem.phase {
            Phase::Decode => rows * plan.splits(),
            Phase::Prefill => 1,
        };
        let floats = |count: usize| {
            gpu.stream().alloc_zeros::<f32>(count).map_err(|e| driver("allocate an output", e))
        };
        Ok(Self {
            o: floats(rows * problem.v_dim)?,
            partial: floats(parts * problem.v_dim)?,
            partial_sums: floats(parts * 2)?,
            tickets: gpu
                .stream()
                .alloc_zeros(problem.kv_heads)
                .map_err(|e| driver("allocate counters", e))?,
            problem,
            plan,
            kernel,
            copies,
        })
    }

    /// Queues one attention on copy `index`.
    fn enqueue(&mut self, gpu: &Gpu, index: usize) -> Result<()> {
        let Self { problem, plan, kernel, copies, o, partial, partial_sums, tickets } = self;
        let Operands { q, k, v } = &copies[index];
        let factor = (LOG2_E / (problem.scale_dim as f64).sqrt()) as f32;
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let (queries, keys, stride) =
            (number(problem.queries), number(problem.keys), number(plan.stride));
        let group = number(problem.heads / problem.kv_heads);
        let no_pages = 0u64;
        let config = LaunchConfig {
            grid_dim: (plan.grid.0, plan.grid.1, 1),
            block_dim: (plan.threads, 1, 1),
            shared_mem_bytes: plan.shared_bytes,
        };
        let mut launch = gpu.stream().launch_builder(kernel);
        match problem.phase {
            Phase::Decode => launch
                .arg(&q.codes)
                .arg(&q.scales)
                .arg(&k.codes)
                .arg(&k.scales)
                .arg(&v.codes)
                .arg(&v.scales)
                .arg(&no_pages)
                .arg(o)
                .arg(partial)
                .arg(partial_sums)
                .arg(tickets)
                .arg(&keys)
                .arg(&stride)
                .arg(&factor),
            Phase::Prefill => launch
                .arg(&q.codes)
                .arg(&k.codes)
                .arg(&v.codes)
                .arg(o)
                .arg(&queries)
                .arg(&keys)
                .arg(&stride)
                .arg(&group)
                .arg(&factor),
        };
        // SAFETY: the arguments are those of the kernel's file, sized by the problem and the plan.
        unsafe { launch.launch(config) }.map_err(|e| driver("launch an attention", e))?;
        Ok(())
    }

    /// Everything that the kernel writes becomes NaN.
    fn poison(&mut self, gpu: &Gpu) -> Result<()> {
        for slice in [&mut self.o, &mut self.partial, &mut self.partial_sums] {
            let poison = vec![f32::NAN; slice.len()];
            gpu.stream().memcpy_htod(&poison, slice).map_err(|e| driver("poison an output", e))?;
        }
        Ok(())
    }
}

impl Subject for AttentionSubject {
    fn metric(&self) -> MetricId {
        Self::metric_id(&self.asked, self.format, self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(&self.asked)
    }

    /// In decode the bytes are those of the cache alone, as on the CPU.
    fn work(&self) -> Work {
        let problem = &self.launch.problem;
        let flops = problem.flops();
        match problem.phase {
            Phase::Decode => {
                Work { flops, bytes_read: problem.kv_bytes(self.format), ..Work::default() }
            }
            Phase::Prefill => Work {
                flops,
                bytes_read: problem.bytes_read(self.format),
                bytes_written: problem.bytes_written(),
                ..Work::default()
            },
        }
    }

    /// The roofline: tensor cores of the format, or the device's memory.
    fn ceiling(&self) -> Option<Ceiling> {
        gemm::ceiling(&self.gpu, self.format, &self.work(), self.unit())
    }

    fn kernel_path(&self) -> String {
        format!("cuda/{}/{}", self.gpu.architecture(), self.launch.plan.path)
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.launch.poison(&self.gpu)?;
        self.launch.enqueue(&self.gpu, self.rotation.advance())?;
        let o = self
            .gpu
            .stream()
            .clone_dtoh(&self.launch.o)
            .map_err(|e| driver("read an output", e))?;
        let [q, k, v] = &self.inputs;
        let inputs = AttentionInputs { q, k, v: Some(v) };
        verify_attention(&self.launch.problem, inputs, &o, Weights::Bf16)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, launch, rotation, .. } = self;
        gate.time(gpu, iterations, || launch.enqueue(gpu, rotation.advance())).map(Elapsed)
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let Launch { plan, copies, .. } = &self.launch;
        let mut details = self.gpu.details();
        details.insert("device".into(), self.gpu.name().into());
        details.insert("copies".into(), copies.len().into());
        details.insert("grid".into(), serde_json::json!([plan.grid.0, plan.grid.1]));
        details
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
