//! How a number is taken: warm-up, rotation, sampling, validity; the Criterion glue.

mod subject;

pub use subject::{Elapsed, Subject};
