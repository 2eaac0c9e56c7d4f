//! The CPU's problems as subjects: cold inputs on pinned workers, verified by the oracle.

mod attention;
mod gemm;
mod peak;

pub use attention::AttentionSubject;
pub use gemm::GemmSubject;
pub use peak::{Peak, PeakSubject};
