//! A GPU's memory and caches.

use std::process::ExitCode;

use hostdyno::cuda::vram;
use hostdyno::measure::{Plan, bench};

fn main() -> ExitCode {
    bench("vram", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        vram::plan(plan, 0);
        Ok(())
    })
}
