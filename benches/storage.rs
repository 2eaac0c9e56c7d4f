//! Model load, disk to RAM: io_uring past the page cache, buffered reads, mmap.

use std::process::ExitCode;

use hostdyno::measure::{Plan, bench};
use hostdyno::storage::load::{Options, plan};

fn main() -> ExitCode {
    bench("storage", env!("CARGO_BIN_EXE_hostdyno"), |metrics: &mut Plan| {
        let options = Options::from_environment(metrics.profile());
        plan(metrics, &options);
        Ok(())
    })
}
