//! Decode of a mixture of experts that stay in DRAM, in four formats: a layer after the other.

use std::process::ExitCode;

use hostdyno::ceilings::CpuCeilings;
use hostdyno::cpu::ExpertsSubject;
use hostdyno::measure::{Plan, Profile, bench};
use hostdyno::number::Format;
use hostdyno::record::{Part, Unit};
use hostdyno::workload::DEEPSEEK_R1;

fn main() -> ExitCode {
    bench("experts", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        // The pool is filled once a format, at some 5 GB/s.
        let most = match plan.profile() {
            Profile::Quick => 4 << 30,
            Profile::Standard => 16 << 30,
            Profile::Thorough => u64::MAX,
        };
        let cpu = CpuCeilings::new()?;
        for format in Format::MAIN {
            let cpu = cpu.clone();
            let id = ExpertsSubject::metric_id(&DEEPSEEK_R1, format);
            plan.add(id, Part::Compute, Unit::GigaBytes, move || {
                let (workers, ceilings) = (cpu.workers().clone(), cpu.of(format)?);
                let seed = rand::random();
                ExpertsSubject::new(&DEEPSEEK_R1, format, cpu.isa(), workers, ceilings, most, seed)
            });
        }
        Ok(())
    })
}
