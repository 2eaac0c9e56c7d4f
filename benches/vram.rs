//! Device memory. Without kernels for the device every metric is recorded as skipped, with the cause.

use std::process::ExitCode;

use hostdyno::cuda;
use hostdyno::measure::{Plan, bench};
use hostdyno::record::{MetricId, Part, Unit};

fn main() -> ExitCode {
    bench("vram", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        for operation in ["read", "write", "copy"] {
            let id = MetricId::new(["vram", operation, "gpu0"]);
            plan.skip(id, Part::Vram, Unit::GigaBytes, cuda::why_skipped());
        }
        Ok(())
    })
}
