// C = A B^T on Hopper's warpgroup products, one template for bf16, fp8 E4M3 and int8:
//
//   C[m, n] = scale_a[m] scale_b[n] sum over k of A[m, k] B[n, k]        (no scales for bf16)
//
//   map_a, map_b      tensor maps of A (M x K) and B (N x K), K along the row, boxes of 128 bytes x BOX_A or BOX_B rows,
//                     128-byte swizzle, zeros outside: so any M, N and K will do
//   map_c             of C, boxes of 128 bytes x 16 rows, 128-byte swizzle; not read where N is no multiple of 4
//   c                 M x N f32, row-major
//   scale_a, scale_b  M and N f32
//
// Constants: TILE_M x TILE_N outputs a block, STAGES of 128 bytes of K in shared memory, CLUSTER blocks that share the
// longer side of the tile, GROUP tiles down before the next column, PROMOTE for f32 sums of partial sums (below).
//
// Three warpgroups. One thread of the last is the producer: it keeps the ring of stages full by tensor copies, each half
// of a shared operand being sent to both blocks of the cluster. The other two each own half of the tile's rows and issue
// products straight from shared memory; at most one stage of them is under way while the next is issued. A stage goes
// full -> empty -> full by two mbarriers. Blocks stay and walk over tiles, so that the producer fetches the next tile
// during the epilogue, and in an order in which the tiles at work at one time need few rows and columns: L2 serves them.
//
// Traffic a stage: (TILE_M + TILE_N) x 128 bytes into shared memory for TILE_M TILE_N 128 byte products; 128 x 256 keeps the
// tensor cores busy with 48 bytes a clock, or 32 from L2 in clusters of two. C is written once, by tensor copies in lines of
// 128 bytes; from registers where N is no multiple of 4, which a tensor map can't have.
//
// PROMOTE: the fp8 products of sm_90 align their terms to the largest and keep about 13 bits of fraction below it, sums in
// flight included. With PROMOTE each stage (four products, K = 128) is summed by itself and then added in f32.
#pragma once
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/memory.cuh"
#include "ptx/registers.cuh"
#include "ptx/tma.cuh"
#include "ptx/wgmma.cuh"

constexpr int STAGE_BYTES_K = 128;              // of each row, one line of the swizzle
constexpr int CONSUMERS = 2 * 128;              // threads of two warpgroups
constexpr int THREADS = CONSUMERS + 128;        // and those of the producer's
constexpr int HALVES = TILE_M / 128;            // products of 64 rows a consumer
constexpr bool SHARE_B = TILE_N >= TILE_M;      // which operand the blocks of a cluster share
constexpr int BOX_A = SHARE_B ? TILE_M : TILE_M / CLUSTER;
constexpr int BOX_B = SHARE_B ? TILE_N / CLUSTER : TILE_N;
constexpr int BYTES_A = TILE_M * STAGE_BYTES_K;
constexpr int BYTES_B = TILE_N * STAGE_BYTES_K;
constexpr int BYTES_C = 16 * 128;               // a box of C: 16 rows of 32 f32
static_assert(TILE_M % 128 == 0 && (TILE_N == 128 || TILE_N == 256), "two consumers of 64-row products");
static_assert(HALVES * TILE_N <= 256, "accumulators fit in registers");
static_assert(CLUSTER == 1 || CLUSTER == 2, "blocks of a cluster");

// Waits for the end of a barrier's phase of this parity.
__device__ __forceinline__ void wait_for(unsigned int barrier, unsigned int parity) {
    while (!mbarrier_try_wait(barrier, parity)) {}
}

// Place in the ring of stages. The parity is that of the phase in which the stage is used.
struct Place {
    unsigned int stage = 0, parity = 0;

    __device__ __forceinline__ void advance() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// Shared memory: the stages of A, those of B, two boxes of C a consuming warp, then a full and an empty barrier a stage.
struct Ring {
    unsigned int base;

    __device__ __forceinline__ unsigned int a(unsigned int stage) const { return base + stage * BYTES_A; }
    __device__ __forceinline__ unsigned int b(unsigned int stage) const { return base + STAGES * BYTES_A + stage * BYTES_B; }
    __device__ __forceinline__ unsigned int c(int warp, int box) const { return b(STAGES) + (2 * warp + box) * BYTES_C; }
    __device__ __forceinline__ unsigned int full(unsigned int stage) const { return c(CONSUMERS / 32, 0) + 8 * stage; }
    __device__ __forceinline__ unsigned int empty(unsigned int stage) const { return full(STAGES) + 8 * stage; }
};

// The tiles of this block, one after the other: first output row and column.
struct Tiles {
    unsigned int down, across, index;
    int row, column;

    __device__ __forceinline__ Tiles(int m, int n) {
        const unsigned int high = SHARE_B ? TILE_M * CLUSTER : TILE_M, wide = SHARE_B ? TILE_N : TILE_N * CLUSTER;
        down = (m + high - 1) / high;
        across = (n + wide - 1) / wide;
        index = blockIdx.x / CLUSTER;
    }

