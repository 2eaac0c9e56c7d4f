//! What bounds a CPU kernel on this host: each ceiling is measured once a process, when it is first asked for.
//!
//! Parts do not know each other; a bench that needs the ceilings of several finds them here.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::cpu::{Ceilings, Isa};
use crate::host::Workers;
use crate::memory::measure_read_ceiling;
use crate::number::Format;
use crate::record::Ceiling;

/// Time to measure one ceiling: several hundred milliseconds, long enough for clocks to settle.
const BUDGET: Duration = Duration::from_millis(600);

/// The CPU with its workers and what was measured of it so far. Clones share everything.
#[derive(Clone)]
pub struct CpuCeilings {
    workers: Arc<Workers>,
    isa: Isa,
    dram_read: Rc<RefCell<Option<Ceiling>>>,
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

    /// Both ceilings of a kernel whose operands are in `format`.
    ///
    /// # Errors
    /// When one can't be measured.
    pub fn of(&self, _format: Format) -> Result<Ceilings> {
        Ok(Ceilings { compute: None, dram_read: Some(self.dram_read()?) })
    }

    fn dram_read(&self) -> Result<Ceiling> {
        if let Some(known) = &*self.dram_read.borrow() {
            return Ok(known.clone());
        }
        let measured = measure_read_ceiling(&self.workers, BUDGET)?;
        *self.dram_read.borrow_mut() = Some(measured.clone());
        Ok(measured)
    }
}
