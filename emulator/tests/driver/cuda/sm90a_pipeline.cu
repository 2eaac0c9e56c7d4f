// For the driver's tests: a warp-specialised pipeline, thread-block clusters, multicast, tensor stores.

struct alignas(64) TensorMap {
    unsigned long long words[16];
};

__device__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }

__device__ void init(unsigned long long* barrier, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}

__device__ void wait_for(unsigned long long* barrier, unsigned parity) {
    unsigned done = 0;
    while (!done) {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(shared_address(barrier)), "r"(parity) : "memory");
    }
}

__device__ void arrive(unsigned long long* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ void expect(unsigned long long* barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}

__device__ void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

constexpr int STAGES = 3, COLUMNS = 64, ROWS = 16;

// out = 3 * in, tile by tile: a producer warpgroup brings tiles, a consumer warpgroup scales them and stores them back.
extern "C" __global__ void __launch_bounds__(256) pipeline(const __grid_constant__ TensorMap in,
                                                           const __grid_constant__ TensorMap out, int tiles) {
    __shared__ alignas(128) int stage[STAGES][ROWS * COLUMNS];
    __shared__ alignas(128) int result[ROWS * COLUMNS];
    __shared__ alignas(8) unsigned long long full[STAGES], empty[STAGES];
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; ++s) init(&full[s], 1), init(&empty[s], 128);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x == 0) {
            for (int tile = 0; tile < tiles; ++tile) {
                const int s = tile % STAGES, round = tile / STAGES;
                if (round > 0) wait_for(&empty[s], (round - 1) & 1);
                expect(&full[s], sizeof(stage[0]));
                asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                             "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(stage[s])), "l"(&in), "r"(0), "r"(tile * ROWS),
                             "r"(shared_address(&full[s])) : "memory");
            }
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        const int me = threadIdx.x - 128;
        for (int tile = 0; tile < tiles; ++tile) {
            const int s = tile % STAGES;
            wait_for(&full[s], tile / STAGES & 1);
            for (int i = me; i < ROWS * COLUMNS; i += 128) result[i] = 3 * stage[s][i];
            arrive(&empty[s]);
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            asm volatile("bar.sync 1, 128;" ::: "memory");
            if (me == 0) {
                asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&out), "r"(0),
                             "r"(tile * ROWS), "r"(shared_address(result)) : "memory");
                asm volatile("cp.async.bulk.commit_group;" ::: "memory");
                asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
            }
            asm volatile("bar.sync 1, 128;" ::: "memory");
        }
        if (me == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    }
}

// Each block of a cluster of four writes its rank times 100 into its neighbour's shared memory; out[block] = what came.
extern "C" __global__ void __cluster_dims__(4, 1, 1) neighbours(unsigned* out) {
    __shared__ unsigned box;
    unsigned rank, remote;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) box = 7;
    cluster_barrier();
    if (threadIdx.x == 0) {
        asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(&box)), "r"((rank + 1) % 4));
        asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(remote), "r"(rank * 100) : "memory");
    }
    cluster_barrier();
    if (threadIdx.x == 0) out[blockIdx.x] = box;
}

// The first block of a cluster of two brings a tile for both; each adds its rank and writes it out.
extern "C" __global__ void __cluster_dims__(2, 1, 1) multicast(const __grid_constant__ TensorMap in, int* out) {
    __shared__ alignas(128) int tile[ROWS * COLUMNS];
    __shared__ alignas(8) unsigned long long barrier;
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) {
        init(&barrier, 1);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    cluster_barrier();
    if (threadIdx.x == 0) expect(&barrier, sizeof(tile));
    cluster_barrier();
    if (threadIdx.x == 0 && rank == 0) {
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                     "[%0], [%1, {%2, %3}], [%4], %5;" ::"r"(shared_address(tile)), "l"(&in), "r"(0), "r"(0),
                     "r"(shared_address(&barrier)), "h"((short)3) : "memory");
    }
    wait_for(&barrier, 0);
    for (int i = threadIdx.x; i < ROWS * COLUMNS; i += blockDim.x) out[rank * ROWS * COLUMNS + i] = tile[i] + (int)rank;
    cluster_barrier();
}
