//! How a number is taken: warm-up, rotation, sampling, validity; the Criterion glue.
//!
//! A bench executable calls [`bench`] with the metrics that it has ([`Plan`]); each is prepared as a [`Subject`],
//! verified, warmed up, sampled, verified again and judged by the rules of the submodules, shown by Criterion and
//! recorded.

mod arguments;
mod criterion_glue;
pub mod line;
mod metric;
mod plan;
pub mod profile;
mod progress;
pub mod rotation;
pub mod sampling;
mod session;
pub mod statistics;
mod subject;
pub mod threads;
pub mod underway;
pub mod validity;

pub use plan::{Plan, Planned};
pub use profile::{Budget, Profile};
pub use rotation::Rotation;
pub use session::bench;
pub use subject::{Elapsed, Subject};