    // False when there is none left.
    __device__ __forceinline__ bool next() {
        if (index >= down * across) return false;
        const unsigned int first = index / (GROUP * across) * GROUP;
        const unsigned int height = min(GROUP, down - first), inside = index - first * across;
        const unsigned int i = first + inside % height, j = inside / height, rank = blockIdx.x % CLUSTER;
        row = (SHARE_B ? i * CLUSTER + rank : i) * TILE_M;
        column = (SHARE_B ? j : j * CLUSTER + rank) * TILE_N;
        index += gridDim.x / CLUSTER;
        return true;
    }
};

// Fetches every stage of every tile of this block.
template <class Format>
__device__ __forceinline__ void produce(Ring ring, const TensorMap* map_a, const TensorMap* map_b, int m, int n, int stages) {
    constexpr int COLUMNS = STAGE_BYTES_K / sizeof(typename Format::Element);
    const unsigned int rank = CLUSTER == 1 ? 0 : cluster_rank();
    constexpr unsigned short ALL = (1 << CLUSTER) - 1;
    Place place;
    for (Tiles tiles(m, n); tiles.next();) {
        for (int k = 0; k < stages; ++k, place.advance()) {
            const unsigned int full = ring.full(place.stage), a = ring.a(place.stage), b = ring.b(place.stage);
            wait_for(ring.empty(place.stage), place.parity ^ 1);
            mbarrier_arrive_expect(full, BYTES_A + BYTES_B);
            if constexpr (CLUSTER == 1) {
                tma_load_2d(a, map_a, k * COLUMNS, tiles.row, full);
                tma_load_2d(b, map_b, k * COLUMNS, tiles.column, full);
            } else if constexpr (SHARE_B) {
                tma_load_2d(a, map_a, k * COLUMNS, tiles.row, full);
                tma_load_2d_multicast(b + rank * BOX_B * STAGE_BYTES_K, map_b, k * COLUMNS, tiles.column + rank * BOX_B, full,
                                      ALL);
            } else {
                tma_load_2d_multicast(a + rank * BOX_A * STAGE_BYTES_K, map_a, k * COLUMNS, tiles.row + rank * BOX_A, full,
                                      ALL);
                tma_load_2d(b, map_b, k * COLUMNS, tiles.column, full);
            }
        }
    }
}

// Tells the producers that write to this block's stage that this warp's products have read it.
__device__ __forceinline__ void release(Ring ring, unsigned int stage) {
    const unsigned int to = threadIdx.x % 32;
    if constexpr (CLUSTER == 1) {
        if (to == 0) mbarrier_arrive(ring.empty(stage));
    } else {
        if (to < CLUSTER) mbarrier_arrive_cluster(cluster_address(ring.empty(stage), to));
    }
}

// The products of one stage for 64 rows.
template <class Format>
__device__ __forceinline__ void multiply(typename Format::Sum (&sums)[TILE_N / 2], unsigned int a, unsigned int b, bool add) {
#pragma unroll
    for (int k = 0; k < STAGE_BYTES_K; k += 32)
        Format::multiply(sums, wgmma_descriptor(a + k), wgmma_descriptor(b + k), add || k > 0);
}

// Writes this consumer's rows of the tile from registers: for an N that a tensor map can't have.
template <class Format>
__device__ __forceinline__ void store(const typename Format::Sum (&sums)[HALVES][TILE_N / 2], float* c, const float* scale_a,
                                      const float* scale_b, int m, int n, int row, int column) {
    const int lane = threadIdx.x % 32;
    row += threadIdx.x / 32 % 4 * 16 + lane / 4;
    column += 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < HALVES * 2; ++i) {
        const int r = row + i / 2 * 64 + i % 2 * 8;
        if (r >= m) continue;
        const float scale = Format::SCALED ? scale_a[r] : 1.0f;
        float* to = c + (long long)r * n;
#pragma unroll
        for (int j = 0; j < TILE_N / 4; ++j) {
            const int x = column + j / 2 * 8 + j % 2;
            const float sum = sums[i / 2][j / 2 * 4 + i % 2 * 2 + j % 2];
            if (x < n) to[x] = Format::SCALED ? sum * scale * scale_b[x] : sum;
        }
    }
}

// Writes them by tensor copies, each warp its own 16 rows in boxes of 32 columns, put together in shared memory in the
// 128-byte swizzle. One box is filled while the one before leaves; the last two leave during the next tile.
template <class Format>
__device__ __forceinline__ void store_boxes(const typename Format::Sum (&sums)[HALVES][TILE_N / 2], Ring ring,
                                            const TensorMap* map_c, const float* scale_a, const float* scale_b, int m, int n,
                                            int row, int column) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, line = lane / 4;
    row += warp % 4 * 16;
    // Rows that the swizzle sends to the same banks take different columns at a time.
    const int turn = line % 2 * 2;
