//! Tensor-core instructions, pre-decoded; the semantics are in [`crate::tensor`].

use super::instruction::MbarrierAddress;
use super::operand::{Address, PredSource, Reg, Source, Space};
use crate::tensor::matrix::Matrix;
use crate::tensor::mma::Mma;
use crate::tensor::tcgen05::TensorMma;
use crate::tensor::tensor_copy::TensorCopy;
use crate::tensor::tmem::Transfer;
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
    /// `tcgen05.*`
    Tcgen05(Tcgen05Op),
}

/// A `tcgen05` instruction.
pub enum Tcgen05Op {
    /// `alloc`: the address goes to shared memory.
    Allocate { space: Space, to: Address, columns: Source },
    /// `dealloc`
    Free { address: Source, columns: Source },
    /// `relinquish_alloc_permit`
    Relinquish,
    /// `ld`
    Load { transfer: Transfer, to: Vec<Reg>, address: Address, half_offset: u32 },
    /// `st`
    Store { transfer: Transfer, from: Vec<Source>, address: Address, half_offset: u32 },
    /// `wait::ld`
    WaitLoads,
    /// `wait::st`
    WaitStores,
    /// `fence::before_thread_sync`, `fence::after_thread_sync`: one warp runs at a time, nothing is reordered.
    Fence,
    /// `mma`
    Mma(Box<TensorMmaOp>),
    /// `cp`
    Copy { copy: TensorCopy, to: Address, descriptor: Source },
    /// `shift`
    Shift { ctas: usize, address: Address },
    /// `commit`
    Commit { mbarrier: MbarrierAddress, blocks: Option<Source> },
}

/// `tcgen05.mma` with its operands.
pub struct TensorMmaOp {
    /// Kind and scaling.
    pub mma: TensorMma,
    /// D.
    pub d: Address,
    /// A in tensor memory, or its descriptor.
    pub a: Result<Address, Source>,
    /// Descriptor of B.
    pub b: Source,
    /// Instruction descriptor.
    pub instruction: Source,
    /// Scales of A and B.
    pub scales: Option<[Address; 2]>,
    /// `disable-output-lane`
    pub disabled: Vec<Source>,
    /// `enable-input-d`
    pub accumulate: PredSource,
    /// `scale-input-d`
    pub scale_input_d: u32,
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
