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

// Where 16-byte piece `piece` of row `row` lies, rows of WIDTH bf16.
template <int WIDTH>
__device__ __forceinline__ unsigned int swizzled(int row, int piece) {
    return row * WIDTH * 2 + (piece ^ (row % 8)) * 16;
}

// Where the piece 2 `step` further lies, `place` being that of piece 0 or 1: constants but for one exclusive or.
__device__ __forceinline__ unsigned int stepped(unsigned int place, int step) {
    return (place ^ step % 4 * 32) + step / 4 * 128;
}

// What one thread copies of tiles with rows of WIDTH bf16. Eight threads take 128 bytes of a row, so that from one copy
// to the next neither the row modulo 8 nor the piece within those bytes changes: all offsets are constants.
template <int WIDTH>
struct Copies {
    static constexpr int STEP = THREADS / 8;  // rows
    unsigned int to;
    const unsigned char* from;
    int row;

    __device__ __forceinline__ Copies(unsigned int tile, const unsigned char* first)
        : to(tile + swizzled<WIDTH>(threadIdx.x / 8, threadIdx.x % 8)),
          from(first + threadIdx.x / 8 * WIDTH * 2 + threadIdx.x % 8 * 16), row(threadIdx.x / 8) {}

    // Starts the copies of COUNT rows; with ZEROS, rows from `valid` on become zeros.
    template <int COUNT, bool ZEROS>
    __device__ __forceinline__ void start(int valid) const {
        static_assert(COUNT % STEP == 0 && STEP % 8 == 0, "every thread copies as often");
#pragma unroll
        for (int i = 0; i < COUNT / STEP; ++i)
#pragma unroll
            for (int byte = 0; byte < WIDTH * 2; byte += 128) {
                const int at = i * STEP * WIDTH * 2 + byte;
                copy_async_16(to + at, from + at, !ZEROS || row + i * STEP < valid ? 16 : 0);
            }
    }
};

// The warp's queries, loaded once where 16 are few enough to stay in registers, and for every tile where not.
struct Queries {
    unsigned int place;
    unsigned int held[HOLD ? QK / 16 : 1][MT][4];

    __device__ __forceinline__ void load(int step, unsigned int (&a)[MT][4]) const {
#pragma unroll
        for (int m = 0; m < MT; ++m) load_matrix_4(a[m], stepped(place, step) + m * 16 * QK * 2);
    }

    __device__ __forceinline__ void of(int step, unsigned int (&a)[MT][4]) const {
        if constexpr (HOLD)
            for (int i = 0; i < 4; ++i) a[0][i] = held[step][0][i];
        else
            load(step, a);
    }
};

