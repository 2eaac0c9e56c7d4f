// Causal attention of a chunk of queries: O = softmax(Q K^T / sqrt(QK) + mask) V, per query head, bf16 in, f32 out.
//
//   Q        heads x queries rows of QK bf16, head after head
//   K, V     kv_heads x stride rows of QK, and of VD, bf16; the first `keys` of a head's rows are its keys
//   O        heads x queries rows of VD f32
//   factor   log2(e) / sqrt(QK)
//   group    query heads that share a key/value head
//
// Query i sees keys 0 to keys - queries + i. Grid (heads, query blocks), a block of WARPS warps for ROWS queries; the
// last queries, who have most to do, start first. Traffic: Q and O once, K and V once a query block, from L2.
//
// Why this shape (FlashAttention-2's): scores never leave registers. What operand A of the first product gives, its
// accumulator, has the layout of operand A of the second. A warp holds MT x 16 queries, so that each K and V fragment
// that it loads feeds MT products: shared memory is the second narrowest place. K of the next tile arrives during
// softmax and the second product, V during the first. 16-byte pieces of a row are XORed with the row, so that neither
// copies nor ldmatrix meet a bank twice. The running maximum rarely moves after the first tiles, and only then is O
// rescaled. Weights are rounded to bf16.
//
// QK, VD (multiples of 64), MT, WARPS, KEYS (a tile: a multiple of 16), BLOCKS (a multiprocessor) and HOLD (queries stay
// in registers: 1, with MT = 1 only, or 0) are defined by the
// caller.
#include "ptx/arithmetic.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

constexpr int ROWS = 16 * MT * WARPS;
constexpr int THREADS = 32 * WARPS;

// Byte of 16-byte piece `piece` of row `row`, rows of WIDTH bf16.
template <int WIDTH>
__device__ __forceinline__ int swizzled(int row, int piece) {
    return row * WIDTH * 2 + (piece ^ (row % 8)) * 16;
}

// Starts the copies of COUNT rows of WIDTH bf16; rows from `valid` on become zeros.
template <int WIDTH, int COUNT>
__device__ __forceinline__ void fetch(unsigned int to, const unsigned char* from, int valid) {
    constexpr int pieces = WIDTH / 8;
    static_assert(COUNT * pieces % THREADS == 0, "every thread copies as often");
#pragma unroll
    for (int i = 0; i < COUNT * pieces / THREADS; ++i) {
        const int index = i * THREADS + threadIdx.x, row = index / pieces, piece = index % pieces;
        copy_async_16(to + swizzled<WIDTH>(row, piece), from + (long long)row * WIDTH * 2 + piece * 16, row < valid ? 16 : 0);
    }
}

// The warp's queries, loaded once where 16 are few enough to stay in registers, and for every tile where not.
struct Queries {
    unsigned int tile;
    unsigned int held[HOLD ? QK / 16 : 1][MT][4];

    __device__ __forceinline__ void load(int step, int lane, unsigned int (&a)[MT][4]) const {
#pragma unroll
        for (int m = 0; m < MT; ++m)
            load_matrix_4(a[m], tile + m * 16 * QK * 2 + swizzled<QK>(lane % 16, 2 * step + lane / 16));
    }

    __device__ __forceinline__ void of(int step, int lane, unsigned int (&a)[MT][4]) const {
        if constexpr (HOLD)
            for (int i = 0; i < 4; ++i) a[0][i] = held[step][0][i];
        else
            load(step, lane, a);
    }
};

