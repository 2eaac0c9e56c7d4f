//! What bounds a product on a GPU: its tensor cores or its memory, whichever takes longer for the work.

use std::rc::Rc;

use super::numbers::Numbers;
use crate::cuda::{Gpu, peak};
use crate::number::{BlockFormat, Format};
use crate::record::{Ceiling, Origin, Unit, Work};

/// The lower of both bounds for `work` of products in `numbers`, in `unit`: the roofline.
///
/// The tensor cores' is measured where a loop shows their full rate, else the published rate at the highest clock; that of
/// memory is what its clock and bus allow.
pub fn ceiling(
    gpu: &Rc<Gpu>,
    numbers: impl Into<Numbers>,
    work: &Work,
    unit: Unit,
) -> Option<Ceiling> {
    roofline(gpu, peak_of(gpu, numbers.into()), work, unit)
}

/// The most that the tensor cores do in `numbers`: measured where a loop shows their full rate (nvfp4's is mxfp4's), else
/// published.
pub(in crate::cuda) fn peak_of(gpu: &Rc<Gpu>, numbers: Numbers) -> Option<Ceiling> {
    let measured = match numbers {
        Numbers::Plain(format) => peak::measured(gpu, format),
        Numbers::Blocked(BlockFormat::Nvfp4) => peak::measured(gpu, Format::Mxfp4),
        Numbers::Blocked(BlockFormat::Mxfp8) => None,
    };
    measured.or_else(|| match numbers {
        Numbers::Plain(format) => peak::theoretical(gpu, format, None),
        Numbers::Blocked(format) => peak::theoretical_blocked(gpu, format),
    })
}

/// The lower of `compute`, in TFLOP/s (TOP/s), and of what memory allows for `work`, in `unit`; `None` on a slice of a
/// device, whose share of the memory the driver does not tell.
pub(in crate::cuda) fn roofline(
    gpu: &Gpu,
    compute: Option<Ceiling>,
    work: &Work,
    unit: Unit,
) -> Option<Ceiling> {
    if gpu.slice().is_some() {
        return None;
    }
    let compute = compute.map(|peak| Ceiling {
        value: unit.value(work, work.flops as f64 / (peak.value * 1e12)),
        ..peak
    });
    let memory = gpu.memory_clock_and_width().ok().flatten().map(|(clock, width)| {
        let per_second = 2.0 * f64::from(clock) * 1e3 * f64::from(width) / 8.0;
        Ceiling {
            value: unit.value(work, work.counted_bytes() as f64 / per_second),
            origin: Origin::Theoretical,
            source: format!("2 x {} MHz x {width} bit, as the driver reports them", clock / 1000),
        }
    });
    [compute, memory].into_iter().flatten().min_by(|a, b| a.value.total_cmp(&b.value))
}
