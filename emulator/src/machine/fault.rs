//! Why a launch stopped, and where.

use std::fmt;

/// The class of a [`Fault`]; the driver turns it into an error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The launch itself is wrong: dimensions, parameter bytes, shared memory. `CUDA_ERROR_INVALID_VALUE`.
    InvalidLaunch,
    /// Outside every allocation, or outside the block's shared or local memory. `CUDA_ERROR_ILLEGAL_ADDRESS`.
    IllegalAddress,
    /// Address not a multiple of the access's size. `CUDA_ERROR_MISALIGNED_ADDRESS`.
    MisalignedAddress,
    /// Address in another space than the instruction names. `CUDA_ERROR_INVALID_ADDRESS_SPACE`.
    AddressSpace,
    /// An instruction with operands it does not allow: a descriptor field, a shape. `CUDA_ERROR_ILLEGAL_INSTRUCTION`.
    IllegalInstruction,
    /// `trap`. `CUDA_ERROR_ASSERT` or `CUDA_ERROR_LAUNCH_FAILED`.
    Trap,
    /// Lanes or warps that should meet never do: a hang on hardware.
    Deadlock,
    /// An `.aligned` instruction that not all lanes of the warp execute together.
    Divergence,
    /// Two warps touched the same shared memory, one of them writing, with no barrier between.
    Race,
    /// The asynchronous proxy read shared memory written through the generic proxy with no `fence.proxy.async` between.
    MissingProxyFence,
    /// An asynchronous operation whose result is used, or whose block ends, before it was waited for.
    NotWaitedFor,
    /// More instructions than the launch's limit. `CUDA_ERROR_LAUNCH_TIMEOUT`.
    StepLimit,
    /// [`super::Hooks::cancel`] was raised.
    Cancelled,
}

/// A launch stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its class.
    pub kind: FaultKind,
    /// What happened.
    pub message: String,
    /// Block (`%ctaid`), where one is to blame.
    pub block: Option<[u32; 3]>,
    /// Warp within the block, where one is to blame.
    pub warp: Option<u32>,
    /// Lane within the warp, where one is to blame.
    pub lane: Option<u32>,
    /// 1-based line of the PTX text, where one is to blame.
    pub line: Option<u32>,
}

impl Fault {
    /// A fault with no place yet.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), block: None, warp: None, lane: None, line: None }
    }

    /// The same fault at a lane.
    #[must_use]
    pub fn at_lane(mut self, lane: usize) -> Self {
        self.lane.get_or_insert(lane as u32);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        if let Some([x, y, z]) = self.block {
            write!(f, " in block [{x},{y},{z}]")?;
        }
        if let Some(warp) = self.warp {
            write!(f, " warp {warp}")?;
        }
        if let Some(lane) = self.lane {
            write!(f, " lane {lane}")?;
        }
        if let Some(line) = self.line {
            write!(f, " at PTX line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Fault {}
