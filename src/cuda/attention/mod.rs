//! Attention on a GPU: decode, which streams the key/value cache, and causal prefill, which multiplies.
//!
//! `plan` decides which kernel computes a problem in a format on a chip, with which tiles, or says why none does, and
//! `latent` where the cache is that of absorbed MLA, `prefill` where there are many queries; `operands` lays the cache out in device memory; `launch` holds
//! what the kernels work on; `subject` times and verifies.

mod latent;
mod launch;
mod operands;
mod plan;
mod prefill;
mod subject;

pub use plan::{Chip, Plan};
pub use subject::AttentionSubject;
