//! What a launch did, counted: lets tests assert a kernel's quality (coalescing, bank conflicts, reuse) with no GPU.

/// Counts of one launch, summed over all blocks. They say what was asked of the machine, never how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Warp instructions executed (one for the whole warp, whatever its active lanes).
    pub instructions: u64,
    /// Warp instructions on integers, logic, moves and comparisons.
    pub integer: u64,
    /// Warp instructions on floating-point numbers.
    pub float: u64,
    /// Warp instructions that load, store or copy.
    pub memory: u64,
    /// Warp instructions that branch.
    pub branch: u64,
    /// Warp instructions that synchronise: barriers, fences, waits.
    pub sync: u64,
    /// Tensor-core instructions: `mma` and `wgmma` count once a warp, `tcgen05.mma` once an instruction.
    pub tensor: u64,
    /// Multiply-adds that the tensor-core instructions performed.
    pub tensor_macs: u64,
    /// Global load requests: warp instructions (`ld`, `cp.async`, `atom`) that read global memory.
    pub global_load_requests: u64,
    /// 32-byte sectors touched by global load requests. Ideal is bytes / 32.
    pub global_load_sectors: u64,
    /// Bytes that the lanes of global load requests asked for.
    pub global_load_bytes: u64,
    /// Global store requests: warp instructions (`st`, `red`, `atom`) that write global memory.
    pub global_store_requests: u64,
    /// 32-byte sectors touched by global store requests.
    pub global_store_sectors: u64,
    /// Bytes that the lanes of global store requests wrote.
    pub global_store_bytes: u64,
    /// Bytes that bulk and tensor copies read from global memory.
    pub bulk_load_bytes: u64,
    /// Bytes that bulk and tensor copies wrote to global memory.
    pub bulk_store_bytes: u64,
    /// Shared-memory requests: warp instructions that read or write shared memory.
    pub shared_requests: u64,
    /// Bytes that lanes read from shared memory.
    pub shared_load_bytes: u64,
    /// Bytes that lanes wrote to shared memory.
    pub shared_store_bytes: u64,
    /// Extra passes that shared-memory requests need because lanes hit different words of one of the 32 banks.
    pub bank_conflicts: u64,
    /// Warps that waited at a block, cluster or named barrier.
    pub barriers: u64,
    /// Waits on an `mbarrier` that succeeded.
    pub mbarrier_waits: u64,
}

impl Counters {
    /// Adds another launch's or block's counts.
    pub fn add(&mut self, other: &Self) {
        let Self {
            instructions,
            integer,
            float,
            memory,
            branch,
            sync,
            tensor,
            tensor_macs,
            global_load_requests,
            global_load_sectors,
            global_load_bytes,
            global_store_requests,
            global_store_sectors,
            global_store_bytes,
            bulk_load_bytes,
            bulk_store_bytes,
            shared_requests,
            shared_load_bytes,
            shared_store_bytes,
            bank_conflicts,
            barriers,
            mbarrier_waits,
        } = other;
        self.instructions += instructions;
        self.integer += integer;
        self.float += float;
        self.memory += memory;
        self.branch += branch;
        self.sync += sync;
        self.tensor += tensor;
        self.tensor_macs += tensor_macs;
        self.global_load_requests += global_load_requests;
        self.global_load_sectors += global_load_sectors;
        self.global_load_bytes += global_load_bytes;
        self.global_store_requests += global_store_requests;
        self.global_store_sectors += global_store_sectors;
        self.global_store_bytes += global_store_bytes;
        self.bulk_load_bytes += bulk_load_bytes;
        self.bulk_store_bytes += bulk_store_bytes;
        self.shared_requests += shared_requests;
        self.shared_load_bytes += shared_load_bytes;
        self.shared_store_bytes += shared_store_bytes;
        self.bank_conflicts += bank_conflicts;
        self.barriers += barriers;
        self.mbarrier_waits += mbarrier_waits;
    }
}
