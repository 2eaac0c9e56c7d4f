//! Attention as something that can be timed.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cpu::attention::{Attention, Partials, Rows};
use crate::cpu::{Caches, Ceilings, Isa, Shared};
use crate::host::{self, Buffer, Disjoint, Pages, Workers};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::{self, AttentionInputs, Phase, Verified, verify_attention};
use crate::{Error, Result};

/// Attention on the CPU: cold queries and cache, packed cache.
pub struct AttentionSubject {
    problem: workload::Attention,
    format: Format,
    plan: Attention,
    workers: Arc<Workers>,
    ceilings: Ceilings,
    k: Matrix,
    v: Option<Matrix>,
    copies: Vec<Copied>,
    rotation: Rotation,
    o: Vec<f32>,
    rows: Vec<Mutex<Rows>>,
    partials: Partials,
}

/// One copy of the inputs.
struct Copied {
    q: Matrix,
    cache: Buffer,
}

impl AttentionSubject {
    /// Name of the metric of `problem` in `format`.
    pub fn metric_id(problem: &workload::Attention, format: Format) -> MetricId {
        MetricId::new(["attention", "cpu", format.name(), &problem.to_string()])
    }

    /// What it is expressed in: decode streams the cache, prefill multiplies.
    pub fn unit_of(problem: &workload::Attention) -> Unit {
        match problem.phase {
            Phase::Prefill => Unit::TeraFlops,
            Phase::Decode => Unit::GigaBytes,
        }
    }

    /// Random inputs from `seed`, in as many copies as it takes to be cold, on `workers`.
    ///
    /// # Errors
    /// When the shape does not suit the format, memory is short, or this CPU lacks `isa`.
    pub fn new(
        problem: workload::Attention,
        format: Format,
        isa: Isa,
        workers: Arc<Workers>,
        ceilings: Ceilings,
        seed: u64,
    ) -> Result<Self> {
        let caches = host::Caches::of(workers.cpus());
        let shares = Caches::of(&caches, workers.count());
        let plan = Attention::new(problem, format, isa, &shares, workers.count())?;
        let bytes = problem.bytes_read(format);
        let copies = Rotation::copies(bytes, caches.last_level_total as u64);
        if let Some(available) = host::pages::available(&host::Root::host()) {
            problem.check_fits(format, copies, available)?;
        }
        let rows = |heads: usize, each: usize, columns: usize, salt: u64| {
            Matrix::random(format, heads * each, columns, seed.wrapping_add(salt))
        };
        let q = rows(problem.heads, problem.queries, problem.qk_dim, 0)?;
        let k = rows(problem.kv_heads, problem.keys, problem.qk_dim, 1)?;
        let v = match problem.latent {
            true => None,
            false => Some(rows(problem.kv_heads, problem.keys, problem.v_dim, 2)?),
        };
        let inputs = AttentionInputs { q: &q, k: &k, v: v.as_ref() };
        let copies = (0..copies)
            .map(|_| Ok(Copied { q: q.clone(), cache: pack(&plan, inputs, &problem, &workers)? }))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            format,
            rotation: Rotation::new(copies.len()),
            copies,
            o: vec![0.0; problem.heads * problem.queries * problem.v_dim],
            rows: (0..workers.count()).map(|_| Mutex::default()).collect(),
            partials: Partials::new(workers.count()),
            problem,
            plan,
            workers,
            ceilings,
            k,
            v,
        })
    }

    /// Attends with the copies of `turns`, one after the other.
    fn attend(&mut self, turns: &[usize]) -> Elapsed {
        let Self { plan, copies, o, rows, partials, workers, .. } = self;
        let o = Shared(o.as_mut_ptr());
        let taken: Vec<_> = turns.iter().map(|_| AtomicUsize::new(0)).collect();
        Elapsed(workers.timed(|worker| {
            let index = worker.index();
            let mut rows = rows[index].lock().unwrap_or_else(PoisonError::into_inner);
            for (&copy, next) in turns.iter().zip(&taken) {
                let Copied { q, cache } = &copies[copy];
                // SAFETY: O has every row; each index is used once, and the barriers part the phases.
                unsafe {
                    plan.attend(index, (q, cache.as_slice()), o.get(), next, &mut rows, partials);
                    worker.barrier();
                    plan.merge(index, o.get(), partials);
                }
                worker.barrier();
            }
        }))
    }
}

