//! The state that the warps of a cluster share: its blocks' memories, barriers and clocks.

use super::async_copy::Copies;
use super::barrier::Barrier;
use super::mbarrier::Mbarrier;
use super::race::{Clock, Clocks, Shadow};
use super::tcgen05::TensorPipe;
use std::collections::BTreeMap;

/// What shared memory holds before it is written.
const SHARED_POISON: u8 = 0xCD;

/// One block of the cluster.
pub(super) struct Block {
    /// `%ctaid`
    pub ctaid: [u32; 3],
    /// Cluster-wide number of its first warp.
    pub first_warp: usize,
    /// Its warps.
    pub warps: usize,
    /// Shared memory, from [`crate::ptx::SHARED_BASE`] on.
    pub shared: Vec<u8>,
    pub shadow: Shadow,
    pub barriers: BTreeMap<u32, Barrier>,
    /// By their place in shared memory.
    pub mbarriers: BTreeMap<u32, Mbarrier>,
    /// Asynchronous copies in flight, by warp of the block.
    pub copies: Vec<Copies>,
    pub tensor: TensorPipe,
}

impl Block {
    pub fn new(
        ctaid: [u32; 3],
        first_warp: usize,
        warps: usize,
        cluster_warps: usize,
        shared_bytes: usize,
    ) -> Self {
        Self {
            ctaid,
            first_warp,
            warps,
            shared: vec![SHARED_POISON; shared_bytes],
            shadow: Shadow::new(shared_bytes, first_warp, cluster_warps),
            barriers: BTreeMap::new(),
            mbarriers: BTreeMap::new(),
            copies: (0..warps).map(|_| Copies::default()).collect(),
            tensor: TensorPipe::default(),
        }
    }
}

/// The barrier of a whole cluster.
#[derive(Default)]
pub(super) struct ClusterBarrier {
    /// Lanes of each warp that have arrived.
    pub arrived: Vec<u32>,
    /// Lanes of each warp that have arrived and not yet waited.
    pub owing: Vec<u32>,
    pub generation: u64,
    pub arriving: Clock,
    pub released: Clock,
}

/// What the warps of a cluster share.
pub(super) struct ClusterState {
    pub blocks: Vec<Block>,
    pub clocks: Clocks,
    pub barrier: ClusterBarrier,
    /// Lanes of each warp that exist and have not exited.
    pub live: Vec<u32>,
    /// Order of atomics and other strong accesses: each one sees all before it.
    pub strong: Clock,
    /// Advances whenever something happens that another warp may wait for.
    pub progress: u64,
}
