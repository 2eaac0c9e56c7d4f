//! What a kernel launch costs.

use std::process::ExitCode;

use hostdyno::cuda::launch;
use hostdyno::measure::{Plan, bench};

fn main() -> ExitCode {
    bench("launch", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        launch::plan(plan, 0);
        Ok(())
    })
}
