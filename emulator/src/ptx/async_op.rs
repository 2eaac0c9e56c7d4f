//! Pre-decoded asynchronous copies.

use super::Type;
use super::instruction::{Combine, MbarrierAddress};
use super::operand::{Address, PredSource, Source};

/// Asynchronous copies.
pub enum AsyncOp {
    /// `cp.async`: `bytes` to shared memory, of which `size` come from global memory and the rest are zero.
    Copy {
        bytes: u32,
        to: Address,
        from: Address,
        size: Option<Source>,
        ignore: Option<PredSource>,
    },
    /// `cp.async.commit_group`
    Commit,
    /// `cp.async.wait_group`; `wait_all` is none.
    Wait { left: Option<u32> },
    /// `cp.async.mbarrier.arrive`
    MbarrierArrive { address: MbarrierAddress, no_increment: bool },
    /// `cp.async.bulk`, `cp.reduce.async.bulk`, 1-D and tensor.
    Bulk(Box<Bulk>),
    /// `cp.async.bulk.commit_group`
    BulkCommit,
    /// `cp.async.bulk.wait_group`
    BulkWait { left: u32, read: bool },
    /// `st.async`, `red.async`: to another block's shared memory, counted on its `mbarrier`.
    Remote { f: Option<Combine>, ty: Type, to: Address, from: Vec<Source>, mbarrier: Address },
}

/// A bulk or tensor copy.
pub struct Bulk {
    /// From global (or the block's own shared) memory into shared memory, rather than from shared to global.
    pub direction: Direction,
    /// Shared-memory side (both sides for [`Direction::SharedToCluster`], with `other`).
    pub shared: Address,
    /// Global side: an address, or a tensor map and coordinates; for block to block the source.
    pub other: BulkSide,
    /// Where completion is counted, for copies into shared memory.
    pub mbarrier: Option<Address>,
    /// `.multicast::cluster`
    pub multicast: Option<Source>,
    /// `.cp_mask`
    pub byte_mask: Option<Source>,
    /// Of `cp.reduce.async.bulk`.
    pub reduce: Option<Reduce>,
}

/// How a reducing bulk copy combines.
pub enum Reduce {
    /// Elements of so many bits.
    Typed(Combine, u32),
    /// The operation of this name, in the type of the tensor map.
    ByMap(&'static str),
}

/// Which way a bulk copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Global to shared.
    Load,
    /// Shared to global.
    Store,
    /// Own shared to a cluster block's shared.
    SharedToCluster,
}

/// The other side of a bulk copy.
pub enum BulkSide {
    /// Contiguous bytes.
    Linear { address: Address, bytes: Source },
    /// A tensor map's box.
    Tensor { map: Address, coordinates: Vec<Source>, mode: TensorMode },
}

/// How a tensor copy walks the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorMode {
    /// `.tile`
    Tile,
    /// `.tile::gather4`
    Gather4,
    /// `.tile::scatter4`
    Scatter4,
}
