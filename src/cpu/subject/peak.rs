//! The measured ceilings of arithmetic: one dot instruction, as fast as the cores issue it.
//!
//! Workers take chunks as they come. Cut into equal shares, the work would take as long as the slowest core needs, and
//! on a virtual machine whose CPUs are threads of cores that others use too, that is far below what the cores do
//! together: a kernel that shares its work out as it comes would beat such a ceiling. (Seen on a 16-CPU Emerald Rapids
//! guest, whose CPUs did 35 to 115 GFLOP/s at the same time.)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cpu::Isa;
use crate::cpu::clock::{bf16_dot_pays, core_clock, operations_a_cycle};
use crate::cpu::kernel::{Kernel, LANES, STEPS, Span, bf16_dots, f32_dots, kernel};
use crate::host::Workers;
use crate::measure::{Elapsed, Subject};
use crate::number::Format;
use crate::record::{Cache, Ceiling, MetricId, Origin, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Turns of the loop in one chunk: some 10 us, and floating-point sums stay exact.
const TURNS: u32 = 4096;

/// Which dot instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peak {
    /// f32 multiply-add.
    F32,
    /// bf16 dot product.
    Bf16,
    /// int8: byte dot product, or 16-bit multiply-add.
    Int8,
    /// mxfp4 where int8 takes another instruction: without byte dot products byte multiply-add summed in 16 bits; beside
    /// tiles, which can't hold a block's own scale, the byte dot product of vectors.
    Mxfp4,
}

impl Peak {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::Int8, Self::Mxfp4];

    /// Name in metric ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Mxfp4 => "mxfp4",
        }
    }

    /// The instruction that bounds products in `format` on `isa`.
    pub fn of(isa: Isa, format: Format) -> Self {
        match format {
            Format::Int8 => Self::Int8,
            // The same byte dot product, between scales.
            Format::Mxfp4 if same_dot(isa) => Self::Int8,
            Format::Mxfp4 => Self::Mxfp4,
            Format::Bf16 | Format::Fp8E4m3 | Format::Fp8E5m2 => {
                if matches!(isa, Isa::NeonBf16 | Isa::Amx)
                    || isa == Isa::Avx512Bf16 && bf16_dot_pays()
                {
                    Self::Bf16
                } else {
                    Self::F32
                }
            }
        }
    }

    /// What it is expressed in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::F32 | Self::Bf16 => Unit::TeraFlops,
            Self::Int8 | Self::Mxfp4 => Unit::TeraOps,
        }
    }

    /// Whether `isa` has it.
    pub fn available(self, isa: Isa) -> bool {
        match self {
            Self::F32 | Self::Int8 => true,
            Self::Bf16 => matches!(isa, Isa::NeonBf16 | Isa::Avx512Bf16 | Isa::Amx),
            Self::Mxfp4 => !same_dot(isa),
        }
    }

    fn kernel(self, isa: Isa) -> Option<Box<dyn Kernel>> {
        match self {
            Self::F32 => f32_dots(isa),
            Self::Bf16 | Self::Mxfp4 if !self.available(isa) => None,
            Self::Bf16 => bf16_dots(isa),
            Self::Int8 => kernel(isa, Format::Int8),
            Self::Mxfp4 => kernel(isa, Format::Mxfp4),
        }
    }
}

/// Whether int8 and mxfp4 are multiplied by the same instruction on `isa`: the byte dot product.
const fn same_dot(isa: Isa) -> bool {
    matches!(
        isa,
        Isa::NeonDotprod | Isa::NeonBf16 | Isa::AvxVnni | Isa::Avx512Vnni | Isa::Avx512Bf16
    )
}

/// One dot instruction on every worker.
pub struct PeakSubject {
    peak: Peak,
    kernel: Box<dyn Kernel>,
    workers: Arc<Workers>,
    sums: Vec<Mutex<Vec<u32>>>,
    ceiling: Option<Ceiling>,
}

impl PeakSubject {
    /// Name of the metric on one worker or on all cores.
    pub fn metric_id(peak: Peak, one_core: bool) -> MetricId {
        let where_ = if one_core { "one-core" } else { "all-cores" };
        MetricId::new(["compute", "peak", peak.name(), where_])
    }

    /// `peak` by `isa` on `workers`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when `isa`, or this CPU, has no such instruction.
    pub fn new(peak: Peak, isa: Isa, workers: Arc<Workers>) -> Result<Self> {
        let kernel = peak.kernel(isa).ok_or_else(|| {
            Error::Unavailable(format!("{isa} has no {} dot instruction", peak.name()))
        })?;
        let (rows, panels) = kernel.tile_size();
        let sums =
            (0..workers.count()).map(|_| Mutex::new(vec![0; rows * panels * LANES])).collect();
        let ceiling = theoretical(kernel.as_ref(), isa, &workers);
        Ok(Self { peak, kernel, workers, sums, ceiling })
    }

