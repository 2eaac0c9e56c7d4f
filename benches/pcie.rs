//! Host to device and back. Without kernels for the device every metric is recorded as skipped, with the cause.

use std::process::ExitCode;

use hostdyno::cuda;
use hostdyno::measure::{Plan, bench};
use hostdyno::record::{MetricId, Part, Unit};

fn main() -> ExitCode {
    bench("pcie", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        for direction in ["h2d", "d2h"] {
            let id = MetricId::new(["pcie", direction, "pinned", "gpu0", "node-local", "256MiB"]);
            plan.skip(id, Part::Pcie, Unit::GigaBytes, cuda::why_skipped());
        }
        Ok(())
    })
}
