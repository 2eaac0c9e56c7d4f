//! Host to device and back.

use std::process::ExitCode;

use hostdyno::measure::{Plan, bench};
use hostdyno::transfer;

fn main() -> ExitCode {
    bench("pcie", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        transfer::plan(plan, 0);
        Ok(())
    })
}
