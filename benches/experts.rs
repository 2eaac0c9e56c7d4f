//! Decode of a mixture of experts that stay in DRAM, in four formats: a layer after the other. A projection starts from
//! the figures of one model; a second model, of other shapes, shows how far it can be trusted.

use std::process::ExitCode;

use hostdyno::ceilings::CpuCeilings;
use hostdyno::cpu::ExpertsSubject;
use hostdyno::measure::{Plan, Profile, bench};
use hostdyno::number::Format;
use hostdyno::record::{Part, Unit};
use hostdyno::workload::{DEEPSEEK_R1, QWEN3_235B};

fn main() -> ExitCode {
    bench("experts", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        // The pool is filled once a format, at some 5 GB/s.
        let most = match plan.profile() {
            Profile::Quick => 4 << 30,
            Profile::Standard => 16 << 30,
            Profile::Thorough => u64::MAX,
        };
        let cpu = CpuCeilings::new()?;
        for (model, most, formats) in [
            (DEEPSEEK_R1, most, &Format::MAIN[..]),
            (QWEN3_235B, most.min(4 << 30), second(plan.profile())),
        ] {
            for &format in formats {
                let cpu = cpu.clone();
                let id = ExpertsSubject::metric_id(&model, format);
                plan.add(id, Part::Compute, Unit::GigaBytes, move || {
                    let (workers, ceilings) = (cpu.workers().clone(), cpu.of(format)?);
                    let seed = rand::random();
                    ExpertsSubject::new(&model, format, cpu.isa(), workers, ceilings, most, seed)
                });
            }
        }
        Ok(())
    })
}

/// Formats of the second model.
const fn second(profile: Profile) -> &'static [Format] {
    match profile {
        Profile::Quick => &[Format::Mxfp4],
        Profile::Standard => &[Format::Bf16, Format::Mxfp4],
        Profile::Thorough => &Format::MAIN,
    }
}
