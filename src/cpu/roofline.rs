//! What bounds a kernel: arithmetic or memory, whichever takes longer for the work that it declares.

use std::fmt;
use std::rc::Rc;

use crate::Result;
use crate::record::{Ceiling, Unit, Work};

/// How to measure a ceiling once more.
#[derive(Clone)]
pub struct Again(pub Rc<dyn Fn() -> Result<Ceiling>>);

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

/// The measured ceilings of this host that a kernel can meet. The bench passes them in, from the metrics that it took
/// before.
#[derive(Debug, Clone, Default)]
pub struct Ceilings {
    /// Of the kernel's dot instruction on all cores, in TFLOP/s or TOP/s.
    pub compute: Option<Ceiling>,
    /// Of reading DRAM on all cores, in GB/s.
    pub dram_read: Option<Ceiling>,
    /// How to measure the latter again.
    pub again: Option<Again>,
}

impl Ceilings {
    /// Measures DRAM again and keeps the higher rate; whether it is the new one.
    ///
    /// # Errors
    /// When it can't be measured.
    pub fn raise(&mut self) -> Result<bool> {
        let (Some(Again(measure)), Some(before)) = (&self.again, &mut self.dram_read) else {
            return Ok(false);
        };
        let now = measure()?;
        let higher = now.value > before.value;
        if higher {
            *before = now;
        }
        Ok(higher)
    }

    /// The lower of the two for `work`, in `unit`; what is known when only one is.
    ///
    /// Work that streams `bytes_read` from DRAM takes at least the longer of its two times: the roofline (Williams,
    /// Waterman, Patterson, Communications of the ACM 52(4), 2009).
    pub fn roofline(&self, work: &Work, unit: Unit) -> Option<Ceiling> {
        let bound = |ceiling: &Ceiling, amount: u64, scale: f64| {
            let seconds = amount as f64 / (ceiling.value * scale);
            let value = unit.value(work, seconds);
            Ceiling { value, origin: ceiling.origin, source: ceiling.source.clone() }
        };
        let compute = self.compute.as_ref().map(|c| bound(c, work.flops, 1e12));
        let memory = self.dram_read.as_ref().map(|c| {
            let mut bound = bound(c, work.bytes_read, 1e9);
            if unit != Unit::GigaBytes {
                let intensity = work.flops as f64 / work.bytes_read as f64;
                bound.source = format!("{} x {intensity:.1} operations a byte", c.source);
            }
            bound
        });
        [compute, memory].into_iter().flatten().min_by(|a, b| a.value.total_cmp(&b.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Origin;

    fn ceiling(value: f64, source: &str) -> Option<Ceiling> {
        Some(Ceiling { value, origin: Origin::Measured, source: source.into() })
    }

    #[test]
    fn the_lower_bound_is_named() {
        let ceilings = Ceilings {
            compute: ceiling(0.2, "peak"),
            dram_read: ceiling(30.0, "dram"),
            ..Ceilings::default()
        };
        let many = Work { flops: 1_000_000, bytes_read: 1_000, ..Work::default() };
        let compute = ceilings.roofline(&many, Unit::TeraFlops).unwrap();
        assert!((compute.value - 0.2).abs() < 1e-12);
        assert_eq!(compute.source, "peak");
        // Two operations a byte: 30 GB/s allow 0.06 TFLOP/s.
        let few = Work { flops: 2_000, bytes_read: 1_000, ..Work::default() };
        let memory = ceilings.roofline(&few, Unit::TeraFlops).unwrap();
        assert!((memory.value - 0.06).abs() < 1e-12);
        assert_eq!(memory.source, "dram x 2.0 operations a byte");
        let bytes = ceilings.roofline(&few, Unit::GigaBytes).unwrap();
        assert!((bytes.value - 30.0).abs() < 1e-9);
        assert_eq!(bytes.source, "dram");
    }

    #[test]
    fn memory_measured_again_only_rises() {
        let again = |value| Some(Again(Rc::new(move || Ok(ceiling(value, "again").unwrap()))));
        let known = |value| Ceilings {
            dram_read: ceiling(30.0, "dram"),
            again: again(value),
            ..Ceilings::default()
        };
        let mut risen = known(40.0);
        assert!(risen.raise().unwrap());
        assert_eq!(risen.dram_read.unwrap().source, "again");
        let mut fallen = known(20.0);
        assert!(!fallen.raise().unwrap());
        assert_eq!(fallen.dram_read, ceiling(30.0, "dram"));
        assert!(!Ceilings::default().raise().unwrap());
    }

    #[test]
    fn nothing_known_is_no_ceiling() {
        assert_eq!(Ceilings::default().roofline(&Work::default(), Unit::GigaBytes), None);
    }
}
