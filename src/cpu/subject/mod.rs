//! The CPU's problems as subjects: cold inputs on pinned workers, verified by the oracle.

mod attention;
mod experts;
mod gemm;
mod peak;

pub use attention::AttentionSubject;
pub use experts::ExpertsSubject;
pub use gemm::GemmSubject;
pub use peak::{Peak, PeakSubject};
