//! Device memory: bandwidth of read, write, copy, triad and of reading chunks in random order; the second-level cache;
//! latencies.

mod chase;
mod fill;
mod gather;
mod l2;
mod measured;
mod stream;

use std::rc::Rc;

use cudarc::driver::LaunchConfig;

use super::gpu::Gpu;
use crate::Result;
use crate::measure::Plan;
use crate::record::{Ceiling, Origin, Part, Unit};

pub use chase::{Chase, Level};
pub use gather::{Chunk, Gather};
pub use l2::L2Read;
pub use measured::measured_read;
pub use stream::{Operation, Stream, Vram};

/// Threads a block: `__launch_bounds__` of the kernels.
const THREADS: u32 = 512;
/// Blocks a multiprocessor: 2,048 threads fill every architecture's.
const BLOCKS: u32 = 4;
/// A pattern that no kernel writes.
const POISON: u32 = 0xa5a5_a5a5;

/// Plans every metric of device memory of GPU `ordinal`.
pub fn plan(plan: &mut Plan, ordinal: usize) {
    let open = move || Gpu::open(ordinal);
    for operation in Operation::ALL {
        plan.add(operation.metric(ordinal), Part::Vram, Unit::GigaBytes, move || {
            Vram::new(open()?, ordinal, operation)
        });
    }
    for chunk in Chunk::ALL {
        plan.add(chunk.metric(ordinal), Part::Vram, Unit::GigaBytes, move || {
            Gather::subject(open()?, ordinal, chunk)
        });
    }
    plan.add(L2Read::metric_of(ordinal), Part::Vram, Unit::GigaBytes, move || {
        L2Read::subject(open()?, ordinal)
    });
    for level in Level::ALL {
        plan.add(level.metric(ordinal), Part::Vram, Unit::Nanoseconds, move || {
            Chase::subject(open()?, ordinal, level)
        });
    }
}

/// Two transfers a clock of the memory on the whole width of the bus.
fn theoretical(gpu: &Gpu) -> Option<Ceiling> {
    let (clock, width) = gpu.memory_clock_and_width().ok()??;
    Some(Ceiling {
        value: 2.0 * f64::from(clock) * 1e3 * f64::from(width) / 8.0 / 1e9,
        origin: Origin::Theoretical,
        source: format!("2 x {} MHz x {width} bit, as the driver reports them", clock / 1000),
    })
}

/// A grid that fills the device.
fn grid(gpu: &Rc<Gpu>) -> Result<LaunchConfig> {
    Ok(LaunchConfig {
        grid_dim: (gpu.multiprocessors()? * BLOCKS, 1, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    })
}