// s = Q K^T for the warp's MT x 16 queries and KEYS keys.
__device__ __forceinline__ void scores(const Queries& q, unsigned int k, int lane, float (&s)[MT][KEYS / 8][4]) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
#pragma unroll
    for (int step = 0; step < QK / 16; ++step) {
        unsigned int a[MT][4];
        q.of(step, lane, a);
#pragma unroll
        for (int n = 0; n < KEYS / 16; ++n) {
            unsigned int b[4];
            load_matrix_4(b, k + n * 16 * QK * 2 + swizzled<QK>(lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < MT; ++m) {
                mma_bf16(s[m][2 * n], a[m], b[0], b[1]);
                mma_bf16(s[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// o += P V; P in the accumulators of the scores.
__device__ __forceinline__ void values(unsigned int v, int lane, const float (&p)[MT][KEYS / 8][4],
                                       float (&o)[MT][VD / 8][4]) {
#pragma unroll
    for (int step = 0; step < KEYS / 16; ++step) {
        unsigned int a[MT][4];
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                a[m][i] = pack_bf16(p[m][2 * step + i / 2][i % 2 * 2], p[m][2 * step + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < VD / 16; ++n) {
            unsigned int b[4];
            load_matrix_4_transposed(b, v + step * 16 * VD * 2 + swizzled<VD>(lane % 16, 2 * n + lane / 16));
#pragma unroll
            for (int m = 0; m < MT; ++m) {
                mma_bf16(o[m][2 * n], a[m], b[0], b[1]);
                mma_bf16(o[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}

__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
}

// Scores of 16 queries to weights; `max` and `sum` are those of rows g and g + 8, scores times factor.
__device__ __forceinline__ void softmax(float factor, float (&s)[KEYS / 8][4], float (&o)[VD / 8][4], float (&max)[2],
                                        float (&sum)[2]) {
    float largest[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        largest[h] = s[0][2 * h];
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) largest[h] = fmaxf(largest[h], fmaxf(s[n][2 * h], s[n][2 * h + 1]));
        largest[h] = fmaxf(max[h], quad_max(largest[h]) * factor);
    }
    if (__any_sync(0xffffffff, largest[0] > max[0] || largest[1] > max[1])) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float shrink = exp2_approximate(max[h] - largest[h]);
            sum[h] *= shrink;
#pragma unroll
            for (int n = 0; n < VD / 8; ++n) o[n][2 * h] *= shrink, o[n][2 * h + 1] *= shrink;
            max[h] = largest[h];
        }
    }
#pragma unroll
    for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            s[n][i] = exp2_approximate(fmaf(s[n][i], factor, -max[i / 2]));
            sum[i / 2] += s[n][i];
        }
}

// Scores of keys that a query does not see, `key` being the first of the tile and `last` the last that query 0 sees.
__device__ __forceinline__ void mask(int key, int last, int keys, int lane, float (&s)[MT][KEYS / 8][4]) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int column = key + 8 * n + 2 * (lane % 4) + i % 2;
                if (column > last + 16 * m + lane / 4 + i / 2 * 8 || column >= keys) s[m][n][i] = MINUS_INFINITY;
            }
}

// What the steps over tiles of keys share.
struct Step {
    const unsigned char *k, *v;
    unsigned int k_tile, v_tile;
    int keys, tiles, last, lane;  // `last`: the last key that the warp's first query sees
    float factor;

    // One tile: K is under way when it starts, and the next K when it ends.
    template <bool MASKED>
    __device__ __forceinline__ void run(int tile, const Queries& queries, float (&o)[MT][VD / 8][4], float (&max)[MT][2], float (&sum)[MT][2]) const {
        const int key = tile * KEYS;
        // A warp whose last query sees none of these keys only helps to copy.
        const bool works = !MASKED || key <= last + 16 * MT - 1;
        float s[MT][KEYS / 8][4];
        copy_async_wait<0>();
        __syncthreads();  // K has arrived, and V has been used
        fetch<VD, KEYS>(v_tile, v + (long long)key * VD * 2, keys - key);
        copy_async_commit();
        if (works) scores(queries, k_tile, lane, s);
        copy_async_wait<0>();
        __syncthreads();  // V has arrived, and K has been used
        if (tile + 1 < tiles) fetch<QK, KEYS>(k_tile, k + (long long)(key + KEYS) * QK * 2, keys - key - KEYS);
        copy_async_commit();
        if (!works) return;
        if (MASKED) mask(key, last, keys, lane, s);
#pragma unroll
        for (int m = 0; m < MT; ++m) softmax(factor, s[m], o[m], max[m], sum[m]);
        values(v_tile, lane, s, o);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_prefill(const unsigned char* __restrict__ q, const unsigned char* __restrict__ k,
                  const unsigned char* __restrict__ v, float* __restrict__ out, int queries, int keys, int stride,
                  int group, float factor) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int head = blockIdx.x, first = (gridDim.y - 1 - blockIdx.y) * ROWS;
    const int mine = first + warp * 16 * MT;  // the warp's first query
    const int before = keys - queries;        // keys that every query sees besides those of the chunk
    const int tiles = (min(keys, before + first + ROWS) + KEYS - 1) / KEYS;
    const unsigned int q_tile = shared_address(shared), k_tile = q_tile + ROWS * QK * 2;
    k += (long long)(head / group) * stride * QK * 2;
    v += (long long)(head / group) * stride * VD * 2;
    const Step step = {k, v, k_tile, k_tile + KEYS * QK * 2, keys, tiles, before + mine, lane, factor};

    fetch<QK, ROWS>(q_tile, q + ((long long)head * queries + first) * QK * 2, queries - first);
    fetch<QK, KEYS>(k_tile, k, keys);
    copy_async_commit();

    Queries held;
    held.tile = q_tile + warp * 16 * MT * QK * 2;
    if (HOLD) {
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int i = 0; i < QK / 16; ++i) held.load(i, lane, held.held[HOLD ? i : 0]);
    }
    float o[MT][VD / 8][4] = {}, max[MT][2], sum[MT][2] = {};
#pragma unroll
    for (int m = 0; m < MT; ++m) max[m][0] = max[m][1] = MINUS_INFINITY;
    const int whole = (before + first + 1) / KEYS;  // tiles that every query of the block sees whole
    for (int tile = 0; tile < whole; ++tile) step.run<false>(tile, held, o, max, sum);
    for (int tile = whole; tile < tiles; ++tile) step.run<true>(tile, held, o, max, sum);

#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const int row = mine + 16 * m + g + 8 * h;
            const float scale = 1 / quad_sum(sum[m][h]);
            if (row >= queries) continue;
            float* to = out + ((long long)head * queries + row) * VD + 2 * t;
#pragma unroll
            for (int n = 0; n < VD / 8; ++n)
                *(float2*)(to + 8 * n) = make_float2(o[m][n][2 * h] * scale, o[m][n][2 * h + 1] * scale);
        }
}
