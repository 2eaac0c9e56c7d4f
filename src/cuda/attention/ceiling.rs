//! What bounds an attention: in decode the device's memory.

use crate::cuda::Gpu;
use crate::record::{Ceiling, Origin};

/// Bandwidth of the device's memory in GB/s: two transfers a clock on the whole width of the bus.
pub fn memory(gpu: &Gpu) -> Option<Ceiling> {
    let (clock, width) = gpu.memory_clock_and_width().ok()??;
    Some(Ceiling {
        value: 2.0 * f64::from(clock) * 1e3 * f64::from(width) / 8.0 / 1e9,
        origin: Origin::Theoretical,
        source: format!("2 x {} MHz x {width} bit, as the driver reports them", clock / 1000),
    })
}
