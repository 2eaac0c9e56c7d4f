//! Measured read bandwidth as a ceiling for kernels that stream weights or keys: once a process and device.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::stream::{Operation, Vram};
use crate::cuda::best::best;
use crate::cuda::gpu::Gpu;
use crate::record::Ceiling;

/// What was measured so far, by PCI address; `None` where it can't be.
static KNOWN: LazyLock<Mutex<HashMap<String, Option<Ceiling>>>> = LazyLock::new(Mutex::default);

/// The most that `gpu` read from its memory, in GB/s, within about half a second; measured when it is first asked for.
///
/// `None` where it can't be measured, and on the emulated device.
pub fn measured_read(gpu: &Rc<Gpu>) -> Option<Ceiling> {
    if gpu.disqualified().is_some() {
        return None;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(gpu.pci_address().to_owned())
        .or_insert_with(|| best(&mut Vram::new(Rc::clone(gpu), 0, Operation::Read).ok()?).ok())
        .clone()
}
