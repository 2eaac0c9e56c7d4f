//! The most that the CPU's arithmetic can do: one core, and all of them; and that a GPU's tensor cores can do.

use std::process::ExitCode;
use std::sync::Arc;

use hostdyno::cpu::{Isa, Peak, PeakSubject};
use hostdyno::cuda::Gpu;
use hostdyno::cuda::peak::{Instruction, Loop, TensorPeak};
use hostdyno::host::Workers;
use hostdyno::measure::{Plan, bench};
use hostdyno::number::Format;
use hostdyno::record::Part;

fn main() -> ExitCode {
    bench("peak", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        let isa = Isa::chosen()?;
        let all = Arc::new(Workers::new()?);
        let one = Arc::new(Workers::on(&all.cpus()[..1])?);
        for peak in Peak::ALL.into_iter().filter(|peak| peak.available(isa)) {
            for (workers, one_core) in [(&one, true), (&all, false)] {
                let workers = workers.clone();
                let id = PeakSubject::metric_id(peak, one_core);
                plan.add(id, Part::Compute, peak.unit(), move || {
                    PeakSubject::new(peak, isa, workers)
                });
            }
        }
        plan_gpu(plan, 0);
        Ok(())
    })
}

/// The tensor cores of GPU `ordinal`: the best loop of each format, then those of warp instructions where they differ.
fn plan_gpu(plan: &mut Plan, ordinal: usize) {
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
