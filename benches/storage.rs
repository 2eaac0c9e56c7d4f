//! Loading a model: disk to RAM, and disk to the memory of a GPU.

use std::process::ExitCode;
use std::rc::Rc;

use hostdyno::cuda::Gpu;
use hostdyno::host::Destination;
use hostdyno::measure::{Plan, bench};
use hostdyno::storage::load::{self, MakeDestination, Options};
use hostdyno::transfer::VramDestination;

fn main() -> ExitCode {
    bench("storage", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        let gpu: MakeDestination = Rc::new(|bytes| {
            let gpu = Gpu::open(0)?;
            Ok(Box::new(VramDestination::new(&gpu, bytes)?) as Box<dyn Destination>)
        });
        let options = Options::from_environment(plan.profile())?;
        load::plan(plan, &options, &[("gpu0".into(), gpu)]);
        Ok(())
    })
}
