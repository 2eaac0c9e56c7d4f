//! Which part bounds tokens a second here, by how much, and what would move it.
//!
//! From the work of a model ([`crate::workload`]) and the figures of a host ([`Host`]: of a run, or written by hand) to
//! time by part ([`decode()`], [`Projection`]). Rates that a host's own figures don't tell come from published
//! measurements ([`constants`], [`fit`], [`published`]). Nothing here does I/O, and no number is made up: what is not
//! known is left out and named.

pub mod analysis;
pub mod constants;
pub mod decode;
pub mod experts_check;
pub mod figure;
pub mod fit;
mod from_run;
pub mod host;
pub mod placement;
pub mod policy;
pub mod prefill;
pub mod projection;
pub mod published;
mod step;
pub mod sweep;
pub mod target;
pub mod tensors;
#[cfg(test)]
mod tests;
pub mod toml;

pub use analysis::{Analysis, Question};
pub use constants::Constants;
pub use decode::decode;
pub use figure::{Figure, Origin};
pub use host::Host;
pub use placement::{Placement, Where};
pub use policy::Policy;
pub use projection::{Band, Input, Part, PartTime, Phase, Projection};

use crate::number::Format;
use crate::workload::{Mix, Model};

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Sequences decoded together.
    pub batch: usize,
    /// Tokens in the cache of each.
    pub context: usize,
    /// Format of the cache.
    pub kv: Format,
    /// GPUs that share every layer.
    pub tensor_parallel: usize,
    /// Where the experts are on a host with several sockets.
    pub policy: Policy,
    /// Where the user wants the routed experts.
    pub routed: Where,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            batch: 1,
            context: 4096,
            kv: Format::Bf16,
            tensor_parallel: 1,
            policy: Policy::Local,
            routed: Where::Auto,
        }
    }
}

impl Setup {
    /// What has to be placed.
    pub fn load<'a>(&self, model: &'a Model, mix: &'a Mix, host: &Host) -> placement::Load<'a> {
        placement::Load {
            model,
            mix,
            kv: self.kv,
            batch: self.batch,
            context: self.context,
            copies: self.policy.copies(host.sockets),
            routed: self.routed,
        }
    }
}
