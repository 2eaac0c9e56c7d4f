//! The measured peak as a ceiling for other kernels: once a process, device and format.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::loops::Loop;
use super::subject::TensorPeak;
use crate::cuda::best::best;
use crate::cuda::gpu::Gpu;
use crate::number::Format;
use crate::record::Ceiling;

/// PCI address and format.
type Key = (String, Format);

/// What was measured so far; `None` where it can't be.
static KNOWN: LazyLock<Mutex<HashMap<Key, Option<Ceiling>>>> = LazyLock::new(Mutex::default);

/// The most that the tensor cores of `gpu` did in `format`, in TFLOP/s (TOP/s for int8): the best launch of the best loop
/// within about half a second, measured when it is first asked for.
///
/// It is what the clocks allowed then; a kernel that works for seconds may have a lower clock. `None` where the chip has no
/// unit for the format or no loop shows its full rate ([`Loop::best`] says which), where the loop can't run, and on the
/// emulated device.
pub fn measured(gpu: &Rc<Gpu>, format: Format) -> Option<Ceiling> {
    if gpu.disqualified().is_some() {
        return None;
    }
    let key = (gpu.pci_address().to_owned(), format);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(key)
        .or_insert_with(|| {
            let which = Loop::best(format, gpu.architecture()).ok()?;
            best(&mut TensorPeak::new(Rc::clone(gpu), 0, which).ok()?).ok()
        })
        .clone()
}
