//! Host memory: bandwidth of all cores, latency of one access.

use std::process::ExitCode;

use hostdyno::measure::bench;
use hostdyno::memory::plan;

fn main() -> ExitCode {
    bench("dram", env!("CARGO_BIN_EXE_hostdyno"), plan)
}
