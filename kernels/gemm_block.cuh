// What a block of a product on mma.sync does besides multiplying: which tile of C is its own, how the parts of k are added
// up. TILE_M, TILE_N, STAGES, WARPS_M and WARPS_N are defined by the caller.
#pragma once

// m rows of A and n of B, a_pitch and b_pitch bytes each.
struct Operands {
    const unsigned char *a, *b, *a_scale, *b_scale;
    int m, n, a_pitch, b_pitch;
};

constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int WARP_M = TILE_M / WARPS_M, WARP_N = TILE_N / WARPS_N;

// First row and column of this warp in the block's tile.
__device__ __forceinline__ int warp_m() { return threadIdx.x / 32 / WARPS_N * WARP_M; }
__device__ __forceinline__ int warp_n() { return threadIdx.x / 32 % WARPS_N * WARP_N; }

// Rows of tiles whose blocks run together, so that they share rows of both operands in L2.
constexpr int GROUP = 8;

// First row and column of this block's tile.
__device__ __forceinline__ int2 tile_origin(int m, int n) {
    const int rows = (m + TILE_M - 1) / TILE_M, columns = (n + TILE_N - 1) / TILE_N;
    const int group = blockIdx.x / (GROUP * columns), within = blockIdx.x % (GROUP * columns);
    const int height = min(GROUP, rows - group * GROUP);
    return make_int2((group * GROUP + within % height) * TILE_M, within / height * TILE_N);
}

// The stage that follows in the ring of STAGES of BYTES bytes.
template <int BYTES>
__device__ __forceinline__ unsigned int next_stage(unsigned int stage) {
    return stage == (STAGES - 1) * BYTES ? 0 : stage + BYTES;
}

// Adds up the parts of this block's tile. False in all blocks of the tile but the last to arrive.
template <typename Sum, int HIGH, int WIDE>
__device__ __forceinline__ bool add_parts(Sum (&sums)[HIGH][WIDE][4], uint4* partial, unsigned int* arrived) {
    constexpr int WORDS = HIGH * WIDE;
    const size_t part = (size_t)gridDim.x * WORDS * THREADS;
    uint4* mine = partial + (size_t)blockIdx.x * WORDS * THREADS + threadIdx.x;
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        mine[blockIdx.y * part + i * THREADS] = *reinterpret_cast<uint4*>(sums[i / WIDE][i % WIDE]);
    }
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived + blockIdx.x, 1) == gridDim.y - 1;
        if (last) arrived[blockIdx.x] = 0;
    }
    __syncthreads();
    if (!last) return false;
    __threadfence();
    // In the order of k, whoever came last: the same bits in every run.
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        Sum(&sum)[4] = sums[i / WIDE][i % WIDE];
        for (int e = 0; e < 4; ++e) sum[e] = 0;
#pragma unroll 1
        for (int y = 0; y < gridDim.y; ++y) {
            const uint4 word = __ldcg(mine + y * part + i * THREADS);
            const Sum(&other)[4] = reinterpret_cast<const Sum(&)[4]>(word);
            for (int e = 0; e < 4; ++e) sum[e] += other[e];
        }
    }
    return true;
}
