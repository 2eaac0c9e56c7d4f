//! The CPU's problems as subjects: cold inputs on pinned workers, verified by the oracle.

mod gemm;

pub use gemm::GemmSubject;