// s = Q K^T for the warp's MT x 16 queries and KEYS keys; `place`: that of the lane's row of K.
__device__ __forceinline__ void scores(const Queries& q, unsigned int place, float (&s)[MT][KEYS / 8][4]) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
#pragma unroll
    for (int step = 0; step < QK / 16; ++step) {
        unsigned int a[MT][4];
        q.of(step, a);
#pragma unroll
        for (int n = 0; n < KEYS / 16; ++n) {
            unsigned int b[4];
            load_matrix_4(b, stepped(place, step) + n * 16 * QK * 2);
#pragma unroll
            for (int m = 0; m < MT; ++m) {
                mma_bf16(s[m][2 * n], a[m], b[0], b[1]);
                mma_bf16(s[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// o += P V; P in the accumulators of the scores; `place`: that of the lane's row of V.
__device__ __forceinline__ void values(unsigned int place, const float (&p)[MT][KEYS / 8][4], float (&o)[MT][VD / 8][4]) {
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
            load_matrix_4_transposed(b, stepped(place, n) + step * 16 * VD * 2);
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

// What a warp has summed: of 16 m + g and 16 m + g + 8, its queries.
struct Sums {
    float o[MT][VD / 8][4];  // weighted values
    float max[MT][2];        // the largest score, times factor
    float sum[MT][2];        // weights of this thread's keys
};

// The largest score of each query so far, times factor; whether it is larger than before for any query of the warp.
__device__ __forceinline__ bool larger(float factor, const float (&s)[MT][KEYS / 8][4], const Sums& sums, float (&max)[MT][2]) {
    bool any = false;
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float largest = s[m][0][2 * h];
#pragma unroll
            for (int n = 0; n < KEYS / 8; ++n) largest = fmaxf(largest, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
            max[m][h] = quad_max(largest) * factor;
            any |= max[m][h] > sums.max[m][h];
        }
    return __any_sync(0xffffffff, any);
}

// Takes `max` for the largest scores, where they are larger.
__device__ __forceinline__ void rescale(const float (&max)[MT][2], Sums& sums) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float largest = fmaxf(max[m][h], sums.max[m][h]), shrink = exp2_approximate(sums.max[m][h] - largest);
            sums.sum[m][h] *= shrink;
#pragma unroll
            for (int n = 0; n < VD / 8; ++n) sums.o[m][n][2 * h] *= shrink, sums.o[m][n][2 * h + 1] *= shrink;
            sums.max[m][h] = largest;
        }
}

// Scores to weights.
__device__ __forceinline__ void weigh(float factor, float (&s)[MT][KEYS / 8][4], Sums& sums) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                s[m][n][i] = exp2_approximate(fmaf(s[m][n][i], factor, -sums.max[m][i / 2]));
                sums.sum[m][i / 2] += s[m][n][i];
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
    Copies<QK> k;
    Copies<VD> v;
    unsigned int k_place, v_place;
    int keys, tiles, sees, lane;  // `sees`: the last key that the warp's last query sees
    float factor;

    // The first half of a tile, up to its scores: K is under way when it starts, V and the next K when it ends. The rows
    // behind the last key are read, too: of K they are masked, of V they become zeros.
    template <bool MASKED>
    __device__ __forceinline__ void begin(int tile, const Queries& queries, float (&s)[MT][KEYS / 8][4]) {
        const int key = tile * KEYS;
        copy_async_wait<0>();
        __syncthreads();  // K has arrived, and V has been used
        v.start<KEYS, MASKED>(keys - key);
        v.from += KEYS * VD * 2;
        copy_async_commit();
        if (!MASKED || key <= sees) scores(queries, k_place, s);
        copy_async_wait<0>();
        __syncthreads();  // V has arrived, and K has been used
        if (tile + 1 < tiles) k.start<KEYS, false>(0);
        k.from += KEYS * QK * 2;
        copy_async_commit();
    }

    // The second half, with the largest scores known.
    __device__ __forceinline__ void end(float (&s)[MT][KEYS / 8][4], Sums& sums) const {
        weigh(factor, s, sums);
        values(v_place, s, sums.o);
    }

    // The tiles up to `whole`, which every query sees whole. The largest scores grow in the first tiles and rarely later:
    // that is no part of the inner loop.
    __device__ __forceinline__ void unmasked(int whole, const Queries& queries, Sums& sums) {
        int tile = 0;
        while (tile < whole) {
            float s[MT][KEYS / 8][4], max[MT][2];
#pragma unroll 1
            while (true) {
                begin<false>(tile++, queries, s);
                if (larger(factor, s, sums, max)) break;
                end(s, sums);
                if (tile == whole) return;
            }
            rescale(max, sums);
            end(s, sums);
        }
    }

    // The tiles behind `whole`.
    __device__ __forceinline__ void masked(int whole, const Queries& queries, Sums& sums) {
#pragma unroll 1
        for (int tile = whole; tile < tiles; ++tile) {
            float s[MT][KEYS / 8][4], max[MT][2];
            begin<true>(tile, queries, s);
            if (tile * KEYS > sees) continue;  // the warp only helps to copy
            mask(tile * KEYS, sees - 16 * MT + 1, keys, lane, s);
            if (larger(factor, s, sums, max)) rescale(max, sums);
            end(s, sums);
        }
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
    const unsigned int q_tile = shared_address(shared), k_tile = q_tile + ROWS * QK * 2, v_tile = k_tile + KEYS * QK * 2;
    const long long kv_first = (long long)(head / group) * stride;
    Step step = {{k_tile, k + kv_first * QK * 2},
                 {v_tile, v + kv_first * VD * 2},
                 k_tile + swizzled<QK>(lane / 16 * 8 + lane % 8, lane / 8 % 2),
                 v_tile + swizzled<VD>(lane % 16, lane / 16),
                 keys,
                 tiles,
                 before + mine + 16 * MT - 1,
                 lane,
                 factor};

    Copies<QK>(q_tile, q + ((long long)head * queries + first) * QK * 2).start<ROWS, true>(queries - first);
    step.k.start<KEYS, false>(0);
    step.k.from += KEYS * QK * 2;
    copy_async_commit();

    Queries held;
    held.place = q_tile + warp * 16 * MT * QK * 2 + swizzled<QK>(lane % 16, lane / 16);
    if (HOLD) {
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int i = 0; i < QK / 16; ++i) held.load(i, held.held[HOLD ? i : 0]);
    }
    Sums sums = {};
#pragma unroll
    for (int m = 0; m < MT; ++m) sums.max[m][0] = sums.max[m][1] = MINUS_INFINITY;
    const int whole = (before + first + 1) / KEYS;
    step.unmasked(whole, held, sums);
    step.masked(whole, held, sums);

#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const int row = mine + 16 * m + g + 8 * h;
            const float scale = 1 / quad_sum(sums.sum[m][h]);
            if (row >= queries) continue;
            float* to = out + ((long long)head * queries + row) * VD + 2 * t;
#pragma unroll
            for (int n = 0; n < VD / 8; ++n)
                *(float2*)(to + 8 * n) = make_float2(sums.o[m][n][2 * h] * scale, sums.o[m][n][2 * h + 1] * scale);
        }
}
