//! The host: topology, binding and its proof, environment fingerprint.

mod barrier;
pub mod cpus;
pub mod root;
pub mod threads;

pub use root::Root;
pub use threads::{Worker, Workers};
