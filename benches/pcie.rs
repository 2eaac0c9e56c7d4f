//! Host to device and back, and from GPU to GPU.

use std::process::ExitCode;

use hostdyno::measure::{Plan, bench};
use hostdyno::transfer;

fn main() -> ExitCode {
    bench("pcie", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        transfer::plan_host(plan);
        Ok(())
    })
}
