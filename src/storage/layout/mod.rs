//! Which tensor lies where: shard layouts from their headers alone, and which bytes of them a loader reads.
//!
//! [`header`] reads one safetensors file, [`gguf`] one GGUF file, [`index`] a hub's index, [`directory`] a model of many
//! files; [`plan`] turns a model into byte ranges, [`size`] tells how large one is. Files come from outside: any malformed one is answered with an error that names the file and the
//! fault.

pub mod directory;
pub mod extent;
mod ggml;
pub mod gguf;
pub mod header;
pub mod index;
pub mod plan;
pub mod size;
pub mod tensor;
#[cfg(test)]
mod tests;

pub use directory::{Shard, ShardSet};
pub use extent::Extent;
pub use header::Header;
pub use plan::Plan;
pub use size::ModelSize;
pub use tensor::{Element, Tensor};
