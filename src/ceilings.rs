//! What bounds a CPU kernel on this host: each ceiling is measured once a process, when it is first asked for.
//!
//! Parts do not know each other; a bench that needs the ceilings of several finds them here.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cpu::{Again, Ceilings, Isa, Peak, PeakSubject};
use crate::host::Workers;
use crate::measure::Subject;
use crate::memory::measure_read_ceiling;
use crate::number::Format;
use crate::record::{Ceiling, Origin};
use crate::workload::Attention;

/// Time to measure one ceiling: several hundred milliseconds, long enough for clocks to settle.
const BUDGET: Duration = Duration::from_millis(600);
/// Time of one pass over a peak loop: hundreds of chunks a worker, so that the last one does not count, and short, so
/// that some passes fall between interruptions on a busy host.
const PASS: Duration = Duration::from_millis(5);

/// The CPU with its workers and what was measured of it so far. Clones share everything.
#[derive(Clone)]
pub struct CpuCeilings {
    workers: Arc<Workers>,
    isa: Isa,
    dram_read: Rc<RefCell<Option<Ceiling>>>,
    peaks: Rc<RefCell<Vec<(Peak, Ceiling)>>>,
}

impl CpuCeilings {
    /// Nothing is measured yet.
    ///
    /// # Errors
    /// When the workers can't be started, or `HOSTDYNO_ISA` names an instruction set that this CPU lacks.
    pub fn new() -> Result<Self> {
        Ok(Self {
            workers: Arc::new(Workers::new()?),
            isa: Isa::chosen()?,
            dram_read: Rc::default(),
            peaks: Rc::default(),
        })
    }

    /// The workers that everything runs on.
    pub fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Both ceilings of a kernel whose operands are in `format`: the dot instruction it is built on, and DRAM.
    ///
    /// # Errors
    /// When one can't be measured.
    pub fn of(&self, format: Format) -> Result<Ceilings> {
        let compute = Some(self.peak(Peak::of(self.isa, format))?);
        self.with_memory(compute)
    }

    /// Both ceilings of attention whose operands are in `format`: the two products need not be the same instruction, so
    /// their times are added.
    ///
    /// # Errors
    /// When one can't be measured.
    pub fn of_attention(&self, shape: &Attention, format: Format) -> Result<Ceilings> {
        let scores = self.peak(Peak::of(self.isa, format))?;
        // The values are expanded to bf16 where it is multiplied faster than f32, else to f32.
        let values = self.peak(Peak::of(self.isa, Format::Bf16))?;
        let parts = [(shape.qk_dim, &scores), (shape.v_dim, &values)];
        let compute = if scores.source == values.source { scores } else { in_turn(parts) };
        self.with_memory(Some(compute))
    }

    /// The ceiling of f32 arithmetic.
    ///
    /// # Errors
    /// When it can't be measured.
    pub fn f32(&self) -> Result<Ceiling> {
        self.peak(Peak::F32)
    }

    /// `compute` and DRAM, which can be measured again.
    fn with_memory(&self, compute: Option<Ceiling>) -> Result<Ceilings> {
        let known = self.dram_read.borrow().clone();
        let dram_read = Some(known.map_or_else(|| self.measure_dram_read(), Ok)?);
        let this = self.clone();
        let again = Some(Again(Rc::new(move || this.measure_dram_read())));
        Ok(Ceilings { compute, dram_read, again })
    }

    /// Measures what the cores read of DRAM together; the best so far is what the next kernel is held to.
    fn measure_dram_read(&self) -> Result<Ceiling> {
        let measured = measure_read_ceiling(&self.workers, BUDGET)?;
        let mut best = self.dram_read.borrow_mut();
        if best.as_ref().is_none_or(|best| measured.value > best.value) {
            *best = Some(measured.clone());
        }
        Ok(measured)
    }

    fn peak(&self, peak: Peak) -> Result<Ceiling> {
        let mut known = self.peaks.borrow_mut();
        if let Some((_, ceiling)) = known.iter().find(|(of, _)| *of == peak) {
            return Ok(ceiling.clone());
        }
        let measured = best(&mut PeakSubject::new(peak, self.isa, self.workers.clone())?)?;
        known.push((peak, measured.clone()));
        Ok(measured)
    }
}

/// The rate of several kinds of work in turn, each by its amount and ceiling.
fn in_turn(parts: [(usize, &Ceiling); 2]) -> Ceiling {
    let total: f64 = parts.iter().map(|(amount, _)| *amount as f64).sum();
    let time: f64 = parts.iter().map(|(amount, ceiling)| *amount as f64 / ceiling.value).sum();
    let source = parts.map(|(amount, ceiling)| {
        format!("{:.0} % of the operations at {}", 100.0 * amount as f64 / total, ceiling.source)
    });
    Ceiling { value: total / time, origin: Origin::Measured, source: source.join(", ") }
}

/// The best pass of `subject` within [`BUDGET`]: a ceiling is what was possible once, not what was usual.
fn best(subject: &mut PeakSubject) -> Result<Ceiling> {
    let once = subject.run(1)?.0.max(Duration::from_nanos(1));
    let iterations = PASS.as_nanos().div_ceil(once.as_nanos()) as u64;
    let start = Instant::now();
    let mut value = 0.0f64;
    while start.elapsed() < BUDGET {
        let seconds = subject.run(iterations)?.0.as_secs_f64() / iterations as f64;
        value = value.max(subject.unit().value(&subject.work(), seconds));
    }
    Ok(Ceiling { value, origin: Origin::Measured, source: subject.metric().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kinds_of_work_take_the_sum_of_their_times() {
        let ceiling = |value, source: &str| Ceiling {
            value,
            origin: Origin::Measured,
            source: source.into(),
        };
        let (fast, slow) = (ceiling(3.0, "fast"), ceiling(1.0, "slow"));
        // Three at 3 and one at 1: four in two.
        let both = in_turn([(3, &fast), (1, &slow)]);
        assert!((both.value - 2.0).abs() < 1e-12, "{}", both.value);
        assert_eq!(both.source, "75 % of the operations at fast, 25 % of the operations at slow");
    }
}
