//! Pre-decoded instructions: what the machine executes.

use super::Type;
use super::alu_op::{Alu, BoolOp};
use super::async_op::AsyncOp;
use super::operand::{Address, Pred, PredSource, Reg, Source, Space};
use std::sync::Arc;

/// One value a lane of a warp.
pub type Lanes = [u64; 32];

/// A function of one operand, over all lanes.
pub type Map1 = Arc<dyn Fn(&Lanes) -> Lanes + Send + Sync>;
/// A function of two operands, over all lanes.
pub type Map2 = Arc<dyn Fn(&Lanes, &Lanes) -> Lanes + Send + Sync>;
/// A function of three operands, over all lanes.
pub type Map3 = Arc<dyn Fn(&Lanes, &Lanes, &Lanes) -> Lanes + Send + Sync>;
/// A comparison, over all lanes: one bit each.
pub type Test2 = Arc<dyn Fn(&Lanes, &Lanes) -> u32 + Send + Sync>;
/// Old value and operands to new value, for atomics and reductions: one element.
pub type Combine = Arc<dyn Fn(u64, u64, u64) -> u64 + Send + Sync>;

/// The instructions of a function.
#[derive(Debug, Default)]
pub struct Code {
    /// In program order; branch targets index it.
    pub instructions: Vec<Instruction>,
    /// General register slots a warp needs.
    pub slots: usize,
    /// Predicates a warp needs.
    pub predicates: usize,
}

/// One instruction.
#[derive(Debug)]
pub struct Instruction {
    /// Executes only in lanes where the predicate (negated if the flag is set) holds.
    pub guard: Option<(Pred, bool)>,
    /// What it does.
    pub op: Op,
    /// Line of the text.
    pub line: u32,
}

/// What an instruction does, by the part of the machine that does it.
#[allow(missing_docs, reason = "each variant is documented at its type")]
pub enum Op {
    Alu(Alu),
    Flow(Flow),
    Memory(Memory),
    Warp(WarpOp),
    Sync(SyncOp),
    Async(AsyncOp),
    Tensor(Box<super::tensor_op::TensorOp>),
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Alu(_) => "Alu",
            Self::Flow(_) => "Flow",
            Self::Memory(_) => "Memory",
            Self::Warp(_) => "Warp",
            Self::Sync(_) => "Sync",
            Self::Async(_) => "Async",
            Self::Tensor(_) => "Tensor",
        })
    }
}

/// Control flow.
pub enum Flow {
    /// `bra`
    Branch(u32),
    /// `brx.idx`
    Switch { index: Source, targets: Vec<u32> },
    /// `ret`, `exit`
    Exit,
    /// `trap`, `brkpt`
    Trap,
    /// Hints with no effect here: `nanosleep`, `pmevent`, `griddepcontrol`, `setmaxnreg`.
    Nothing { aligned: bool, sleeps: bool },
}

/// Strength of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Plain: races with other warps' accesses are reported.
    Weak,
    /// `.volatile`, `.relaxed`, `.acquire`, `.release`: orders, never races.
    Strong,
}

/// Loads, stores, atomics and address arithmetic.
pub enum Memory {
    /// `ld`, `ldu`
    Load { space: Space, ty: Type, to: Vec<Option<Reg>>, address: Address, order: Order },
    /// `st`
    Store { space: Space, ty: Type, from: Vec<Source>, address: Address, order: Order },
    /// `atom` (with `to`) and `red` (without), element by element of a vector.
    Atomic {
        space: Space,
        bits: u32,
        f: Combine,
        to: Vec<Reg>,
        address: Address,
        a: Vec<Source>,
        b: Option<Source>,
    },
    /// `prefetch`, `discard`, `applypriority`: the address must be valid.
    Touch { space: Space, address: Address },
    /// `mapa`: the same place in another block of the cluster; generic addresses if the flag is set.
    Mapa { generic: bool, to: Reg, a: Source, rank: Source },
    /// `getctarank`
    BlockRank { to: Reg, a: Source },
    /// `isspacep`
    IsSpace { space: Space, to: Pred, a: Source },
    /// `cvta`: between a space's own addresses and generic ones.
    Convert { space: Space, to_space: bool, to: Reg, a: Source },
}

/// Exchange between the lanes of a warp.
pub enum WarpOp {
    /// `shfl.sync`
    Shuffle {
        mode: ShuffleMode,
        to: Option<Reg>,
        in_range: Option<Pred>,
        a: Source,
        b: Source,
        c: Source,
        mask: Source,
    },
    /// `vote.sync`; `ballot` writes a register, the others a predicate.
    Vote { mode: VoteMode, to: Option<Reg>, to_pred: Option<Pred>, p: PredSource, mask: Source },
    /// `match.sync`
    Match { all: bool, to: Option<Reg>, all_equal: Option<Pred>, a: Source, mask: Source },
    /// `redux.sync`, of magnitudes if `abs`
    Reduce { f: Combine, abs: bool, to: Reg, a: Source, mask: Source },
    /// `elect.sync`
    Elect { to: Option<Reg>, leader: Pred, mask: Source },
    /// `activemask`
    ActiveMask { to: Reg },
    /// `bar.warp.sync`
    Sync { mask: Source },
}

/// `shfl` modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the qualifiers")]
pub enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

/// `vote` modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the qualifiers")]
pub enum VoteMode {
    All,
    Any,
    Uniform,
    Ballot,
}

/// Barriers and fences.
pub enum SyncOp {
    /// `bar`, `barrier`
    Barrier {
        id: Source,
        threads: Option<Source>,
        waits: bool,
        aligned: bool,
        reduce: Option<BarrierReduce>,
    },
    /// `barrier.cluster.arrive`
    ClusterArrive { aligned: bool },
    /// `barrier.cluster.wait`
    ClusterWait { aligned: bool },
    /// `fence`, `membar`: orders nothing further here, since one warp runs at a time.
    Fence,
    /// `fence.proxy.async`: what the generic proxy wrote becomes visible to the asynchronous one.
    ProxyFence,
    /// `mbarrier.init`
    MbarrierInit { address: MbarrierAddress, count: Source },
    /// `mbarrier.inval`
    MbarrierInvalidate { address: MbarrierAddress },
    /// `mbarrier.arrive`, `.arrive_drop`, `.expect_tx`, `.complete_tx` in one: `expect` and `complete` bytes, then arrivals.
    MbarrierArrive {
        address: MbarrierAddress,
        to: Option<Reg>,
        arrivals: Option<Source>,
        expect: Option<Source>,
        complete: Option<Source>,
        drop: bool,
    },
    /// `mbarrier.test_wait`, `.try_wait`
    MbarrierWait { address: MbarrierAddress, to: Pred, phase: Source, parity: bool },
    /// `mbarrier.pending_count`
    MbarrierPending { to: Reg, state: Source },
}

/// Where an `mbarrier` is.
#[derive(Clone, Copy, Debug)]
pub struct MbarrierAddress {
    /// Its address.
    pub address: Address,
    /// The space that the address is in.
    pub space: Space,
}

/// `bar.red`
pub struct BarrierReduce {
    /// None is `popc`.
    pub op: Option<BoolOp>,
    /// The operand.
    pub p: PredSource,
    /// Result of `popc`.
    pub to: Option<Reg>,
    /// Result of `and`, `or`.
    pub to_pred: Option<Pred>,
}
