//! A product as something that can be timed.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cpu::gemm::{Gemm, Scratch};
use crate::cpu::kernel::LINE;
use crate::cpu::{Caches, Ceilings, Isa, Shared};
use crate::host::{self, Buffer, Disjoint, Pages, Workers};
use crate::measure::threads::{Threads, rate};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::figure::Axis;
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::{self, Verified, verify_gemm};
use crate::{Error, Result};

/// A GEMM on the CPU: cold weights and activations, packed weights.
pub struct GemmSubject {
    id: MetricId,
    problem: workload::Gemm,
    format: Format,
    gemm: Gemm,
    workers: Arc<Workers>,
    ceilings: Ceilings,
    weights: Matrix,
    copies: Copies,
    rotation: Rotation,
    c: Vec<f32>,
    scratch: Vec<Mutex<Scratch>>,
    /// What else the record is to tell.
    notes: BTreeMap<String, serde_json::Value>,
}

/// The inputs, as often as it takes to be cold: one buffer for the packed weights of all copies, since small products
/// need thousands.
struct Copies {
    a: Vec<Matrix>,
    weights: Buffer,
    /// Bytes from the weights of one copy to those of the next.
    stride: usize,
}

impl Copies {
    /// Packs `weights` `count` times; each worker the panels that it will read, so that their pages are near it.
    fn new(
        gemm: &Gemm,
        a: &Matrix,
        weights: &Matrix,
        count: usize,
        workers: &Workers,
    ) -> Result<Self> {
        let layout = gemm.layout();
        let stride = layout.bytes().next_multiple_of(LINE);
        let mut buffer = Buffer::new(count * stride, Pages::Transparent)?;
        let packed = Disjoint::new(buffer.as_mut_slice::<u8>());
        workers.run(|worker| {
            let bytes = layout.panel_bytes();
            let parts = gemm.parts(worker.index(), worker.count());
            // Parts that share panels find them where the one with the first rows put them.
            let first = parts.filter(|part| part.rows.start == 0).map(|part| part.panels);
            for (panels, copy) in
                first.flat_map(|panels| (0..count).map(move |copy| (panels.clone(), copy)))
            {
                let start = copy * stride;
                let range = start + panels.start * bytes..start + panels.end * bytes;
                // SAFETY: the parts with the first rows have disjoint panels.
                let to = unsafe { packed.slice(range) };
                layout.pack(weights, panels, to);
            }
        });
        Ok(Self { a: vec![a.clone(); count], weights: buffer, stride })
    }

    /// The packed weights of one copy.
    fn weights(&self, copy: usize) -> &[u8] {
        &self.weights.as_slice()[copy * self.stride..][..self.stride]
    }
}

impl GemmSubject {
    /// Name of the metric of `problem` in `format`.
    pub fn metric_id(problem: workload::Gemm, format: Format) -> MetricId {
        MetricId::new(["gemm", "cpu", format.name(), &problem.to_string()])
    }

    /// What it is expressed in: one row streams its weights, several multiply.
    pub fn unit_of(problem: workload::Gemm, format: Format) -> Unit {
        match (problem.m, format) {
            (1, _) => Unit::GigaBytes,
            (_, Format::Int8) => Unit::TeraOps,
            _ => Unit::TeraFlops,
        }
    }

    /// Random inputs from `seed`, in as many copies as it takes to be cold, on `workers`.
    ///
    /// # Errors
    /// When the shape does not suit the format, memory is short, or this CPU lacks `isa`.
    pub fn new(
        problem: workload::Gemm,
        format: Format,
        isa: Isa,
        workers: Arc<Workers>,
        ceilings: Ceilings,
        seed: u64,
    ) -> Result<Self> {
        let caches = host::Caches::of(workers.cpus());
        let shares = Caches::of(&caches, workers.count());
        let gemm = Gemm::new(problem, format, isa, &shares, workers.count())?;
        let bytes = problem.bytes_read(format);
        let copies = Rotation::copies(bytes, caches.last_level_total as u64);
        if let Some(available) = host::pages::available(&host::Root::host()) {
            problem.check_fits(format, copies, available)?;
        }
        let a = Matrix::random(format, problem.m, problem.k, seed)?;
        let weights = Matrix::random(format, problem.n, problem.k, !seed)?;
        let packed = Copies::new(&gemm, &a, &weights, copies, &workers)?;
        Ok(Self {
            id: Self::metric_id(problem, format),
            notes: BTreeMap::new(),
            problem,
            format,
            rotation: Rotation::new(copies),
            copies: packed,
            c: vec![0.0; problem.m * problem.n],
            scratch: (0..workers.count()).map(|_| Mutex::default()).collect(),
            gemm,
            workers,
            ceilings,
            weights,
        })
    }

