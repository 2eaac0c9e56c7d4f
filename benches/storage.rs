//! Loading a model, disk to RAM.

use std::process::ExitCode;

use hostdyno::measure::{Plan, bench};
use hostdyno::storage::load::{self, Options};

fn main() -> ExitCode {
    bench("storage", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        load::plan(plan, &Options::from_environment(plan.profile())?, &[]);
        Ok(())
    })
}
