//! Which tensor lies where: shard layouts from their headers alone.
//!
//! [`header`] reads one safetensors file, [`directory`] a model of many. Both take files from outside and answer any
//! malformed one with an error that names the file and the fault.

pub mod directory;
pub mod header;
#[cfg(test)]
mod tests;

pub use directory::{Shard, ShardSet};
pub use header::{Header, Tensor};