    /// Measures `problem` over the numbers of `threads`, and prepares it on as many as the knee has, for the metric
    /// [`Self::threads_id`]: where the bandwidth or the arithmetic is all used, and what second hardware threads add.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn at_the_knee(
        problem: workload::Gemm,
        format: Format,
        isa: Isa,
        threads: &Threads,
        ceilings: Ceilings,
    ) -> Result<Self> {
        let on = |cpus: &[usize]| {
            let workers = Arc::new(Workers::on(cpus)?);
            Self::new(problem, format, isa, workers, ceilings.clone(), rand::random())
        };
        let unit = Self::unit_of(problem, format);
        let axis = Axis::linear(&problem.to_string(), unit.symbol());
        let scaling = threads.sweep(axis, |cpus| rate(&mut on(cpus)?))?;
        let (id, notes) = (Self::threads_id(problem, format), scaling.details);
        Ok(Self { id, notes, ..on(&scaling.cpus)? })
    }

    /// Name of the metric of `problem` in `format` at the knee of its curve over threads.
    pub fn threads_id(problem: workload::Gemm, format: Format) -> MetricId {
        MetricId::new(["gemm", "cpu", format.name(), &problem.to_string(), "knee"])
    }

    /// Multiplies the copies of `turns`, one after the other.
    fn multiply(&mut self, turns: &[usize]) -> Elapsed {
        let Self { gemm, copies, c, scratch, workers, .. } = self;
        let c = Shared(c.as_mut_ptr());
        let taken: Vec<_> = turns.iter().map(|_| AtomicUsize::new(0)).collect();
        Elapsed(workers.timed(|worker| {
            let mut scratch =
                scratch[worker.index()].lock().unwrap_or_else(PoisonError::into_inner);
            for (&copy, next) in turns.iter().zip(&taken) {
                let inputs = (&copies.a[copy], copies.weights(copy));
                // SAFETY: C has M x N elements, each index is used once, and the barrier parts the products.
                unsafe { gemm.multiply(worker.index(), next, inputs, c.get(), &mut scratch) };
                // The next product waits for this one, as the next layer does.
                worker.barrier();
            }
        }))
    }
}

impl Subject for GemmSubject {
    fn metric(&self) -> MetricId {
        self.id.clone()
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Self::unit_of(self.problem, self.format)
    }

    /// With one row the bytes are those of the weights alone: a row of A and of C stays in cache.
    fn work(&self) -> Work {
        let problem = self.problem;
        let flops = problem.flops();
        if problem.m == 1 {
            let bytes_read = (problem.n * self.format.stored_row_bytes(problem.k)) as u64;
            return Work { flops, bytes_read, ..Work::default() };
        }
        Work {
            flops,
            bytes_read: problem.bytes_read(self.format),
            bytes_written: problem.bytes_written(),
            ..Work::default()
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceilings.roofline(&self.work(), self.unit())
    }

    fn raise_ceiling(&mut self) -> Result<bool> {
        self.ceilings.raise()
    }

    fn kernel_path(&self) -> String {
        format!("cpu/{}", self.gemm.path())
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.c.fill(f32::NAN);
        let copy = self.rotation.advance();
        self.multiply(&[copy]);
        verify_gemm(&self.copies.a[copy], &self.weights, &self.c)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let turns: Vec<usize> = (0..iterations).map(|_| self.rotation.advance()).collect();
        if turns.is_empty() {
            return Err(Error::Wrong("a sample of no iterations".into()));
        }
        Ok(self.multiply(&turns))
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [&self.copies.weights])
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        let mut details = self.notes.clone();
        details.insert("threads".into(), self.workers.count().into());
        details.insert("copies".into(), self.copies.a.len().into());
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_after_every_copy_and_right() {
        let workers = Arc::new(Workers::new().unwrap());
        for format in Format::MAIN {
            let problem = workload::Gemm::new(1, 4096, 4096);
            let isa = Isa::chosen().unwrap();
            let mut subject = GemmSubject::new(
                problem,
                format,
                isa,
                workers.clone(),
                Ceilings::default(),
                rand::random(),
            )
            .unwrap();
            assert!(subject.verify().unwrap().checked > 4000);
            assert_eq!(subject.cache(), Cache::Unknown);
            subject.run(subject.copies.a.len() as u64).unwrap();
            assert_eq!(subject.cache(), Cache::Cold);
            assert_eq!(subject.work().bytes_read, (4096 * format.stored_row_bytes(4096)) as u64);
        }
    }

    #[test]
    fn the_knee_of_the_threads_is_measured_kept_and_right() {
        let isa = Isa::chosen().unwrap();
        let workers = Workers::new().unwrap();
        let threads = Threads::of_host(&workers, &host::Topology::discover()).unwrap();
        for problem in [workload::Gemm::new(1, 512, 256), workload::Gemm::new(33, 64, 96)] {
            let (format, ceilings) = (Format::Int8, Ceilings::default());
            let mut subject =
                GemmSubject::at_the_knee(problem, format, isa, &threads, ceilings).unwrap();
            assert_eq!(subject.metric(), GemmSubject::threads_id(problem, format));
            subject.verify().unwrap();
            let details = subject.details();
            assert_eq!(details["threads"], details["threads_at_knee"]);
            let points = details["curve"]["series"][0]["points"].as_array().unwrap();
            assert_eq!(points[0][0], 1.0, "one thread first");
            assert!(points.iter().all(|point| point[1].as_f64().unwrap() > 0.0), "{points:?}");
        }
    }
}
