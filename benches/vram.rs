//! Device memory: read, write, copy.

use std::process::ExitCode;

use hostdyno::cuda::Gpu;
use hostdyno::cuda::vram::{Operation, Vram};
use hostdyno::measure::{Plan, bench};
use hostdyno::record::{Part, Unit};

fn main() -> ExitCode {
    bench("vram", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        for operation in Operation::ALL {
            plan.add(operation.metric(0), Part::Vram, Unit::GigaBytes, move || {
                Vram::new(Gpu::open(0)?, 0, operation)
            });
        }
        Ok(())
    })
}