/// Packs the cache into a new buffer, a head after the other by turns of the workers.
fn pack(
    plan: &Attention,
    inputs: AttentionInputs<'_>,
    problem: &workload::Attention,
    workers: &Workers,
) -> Result<Buffer> {
    let layout = plan.layout();
    let mut buffer = Buffer::new(layout.bytes(), Pages::Transparent)?;
    let packed = Disjoint::new(buffer.as_mut_slice::<u8>());
    let bytes = layout.head_bytes();
    workers.run(|worker| {
        for head in worker.part(problem.kv_heads, 1) {
            // SAFETY: heads are disjoint, and each is one worker's.
            let to = unsafe { packed.slice(head * bytes..(head + 1) * bytes) };
            layout.pack(inputs, head, to);
        }
    });
    Ok(buffer)
}

impl Subject for AttentionSubject {
    fn metric(&self) -> MetricId {
        Self::metric_id(&self.problem, self.format)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(&self.problem)
    }

    /// In decode the bytes are those of the cache alone: a row of Q and of O a head stay in cache.
    fn work(&self) -> Work {
        let flops = self.problem.flops();
        match self.problem.phase {
            Phase::Decode => {
                Work { flops, bytes_read: self.problem.kv_bytes(self.format), ..Work::default() }
            }
            Phase::Prefill => Work {
                flops,
                bytes_read: self.problem.bytes_read(self.format),
                bytes_written: self.problem.bytes_written(),
                ..Work::default()
            },
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceilings.roofline(&self.work(), self.unit())
    }

    fn raise_ceiling(&mut self) -> Result<bool> {
        self.ceilings.raise()
    }

    fn kernel_path(&self) -> String {
        format!("cpu/{}", self.plan.path())
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.o.fill(f32::NAN);
        let copy = self.rotation.advance();
        self.attend(&[copy]);
        let inputs = AttentionInputs { q: &self.copies[copy].q, k: &self.k, v: self.v.as_ref() };
        verify_attention(&self.problem, inputs, &self.o, self.plan.weights())
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let turns: Vec<usize> = (0..iterations).map(|_| self.rotation.advance()).collect();
        if turns.is_empty() {
            return Err(Error::Wrong("a sample of no iterations".into()));
        }
        Ok(self.attend(&turns))
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, self.copies.iter().map(|copy| &copy.cache))
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::from([
            ("threads".into(), self.workers.count().into()),
            ("copies".into(), self.copies.len().into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_after_every_copy_and_right() {
        let workers = Arc::new(Workers::new().unwrap());
        let decode = workload::Attention {
            phase: Phase::Decode,
            heads: 16,
            kv_heads: 2,
            queries: 1,
            keys: 4096,
            qk_dim: 128,
            v_dim: 128,
            latent: false,
            scale_dim: 128,
        };
        let prefill =
            workload::Attention { phase: Phase::Prefill, queries: 96, keys: 256, ..decode };
        for problem in [decode, prefill] {
            for format in Format::MAIN {
                let isa = Isa::chosen().unwrap();
                let ceilings = Ceilings::default();
                let seed = rand::random();
                let mut subject =
                    AttentionSubject::new(problem, format, isa, workers.clone(), ceilings, seed)
                        .unwrap();
                assert!(subject.verify().unwrap().checked > 0);
                subject.run(subject.copies.len() as u64).unwrap();
                assert_eq!(subject.cache(), Cache::Cold);
            }
        }
    }
}
