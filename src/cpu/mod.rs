//! Host kernels: one algorithm, thin files per instruction set.

pub mod gemm;
mod isa;
pub mod kernel;

pub use isa::{ISA_VARIABLE, Isa};

/// Cache sizes that blocking is planned for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// First-level data cache of a core.
    pub l1d: usize,
    /// Second-level cache of a core.
    pub l2: usize,
    /// Last-level cache divided by the workers that share it.
    pub l3_share: usize,
}