    fn operations(&self) -> u64 {
        let (rows, panels) = self.kernel.tile_size();
        let steps = TURNS as usize * STEPS * rows * panels * LANES;
        (steps * self.kernel.operands().operations()) as u64
    }

    /// Each worker as many chunks as `iterations`: by turns, or `shared` out as they finish.
    fn multiply(&self, iterations: u64, shared: bool) -> Duration {
        let (rows, panels) = self.kernel.tile_size();
        let (taken, chunks) = (AtomicU64::new(0), iterations * self.workers.count() as u64);
        let operands = self.kernel.operands();
        let a = operands.units().repeat(rows);
        let line: Vec<u32> = (0..LANES).map(|lane| operands.line(lane)).collect();
        let b = line.repeat(panels);
        self.workers.timed(|worker| {
            let mut sums = self.sums[worker.index()].lock().unwrap_or_else(PoisonError::into_inner);
            let mut done = 0;
            while if shared {
                taken.fetch_add(1, Ordering::Relaxed) < chunks
            } else {
                done < iterations
            } {
                done += 1;
                sums.fill(0);
                let span = Span {
                    count: TURNS as usize / self.kernel.peak_depth(),
                    a: a.as_ptr(),
                    a_stride: STEPS,
                    b: b.as_ptr().cast(),
                    b_stride: 0,
                    scales: 0,
                    out: sums.as_mut_ptr(),
                    out_stride: panels * LANES,
                };
                // SAFETY: units, lines and sums of a tile.
                unsafe { self.kernel.peak(span) };
            }
            self.kernel.release();
        })
    }
}

/// Clock of all workers x operations a cycle.
fn theoretical(kernel: &dyn Kernel, isa: Isa, workers: &Workers) -> Option<Ceiling> {
    let clocks = Mutex::new(Vec::new());
    workers.run(|_| {
        let clock = core_clock();
        clocks.lock().unwrap_or_else(PoisonError::into_inner).push(clock);
    });
    let clocks = clocks.into_inner().unwrap_or_else(PoisonError::into_inner);
    let clocks: Vec<f64> = clocks.into_iter().collect::<Option<_>>()?;
    let total: f64 = clocks.iter().sum();
    let tiles = kernel.peak_depth() > 1;
    let (operations, core) = operations_a_cycle(kernel.operands(), isa.register_bits(), tiles)?;
    let source = format!(
        "{} cores x {:.2} GHz (measured) x {operations} operations a cycle ({core})",
        clocks.len(),
        total / clocks.len() as f64 / 1e9,
    );
    Some(Ceiling { value: total * operations / 1e12, origin: Origin::Theoretical, source })
}

impl Subject for PeakSubject {
    fn metric(&self) -> MetricId {
        Self::metric_id(self.peak, self.workers.count() == 1)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        self.peak.unit()
    }

    fn work(&self) -> Work {
        Work { flops: self.operations() * self.workers.count() as u64, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceiling.clone()
    }

    fn kernel_path(&self) -> String {
        format!("cpu/{}", self.kernel.path())
    }

    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        for sums in &self.sums {
            sums.lock().unwrap_or_else(PoisonError::into_inner).fill(u32::MAX);
        }
        self.multiply(1, false);
        let operands = self.kernel.operands();
        let mut checked = 0;
        for sums in &self.sums {
            let sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            for (i, &sum) in sums.iter().enumerate() {
                let expected = operands.sum(TURNS, i % LANES);
                if sum != expected {
                    return Err(Error::Wrong(format!(
                        "{} peak: sum {i} is {sum:#x}, not {expected:#x}",
                        self.peak.name()
                    )));
                }
                checked += 1;
            }
        }
        Ok(Verified { checked, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        Ok(Elapsed(self.multiply(iterations, true)))
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [])
    }

    fn details(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::from([("threads".into(), self.workers.count().into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_every_instruction_is_done() {
        let workers = Arc::new(Workers::new().unwrap());
        for isa in Isa::detected() {
            for peak in Peak::ALL {
                match PeakSubject::new(peak, isa, workers.clone()) {
                    Ok(mut subject) => assert!(subject.verify().unwrap().checked > 0),
                    Err(Error::Unavailable(_)) => assert!(!peak.available(isa)),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}