#pragma unroll
    for (int half = 0; half < HALVES; ++half) {
        const int r = row + 64 * half + line;
        const float upper = Format::SCALED && r < m ? scale_a[r] : 1.0f;
        const float lower = Format::SCALED && r + 8 < m ? scale_a[r + 8] : 1.0f;
#pragma unroll
        for (int box = 0; box < TILE_N / 32; ++box) {
            const unsigned int to = ring.c(warp, box % 2);
            // The box before the last has left.
            if (lane == 0) tma_wait_read<1>();
            __syncwarp();
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                float2 values[2];
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const auto& s = sums[half];
                    const int here = 16 * box + 4 * j + 2 * i, there = 16 * box + 4 * (j ^ 2) + 2 * i;
                    values[i] = make_float2(turn ? s[there] : s[here], turn ? s[there + 1] : s[here + 1]);
                }
                const int group = j ^ turn;
                if constexpr (Format::SCALED) {
                    const int x = column + 32 * box + 8 * group + 2 * (lane % 4);
                    const float2 scale = x < n ? *(const float2*)(scale_b + x) : make_float2(1, 1);
                    values[0] = make_float2(values[0].x * upper * scale.x, values[0].y * upper * scale.y);
                    values[1] = make_float2(values[1].x * lower * scale.x, values[1].y * lower * scale.y);
                }
                const unsigned int chunk = (2 * group + lane % 4 / 2) ^ line;
                const unsigned int at = to + line * 128 + chunk * 16 + lane % 2 * 8;
                store_shared(at, values[0]);
                store_shared(at + 8 * 128, values[1]);
            }
            fence_async_proxy();
            __syncwarp();
            if (lane == 0) {
                tma_store_2d(map_c, column + 32 * box, row + 64 * half, to);
                tma_commit();
            }
        }
    }
}

// Computes this consumer's half of every tile of this block.
template <class Format>
__device__ __forceinline__ void consume(Ring ring, const TensorMap* map_c, float* c, const float* scale_a, const float* scale_b,
                                        int m, int n, int stages) {
    const int mine = threadIdx.x / 128 * HALVES * 64;
    typename Format::Sum sums[HALVES][TILE_N / 2];
    Place place;
    for (Tiles tiles(m, n); tiles.next();) {
#if PROMOTE
#pragma unroll
        for (int i = 0; i < HALVES * TILE_N / 2; ++i) sums[i / (TILE_N / 2)][i % (TILE_N / 2)] = 0;
        for (int k = 0; k < stages; ++k, place.advance()) {
            wait_for(ring.full(place.stage), place.parity);
#pragma unroll
            for (int half = 0; half < HALVES; ++half) {
                typename Format::Sum part[TILE_N / 2];
                wgmma_fence();
                multiply<Format>(part, ring.a(place.stage) + (mine + 64 * half) * STAGE_BYTES_K, ring.b(place.stage), false);
                wgmma_commit();
                wgmma_wait<0>();
                if (half == HALVES - 1) release(ring, place.stage);
#pragma unroll
                for (int i = 0; i < TILE_N / 2; ++i) sums[half][i] += part[i];
            }
        }
#else
        unsigned int before = 0;
        for (int k = 0; k < stages; ++k, place.advance()) {
            wait_for(ring.full(place.stage), place.parity);
            wgmma_fence();
#pragma unroll
            for (int half = 0; half < HALVES; ++half)
                multiply<Format>(sums[half], ring.a(place.stage) + (mine + 64 * half) * STAGE_BYTES_K, ring.b(place.stage),
                                 k > 0);
            wgmma_commit();
            wgmma_wait<1>();
            if (k > 0) release(ring, before);
            before = place.stage;
        }
        wgmma_wait<0>();
        release(ring, before);
#endif
        if (n % 4 == 0)
            store_boxes<Format>(sums, ring, map_c, scale_a, scale_b, m, n, tiles.row + mine, tiles.column);
        else
            store<Format>(sums, c, scale_a, scale_b, m, n, tiles.row + mine, tiles.column);
    }
    if (threadIdx.x % 32 == 0) tma_wait<0>();
}

// A block: see the head of this file.
template <class Format>
__device__ __forceinline__ void gemm(const TensorMap* map_a, const TensorMap* map_b, const TensorMap* map_c, float* c,
                                     const float* scale_a, const float* scale_b, int m, int n, int k) {
    extern __shared__ unsigned char shared[];
    const Ring ring{((unsigned int)__cvta_generic_to_shared(shared) + 1023) / 1024 * 1024};
    const int stages = (k * (int)sizeof(typename Format::Element) + STAGE_BYTES_K - 1) / STAGE_BYTES_K;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            mbarrier_init(ring.full(stage), 1);
            mbarrier_init(ring.empty(stage), CONSUMERS / 32 * CLUSTER);
        }
        mbarrier_fence_init();
    }
    cluster_arrive();
    cluster_wait();
    if (threadIdx.x < CONSUMERS) {
        registers_increase<240>();
        consume<Format>(ring, map_c, c, scale_a, scale_b, m, n, stages);
    } else {
        registers_decrease<24>();
        if (threadIdx.x == CONSUMERS) produce<Format>(ring, map_a, map_b, m, n, stages);
    }
    // Nobody leaves while the other may still send to it.
    if constexpr (CLUSTER > 1) {
        cluster_arrive();
        cluster_wait();
    }
}
