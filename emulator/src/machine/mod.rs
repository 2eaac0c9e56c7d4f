//! The machine: memory, warps, blocks, clusters, and the run of one kernel.
//!
//! What the driver does with it:
//!
//! ```no_run
//! use emulator::machine::{GlobalMemory, Hooks, Image, LaunchConfig, launch};
//! use emulator::ptx::Module;
//! # fn f(text: &str, params: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let mut memory = GlobalMemory::new(80 << 30);
//! let image = Image::load(Module::parse(text)?, &mut memory)?; // gives module variables their addresses
//! let entry = image.module.function("gemm").ok_or("no such entry")?;
//! let config = LaunchConfig { grid: [2, 2, 1], block: [128, 1, 1], dynamic_shared: 16384, ..Default::default() };
//! let counters = launch(&image, entry, &config, params, &mut memory, &Hooks::default())?;
//! # Ok(()) }
//! ```

mod access;
mod async_copy;
mod barrier;
mod bulk;
mod bulk_store;
mod cluster;
mod context;
mod counters;
mod exec;
mod fault;
mod global;
mod image;
mod launch;
mod mbarrier;
mod race;
mod request;
mod run;
mod schedule;
mod tcgen05;
mod warp;
mod wgmma;

pub use counters::Counters;
pub use fault::{Fault, FaultKind};
pub use global::{GlobalMemory, MemoryError};
pub use image::Image;
pub use launch::{Hooks, LaunchConfig, launch};
