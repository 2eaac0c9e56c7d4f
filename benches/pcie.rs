//! Host to device and back.

use std::process::ExitCode;

use hostdyno::cuda::Gpu;
use hostdyno::measure::{Plan, bench};
use hostdyno::record::{Part, Unit};
use hostdyno::transfer::{Direction, Transfer};

fn main() -> ExitCode {
    bench("pcie", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        for direction in Direction::ALL {
            plan.add(direction.metric(0), Part::Pcie, Unit::GigaBytes, move || {
                Transfer::new(Gpu::open(0)?, 0, direction)
            });
        }
        Ok(())
    })
}
