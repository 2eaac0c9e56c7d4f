//! How a number is taken: warm-up, rotation, sampling, validity; the Criterion glue.

mod arguments;
pub mod profile;
pub mod rotation;
pub mod sampling;
pub mod statistics;
mod subject;
pub mod validity;

pub use profile::{Budget, Profile};
pub use rotation::Rotation;
pub use subject::{Elapsed, Subject};
