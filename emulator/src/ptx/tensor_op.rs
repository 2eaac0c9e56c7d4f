//! Tensor-core instructions, pre-decoded; the semantics are in [`crate::tensor`].

use super::operand::{Address, PredSource, Reg, Source};
use crate::tensor::matrix::Matrix;
use crate::tensor::mma::Mma;
use crate::tensor::wgmma::Wgmma;

/// A tensor-core instruction.
pub enum TensorOp {
    /// `ldmatrix`
    LoadMatrix { matrix: Matrix, to: Vec<Reg>, address: Address },
    /// `stmatrix`
    StoreMatrix { matrix: Matrix, from: Vec<Source>, address: Address },
    /// `movmatrix`
    Transpose { to: Reg, a: Source },
    /// `mma.sync`
    Mma {
        mma: Box<Mma>,
        d: Vec<Reg>,
        a: Vec<Source>,
        b: Vec<Source>,
        c: Vec<Source>,
        scales: Option<[Scale; 2]>,
    },
    /// `wgmma.mma_async`
    Wgmma(Box<WgmmaOp>),
    /// `wgmma.fence`
    WgmmaFence,
    /// `wgmma.commit_group`
    WgmmaCommit,
    /// `wgmma.wait_group`
    WgmmaWait { left: usize },
}

/// Scale operand of a block-scaled `mma`.
pub struct Scale {
    /// Register with the scales.
    pub data: Source,
    /// `byte-id`
    pub byte_id: Source,
    /// `thread-id`
    pub thread_id: Source,
}

/// `wgmma.mma_async` with its operands.
pub struct WgmmaOp {
    /// Shape and types.
    pub wgmma: Wgmma,
    /// Accumulator registers.
    pub d: Vec<Reg>,
    /// A in registers (several) or its descriptor (one, with the flag).
    pub a: Vec<Source>,
    /// Whether A is a descriptor.
    pub a_in_shared: bool,
    /// Descriptor of B.
    pub b: Source,
    /// `scale-d`
    pub accumulate: PredSource,
    /// `imm-scale-a`, `imm-scale-b` are -1.
    pub negate: [bool; 2],
    /// `imm-trans-a`, `imm-trans-b`.
    pub transpose: [bool; 2],
}
