//! The most that the tensor cores can do: measured by loops of nothing but tensor instructions, and by published rates.
//!
//! Each loop ([`Loop`]) multiplies random operands that stay in registers (shared memory for wgmma, which reads them there);
//! every sum is checked. The loops read the multiprocessor's clock while they run, so the theoretical ceiling beside them
//! is the one of the clock that the device really had.

mod loops;
mod measured;
mod operands;
mod subject;
mod theory;

use super::gpu::Gpu;
use crate::measure::Plan;
use crate::number::Format;
use crate::record::Part;

pub use loops::{Instruction, Loop};
pub use measured::measured;
pub use subject::TensorPeak;
pub use theory::{
    blocked_operations_per_cycle, boost_clock, is_geforce, operations_per_cycle, theoretical,
    theoretical_blocked,
};

/// Plans the peaks of GPU `ordinal`: the best loop of each format, then those of warp instructions where they differ.
pub fn plan(plan: &mut Plan, ordinal: usize) {
    let gpu = Gpu::open(ordinal).map_err(|error| error.to_string());
    let architecture = gpu.as_ref().map_or("", |gpu| gpu.architecture());
    for format in Format::MAIN {
        match gpu.as_ref().map_err(Clone::clone).and_then(|_| Loop::best(format, architecture)) {
            Ok(best) => add(plan, ordinal, best, true),
            Err(cause) => {
                let none = Loop { format, instruction: Instruction::Mma };
                let id = TensorPeak::metric_of(none, ordinal, true);
                plan.skip(id, Part::Compute, TensorPeak::unit_of(format), cause);
            }
        }
        if let Some(warps) = Loop::warps(format, architecture) {
            add(plan, ordinal, warps, false);
        }
    }
}

fn add(plan: &mut Plan, ordinal: usize, which: Loop, best: bool) {
    let id = TensorPeak::metric_of(which, ordinal, best);
    plan.add(id, Part::Compute, TensorPeak::unit_of(which.format), move || {
        TensorPeak::new(Gpu::open(ordinal)?, ordinal, which)
    });
}
