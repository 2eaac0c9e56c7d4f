//! Attention on a GPU as something that can be timed.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::launch::Launch;
use super::plan::{Chip, Plan};
use crate::cuda::gate::Gate;
use crate::cuda::gpu::{Gpu, driver};
use crate::cuda::{emulated, gemm};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::{Attention, AttentionInputs, Phase, Verified, verify_attention};
use crate::{Error, Result};

/// One attention on one GPU: queries and cache cold, both in one format.
pub struct AttentionSubject {
    gpu: Rc<Gpu>,
    gate: Gate,
    ordinal: usize,
    asked: Attention,
    kind: Kind,
    format: Format,
    inputs: Inputs,
    launch: Launch,
    rotation: Rotation,
}

/// What there is besides the plain attention of a format.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    /// A cache in pages of as many keys.
    Paged(usize),
    /// Operands that are expanded to bf16.
    Expanded,
}

/// The operands on the host.
struct Inputs {
    q: Matrix,
    k: Matrix,
    /// None where the values are a part of the keys; transposed where the plan's rounding says so.
    v: Option<Matrix>,
}

impl Inputs {
    const fn all(&self) -> AttentionInputs<'_> {
        AttentionInputs { q: &self.q, k: &self.k, v: self.v.as_ref() }
    }
}

impl AttentionSubject {
    /// Name of the metric of `problem` in `format` on GPU `ordinal`.
    pub fn metric_id(problem: &Attention, format: Format, ordinal: usize) -> MetricId {
        let gpu = format!("gpu{ordinal}");
        MetricId::new(["attention", &gpu, format.name(), &problem.to_string()])
    }

    /// The same where the cache lies in pages of `page` keys.
    pub fn paged_metric_id(
        problem: &Attention,
        format: Format,
        ordinal: usize,
        page: usize,
    ) -> MetricId {
        let id = Self::metric_id(problem, format, ordinal);
        MetricId::new([format!("{id}-page{page}")])
    }

    /// The same where operands are expanded to bf16: `attention/gpu0/mxfp4-to-bf16/prefill-...`.
    pub fn expanded_metric_id(problem: &Attention, format: Format, ordinal: usize) -> MetricId {
        let (gpu, format) = (format!("gpu{ordinal}"), format!("{format}-to-bf16"));
        MetricId::new(["attention", &gpu, &format, &problem.to_string()])
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
        Self::planned(gpu, ordinal, asked, format, Kind::Plain, seed)
    }

    /// [`AttentionSubject::new`] for a decode whose cache lies in pages of `page` keys, in random order.
    ///
    /// # Errors
    /// As [`AttentionSubject::new`].
    pub fn paged(
        gpu: Rc<Gpu>,
        ordinal: usize,
        asked: Attention,
        format: Format,
        page: usize,
        seed: u64,
    ) -> Result<Self> {
        Self::planned(gpu, ordinal, asked, format, Kind::Paged(page), seed)
    }

    /// [`AttentionSubject::new`] for a prefill whose operands are expanded to bf16: see [`Plan::expanded`].
    ///
    /// # Errors
    /// As [`AttentionSubject::new`].
    pub fn expanded(
        gpu: Rc<Gpu>,
        ordinal: usize,
        asked: Attention,
        format: Format,
        seed: u64,
    ) -> Result<Self> {
        Self::planned(gpu, ordinal, asked, format, Kind::Expanded, seed)
    }

    fn planned(
        gpu: Rc<Gpu>,
        ordinal: usize,
        asked: Attention,
        format: Format,
        kind: Kind,
        seed: u64,
    ) -> Result<Self> {
        let problem = emulated::attention(&gpu, asked);
        let chip = Chip {
            architecture: gpu.architecture(),
            multiprocessors: gpu.multiprocessors()?,
            shared_bytes: gpu.shared_bytes_per_block()? as usize,
        };
        let plan = match kind {
            Kind::Plain => Plan::new(&problem, format, chip),
            Kind::Paged(page) => Plan::paged(&problem, format, chip, page),
            Kind::Expanded => Plan::expanded(&problem, format, chip),
        }?;
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
        let v = || {
            if plan.weights.transposes_values() {
                let (rows, columns) = problem.transposed_values();
                return Matrix::random(format, rows, columns, seed.wrapping_add(2));
            }
            rows(problem.kv_heads, problem.keys, problem.v_dim, 2)
        };
        let inputs = Inputs {
            q: rows(problem.heads, problem.queries, problem.qk_dim, 0)?,
            k: rows(problem.kv_heads, problem.keys, problem.qk_dim, 1)?,
            v: (!problem.latent).then(v).transpose()?,
        };
        let launch = Launch::new(&gpu, problem, plan, inputs.all(), copies, seed.wrapping_add(3))?;
        let gate = Gate::new(&gpu)?;
        let rotation = Rotation::new(copies);
        Ok(Self { gpu, gate, ordinal, asked, kind, format, inputs, launch, rotation })
    }
}

impl Subject for AttentionSubject {
    fn metric(&self) -> MetricId {
        let Self { asked, format, ordinal, .. } = self;
        match self.kind {
            Kind::Plain => Self::metric_id(asked, *format, *ordinal),
            Kind::Paged(page) => Self::paged_metric_id(asked, *format, *ordinal, page),
            Kind::Expanded => Self::expanded_metric_id(asked, *format, *ordinal),
        }
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

    /// The roofline: tensor cores of what is multiplied, or the device's memory.
    fn ceiling(&self) -> Option<Ceiling> {
        gemm::ceiling(&self.gpu, self.launch.plan.multiplied, &self.work(), self.unit())
    }

    fn settles(&self) -> bool {
        self.launch.problem.phase == Phase::Prefill
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
        let Launch { problem, plan, .. } = &self.launch;
        verify_attention(problem, self.inputs.all(), &o, plan.weights)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, launch, rotation, .. } = self;
        gate.time(gpu, iterations, || launch.enqueue(gpu, rotation.advance())).map(Elapsed)
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let Launch { problem, plan, copies, .. } = &self.launch;
        let mut details = self.gpu.details();
        emulated::note(&mut details, &self.asked, problem);
        details.insert("device".into(), self.gpu.name().into());
        details.insert("copies".into(), copies.len().into());
        details.insert("grid".into(), serde_json::json!([plan.grid.0, plan.grid.1]));
        details.insert("weights".into(), plan.weights.to_string().into());
        details.insert("cudnn".into(), crate::cuda::cudnn::note().into());
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
