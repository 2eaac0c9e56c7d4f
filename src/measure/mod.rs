//! How a number is taken: warm-up, rotation, sampling, validity; the Criterion glue.

pub mod rotation;
pub mod statistics;
mod subject;

pub use rotation::Rotation;
pub use subject::{Elapsed, Subject};
