//! The most that the CPU's arithmetic can do: one core, and all of them; and that a GPU's tensor cores can do.

use std::process::ExitCode;
use std::sync::Arc;

use hostdyno::cpu::{Isa, Peak, PeakSubject};
use hostdyno::cuda::peak;
use hostdyno::host::Workers;
use hostdyno::measure::{Plan, bench};
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
        peak::plan(plan, 0);
        Ok(())
    })
}
