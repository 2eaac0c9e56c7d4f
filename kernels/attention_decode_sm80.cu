// Attention of one new token to a cache of keys and values: O = softmax(Q K^T / sqrt(D)) V, per query head.
//
//   Q        kv_heads x GROUP rows of D codes; the GROUP query heads of one key/value head lie together
//   K, V     rows of D codes; key s of head h is row h * stride + s, or with pages (PAGE > 0) row
//            (pages[s / PAGE] * kv_heads + h) * PAGE + s % PAGE
//   scales   int8, fp8: one f32 a row; mxfp4: D / 32 E8M0 codes a row; bf16: not read
//   O        kv_heads x GROUP rows of D f32
//   factor   log2(e) / sqrt(D)
//   partial, partial_ml, tickets
//            kv_heads x gridDim.x x GROUP rows of D f32, the same of float2, and kv_heads counters that are 0
//
// Grid (splits, kv_heads): the keys of a head are dealt in tiles to the warps of its splits. Traffic: K and V once,
// whatever GROUP is. The partial results of the splits stay in L2; the last block of a head to finish merges them.
//
// Why this shape: the kernel is bound by how fast the cache is read. Each warp streams its tiles through a ring of its
// own in shared memory, 512 contiguous bytes an instruction: no barrier of the block, and STAGES - 1 tiles in flight a
// warp that cost no registers. One 16-row product serves up to 16 query heads. What conversions cost is what limits the
// rate of a cache of codes: keys are multiplied as they are where the chip has the instruction, else as f16 where it has
// the conversion, else, as values are, as bf16 (attention/codes.cuh); all of these are exact. Row scales of K multiply
// scores, those of V the weights; weights are rounded to bf16.
//
// FORMAT, D (64 or 128), GROUP (1 to 16), TILE (keys a step and warp: a multiple of 16), STAGES, WARPS, BLOCKS (a
// multiprocessor) and PAGE (0, or a multiple of TILE) are defined by the caller.
#include "attention/codes.cuh"
#include "attention/quad.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mma.cuh"

constexpr int ROW = D * BITS / 8;                        // bytes of a row
constexpr int K_CHUNK = ROW / 4 < 16 ? ROW / 4 : 16;     // bytes of a key that a thread reads at once; 4 threads a key
constexpr int V_CHUNK = ROW / 8 < 16 ? ROW / 8 : 16;     // bytes of a value; 8 threads a value
constexpr int K_CHUNKS = ROW / 4 / K_CHUNK;
constexpr int V_CHUNKS = ROW / 8 / V_CHUNK;
constexpr int V_ELEMENTS = V_CHUNK * 8 / BITS;
constexpr int BLOCKS_OF_ROW = D / 32;                    // mxfp4 blocks
constexpr int SCALES = FORMAT == 0 ? 0 : FORMAT == 3 ? TILE * BLOCKS_OF_ROW : TILE * 4;  // bytes a tile, of K or of V
constexpr int STAGE = 2 * TILE * ROW + 2 * SCALES;
constexpr bool UPPER = GROUP > 8;                        // whether rows 8 to 15 of the products are used

// How queries and keys are multiplied.
constexpr bool NATIVE = FORMAT == 1 || (FORMAT == 2 && (__CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200));
constexpr bool AS_F16 = FORMAT == 2 && !NATIVE && __CUDA_ARCH__ >= 890;
constexpr int Q_STEPS = NATIVE ? D / 32 : D / 16;            // products of a key
constexpr int WORD = NATIVE ? 1 : ALONG;                     // registers that one word of a key becomes
// 1.5 x 2^23: a float from which integers up to 2^22 in magnitude differ by their value, bit for bit.
constexpr float INTEGERS = 12582912;
constexpr int INTEGERS_BITS = 0x4b400000;

// A word of a query or key, as it is multiplied. `factor`: as for `along`.
__device__ __forceinline__ void key_word(unsigned int w, unsigned int factor, unsigned int* r) {
    if constexpr (NATIVE) {
        r[0] = w;
    } else if constexpr (AS_F16) {
        r[0] = unpack_e4m3<0>(w);
        r[1] = unpack_e4m3<1>(w);
    } else {
        along(w, factor, r);
    }
}

struct Cache {
    const unsigned char *k, *v, *k_scales, *v_scales;
    const int* pages;
    int keys, stride, kv_heads, head;

    // The row of the first key of `tile`.
    __device__ __forceinline__ long long row(int tile) const {
        const int key = tile * TILE;
        constexpr int page = PAGE > 0 ? PAGE : 1;
        if constexpr (PAGE > 0) return ((long long)pages[key / page] * kv_heads + head) * page + key % page;
        return (long long)head * stride + key;
    }
};

// Where byte `byte` of row `row` of a tile lies. 16-byte pieces change places within 128 bytes, so that the lanes that
// read together, 8 keys of 4 threads or 4 pairs of values of 8, meet no bank twice.
__device__ __forceinline__ int key_place(int row, int byte) {
    return (row * ROW + byte) ^ (ROW >= 128 ? row % 2 * 64 : 0);
}

__device__ __forceinline__ int value_place(int row, int byte) {
    return (row * ROW + byte) ^ (ROW >= 64 ? row / 2 % 4 * 32 : row / 4 % 2 * 32);
}

template <int BYTES>
__device__ __forceinline__ void words(const unsigned char* from, unsigned int* w) {
    if constexpr (BYTES == 16) *(uint4*)w = *(const uint4*)from;
    if constexpr (BYTES == 8) *(uint2*)w = *(const uint2*)from;
    if constexpr (BYTES == 4) *w = *(const unsigned int*)from;
}

// Scales of a tile: bytes past the last key become 0.
__device__ __forceinline__ void fetch_scales(unsigned int to, const unsigned char* from, int left, int lane) {
    constexpr int each = SCALES / TILE;
#pragma unroll
    for (int byte = 4 * lane; byte < SCALES; byte += 128) copy_async_4(to + byte, from + byte, max(0, min(4, left * each - byte)));
}

// Starts the copies of a tile into a stage: K, V, their scales.
__device__ __forceinline__ void fetch(const Cache& cache, int tile, unsigned int stage, int lane) {
    const int left = cache.keys - tile * TILE;
    const long long row = cache.row(tile);
    const unsigned char *k = cache.k + row * ROW, *v = cache.v + row * ROW;
#pragma unroll
    for (int byte = 16 * lane; byte < TILE * ROW; byte += 512)
        copy_async_16(stage + key_place(byte / ROW, byte % ROW), k + byte, byte / ROW < left ? 16 : 0);
#pragma unroll
    for (int byte = 16 * lane; byte < TILE * ROW; byte += 512)
        copy_async_16(stage + TILE * ROW + value_place(byte / ROW, byte % ROW), v + byte, byte / ROW < left ? 16 : 0);
    if constexpr (FORMAT != 0) {
        constexpr int each = SCALES / TILE;
        fetch_scales(stage + 2 * TILE * ROW, cache.k_scales + row * each, left, lane);
        fetch_scales(stage + 2 * TILE * ROW + SCALES, cache.v_scales + row * each, left, lane);
    }
}

// One row of Q, as operand A holds it.
__device__ __forceinline__ void load_query(const unsigned char* q, const unsigned char* scales, int row, int t,
                                           unsigned int* r) {
    constexpr int registers = K_CHUNK / 4 * WORD;
#pragma unroll
    for (int c = 0; c < K_CHUNKS; ++c) {
        unsigned int w[K_CHUNK / 4], factor = 0;
        words<K_CHUNK>(q + (long long)row * ROW + (c * 4 + t) * K_CHUNK, w);
        if constexpr (FORMAT == 3) factor = e2m1_factor(scales[row * BLOCKS_OF_ROW + (c * 4 + t) * K_CHUNK / 16]) * 0x10001;
#pragma unroll
        for (int i = 0; i < K_CHUNK / 4; ++i) key_word(w[i], factor, r + c * registers + i * WORD);
    }
    if constexpr (FORMAT == 3)
#pragma unroll
        for (int i = 0; i < D / 8; ++i) r[i] = fma_bf16x2(r[i], BF16_TWO_64, BF16_MINUS_ZERO);
}

// What a warp has summed of its keys. Rows g and g + 8 of the products: query heads g and g + 8.
struct Sums {
    float o[D / 8][4];  // weighted values
    float max[2];       // largest score, times log2(e)
    float sum[2];       // weights of this thread's keys
};

// Scores of a tile: Q K^T without scales.
__device__ __forceinline__ void scores(const unsigned char* stage, const unsigned int (&q)[Q_STEPS][4], int lane,
                                       float (&s)[TILE / 8][4]) {
    constexpr int registers = K_CHUNK / 4 * WORD;
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int n = 0; n < TILE / 8; ++n) {
        [[maybe_unused]] int integers[4] = {INTEGERS_BITS, INTEGERS_BITS, INTEGERS_BITS, INTEGERS_BITS};
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
        for (int c = 0; c < K_CHUNKS; ++c) {
            unsigned int w[K_CHUNK / 4], r[registers], factor = 0;
            words<K_CHUNK>(stage + key_place(8 * n + g, (c * 4 + t) * K_CHUNK), w);
            if constexpr (FORMAT == 3)
                factor = e2m1_factor(stage[2 * TILE * ROW + (8 * n + g) * BLOCKS_OF_ROW + (c * 4 + t) * K_CHUNK / 16]) * 0x10001;
#pragma unroll
            for (int i = 0; i < K_CHUNK / 4; ++i) key_word(w[i], factor, r + i * WORD);
#pragma unroll
            for (int i = 0; i < registers / 2; ++i) {
                const unsigned int(&a)[4] = q[c * registers / 2 + i];
                if constexpr (FORMAT == 1) mma_int8(integers, a, r[2 * i], r[2 * i + 1]);
                else if constexpr (NATIVE) mma_fp8(s[n], a, r[2 * i], r[2 * i + 1]);
                else if constexpr (AS_F16) mma_f16(s[n], a, r[2 * i], r[2 * i + 1]);
                else mma_bf16(s[n], a, r[2 * i], r[2 * i + 1]);
            }
        }
        if constexpr (FORMAT == 1)
#pragma unroll
            for (int i = 0; i < (UPPER ? 4 : 2); ++i) s[n][i] = __int_as_float(integers[i]) - INTEGERS;
    }
}

// Scores to weights, with the running maximum of each row. `factor`: of the rows, all that scores are multiplied by.
__device__ __forceinline__ void softmax(const unsigned char* stage, const float (&factor)[2], int left, int lane,
                                        float (&s)[TILE / 8][4], Sums& sums) {
    const int t = lane % 4;
    const float* k_scales = (const float*)(stage + 2 * TILE * ROW);
    const float* v_scales = (const float*)(stage + 2 * TILE * ROW + SCALES);
#pragma unroll
    for (int n = 0; n < TILE / 8; ++n)
#pragma unroll
        for (int i = 0; i < (UPPER ? 4 : 2); ++i) {
            s[n][i] *= factor[i / 2];
            if constexpr (FORMAT == 1 || FORMAT == 2) s[n][i] *= k_scales[8 * n + 2 * t + i % 2];
        }
    if (left < TILE)
#pragma unroll
        for (int n = 0; n < TILE / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                if (8 * n + 2 * t + i % 2 >= left) s[n][i] = MINUS_INFINITY;
#pragma unroll
    for (int h = 0; h < (UPPER ? 2 : 1); ++h) {
        float max = s[0][2 * h];
#pragma unroll
        for (int n = 0; n < TILE / 8; ++n) max = fmaxf(max, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
        max = fmaxf(sums.max[h], quad_max(max));
        // Rarely true once some tiles have been seen.
        if (__any_sync(0xffffffff, max > sums.max[h])) {
            const float shrink = exp2_approximate(sums.max[h] - max);
            sums.sum[h] *= shrink;
#pragma unroll
            for (int n = 0; n < D / 8; ++n) sums.o[n][2 * h] *= shrink, sums.o[n][2 * h + 1] *= shrink;
            sums.max[h] = max;
        }
#pragma unroll
        for (int n = 0; n < TILE / 8; ++n)
#pragma unroll
            for (int i = 2 * h; i < 2 * h + 2; ++i) {
                s[n][i] = exp2_approximate(s[n][i] - max);
                sums.sum[h] += s[n][i];
                if constexpr (FORMAT == 1 || FORMAT == 2) s[n][i] *= v_scales[8 * n + 2 * t + i % 2];
            }
    }
}

// The factors of the blocks of two rows of V in the halves of a word.
__device__ __forceinline__ unsigned int value_factors(const unsigned char* stage, int row, int block) {
    const unsigned char* scales = stage + 2 * TILE * ROW + SCALES + row * BLOCKS_OF_ROW + block;
    return e2m1_factor(scales[0]) | e2m1_factor(scales[BLOCKS_OF_ROW]) << 16;
}

// Adds the weighted values of a tile.
__device__ __forceinline__ void values(const unsigned char* stage, int lane, const float (&p)[TILE / 8][4], Sums& sums) {
    constexpr int count = V_CHUNK / 4;
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < TILE / 16; ++m) {
        unsigned int a[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            a[i] = i % 2 == 1 && !UPPER ? 0 : pack_bf16(p[2 * m + i / 2][i % 2 * 2], p[2 * m + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int c = 0; c < V_CHUNKS; ++c) {
            unsigned int w[4][count], factor[2] = {0, 0};
#pragma unroll
            for (int i = 0; i < 4; ++i)
                words<V_CHUNK>(stage + TILE * ROW + value_place(16 * m + i / 2 * 8 + 2 * t + i % 2, (c * 8 + g) * V_CHUNK), w[i]);
            if constexpr (FORMAT == 3)
#pragma unroll
                for (int i = 0; i < 2; ++i)
                    factor[i] = value_factors(stage, 8 * (2 * m + i) + 2 * t, (c * 8 + g) * V_CHUNK / 16);
#pragma unroll
            for (int i = 0; i < count; ++i) {
                unsigned int low[ACROSS], high[ACROSS];
                across(w[0][i], w[1][i], factor[0], low);
                across(w[2][i], w[3][i], factor[1], high);
#pragma unroll
                for (int e = 0; e < ACROSS; ++e) mma_bf16(sums.o[c * V_ELEMENTS + i * ACROSS + e], a, low[e], high[e]);
            }
        }
    }
}

// 2^(max - of), and 0 for what saw no key.
__device__ __forceinline__ float weight(float max, float of) { return max == MINUS_INFINITY ? 0 : exp2_approximate(max - of); }

__device__ __forceinline__ float4 scaled(float4 a, float f) { return make_float4(a.x * f, a.y * f, a.z * f, a.w * f); }
__device__ __forceinline__ float4 plus(float4 a, float4 b, float f) {
    return make_float4(a.x + b.x * f, a.y + b.y * f, a.z + b.z * f, a.w + b.w * f);
}

// out[row] = sum over parts of o[part][row] 2^(max - largest), with `out_ml` the largest and the sum of weights; or that
// divided by the sum where `out_ml` is null. GROUP rows a part; `factors` is shared memory for (parts + 1) x GROUP.
__device__ __forceinline__ void merge(const float4* o, const float2* ml, int parts, float* factors, float4* out,
                                      float2* out_ml) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int row = warp; row < GROUP; row += WARPS) {
        float largest = MINUS_INFINITY, sum = 0;
        for (int part = lane; part < parts; part += 32) largest = fmaxf(largest, ml[part * GROUP + row].x);
        for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, lanes));
        for (int part = lane; part < parts; part += 32) {
            const float2 of = ml[part * GROUP + row];
            const float f = weight(of.x, largest);
            factors[part * GROUP + row] = f;
            sum += f * of.y;
        }
        for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffff, sum, lanes);
        if (lane == 0) {
            factors[parts * GROUP + row] = out_ml == nullptr ? (FORMAT == 3 ? 0x1p64f : 1.0f) / sum : 1.0f;
            if (out_ml != nullptr) out_ml[row] = make_float2(largest, sum);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < GROUP * D / 4; i += 32 * WARPS) {
        const int row = i / (D / 4);
        float4 total = make_float4(0, 0, 0, 0);
#pragma unroll 16
        for (int part = 0; part < parts; ++part) total = plus(total, o[part * (GROUP * D / 4) + i], factors[part * GROUP + row]);
        out[i] = scaled(total, factors[parts * GROUP + row]);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS)
attention_decode(const unsigned char* __restrict__ q, const unsigned char* __restrict__ q_scales,
                 const unsigned char* __restrict__ k, const unsigned char* __restrict__ k_scales,
                 const unsigned char* __restrict__ v, const unsigned char* __restrict__ v_scales,
                 const int* __restrict__ pages, float* __restrict__ out, float* partial, float2* partial_ml,
                 unsigned int* tickets, int keys, int stride, float factor) {
    extern __shared__ __align__(16) unsigned char shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int head = blockIdx.y, splits = gridDim.x;
    const Cache cache = {k, v, k_scales, v_scales, pages, keys, stride, (int)gridDim.y, head};
    const int tiles = (keys + TILE - 1) / TILE;
    const int first = (int)((long long)tiles * blockIdx.x / splits), last = (int)((long long)tiles * (blockIdx.x + 1) / splits);
    unsigned char* ring = shared + warp * STAGES * STAGE;
    const unsigned int ring_address = shared_address(ring);

#pragma unroll
    for (int i = 0; i < STAGES - 1; ++i) {
        const int tile = first + warp + i * WARPS;
        if (tile < last) fetch(cache, tile, ring_address + i * STAGE, lane);
        copy_async_commit();
    }

    unsigned int a[Q_STEPS][4];
    float row_factor[2] = {factor, factor};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        unsigned int r[2 * Q_STEPS] = {};
        const int row = head * GROUP + g + 8 * h;
        if ((h == 0 || UPPER) && g + 8 * h < GROUP) {
            load_query(q, q_scales, row, t, r);
            if constexpr (FORMAT == 1 || FORMAT == 2) row_factor[h] *= ((const float*)q_scales)[row];
        }
        if constexpr (FORMAT == 3) row_factor[h] *= 0x1p64f;
#pragma unroll
        for (int i = 0; i < 2 * Q_STEPS; ++i) a[i / 2][i % 2 * 2 + h] = r[i];
    }

    Sums sums = {};
    sums.max[0] = sums.max[1] = MINUS_INFINITY;
    int slot = 0;
    for (int tile = first + warp; tile < last; tile += WARPS) {
        copy_async_wait<STAGES - 2>();
        __syncwarp();  // the scales are other lanes' copies, and the slot filled next has been read by all
        const int next = tile + (STAGES - 1) * WARPS;
        if (next < last) fetch(cache, next, ring_address + (slot == 0 ? STAGES - 1 : slot - 1) * STAGE, lane);
        copy_async_commit();
        const unsigned char* stage = ring + slot * STAGE;
        float s[TILE / 8][4];
        scores(stage, a, lane, s);
        softmax(stage, row_factor, keys - tile * TILE, lane, s, sums);
        values(stage, lane, s, sums);
        slot = slot == STAGES - 1 ? 0 : slot + 1;
    }
    copy_async_wait<0>();
    __syncthreads();  // the rings become the warps' results

    float* o = (float*)shared;
    float2* ml = (float2*)(shared + WARPS * GROUP * D * 4);
#pragma unroll
    for (int h = 0; h < (UPPER ? 2 : 1); ++h) {
        const int row = warp * GROUP + g + 8 * h;
        const float sum = quad_sum(sums.sum[h]);
        if (g + 8 * h >= GROUP) continue;
        if (t == 0) ml[row] = make_float2(sums.max[h], sum);
#pragma unroll
        for (int c = 0; c < V_CHUNKS; ++c)
#pragma unroll
            for (int i = 0; i < 2 * V_ELEMENTS; ++i)
                o[row * D + (c * 8 + 2 * t) * V_ELEMENTS + i] = sums.o[c * V_ELEMENTS + i % V_ELEMENTS][2 * h + i / V_ELEMENTS];
    }
    __syncthreads();

    float4* result = (float4*)(out + (long long)head * GROUP * D);
    float* factors = (float*)(ml + WARPS * GROUP);
    if (splits == 1) {
        merge((const float4*)o, ml, WARPS, factors, result, nullptr);
        return;
    }
    const long long part = (long long)(head * splits + blockIdx.x) * GROUP;
    merge((const float4*)o, ml, WARPS, factors, (float4*)(partial + part * D), partial_ml + part);
    __threadfence();
    __syncthreads();
    __shared__ bool merges;
    if (threadIdx.x == 0) merges = atomicAdd(tickets + head, 1) == splits - 1;
    __syncthreads();
    if (!merges) return;
    __threadfence();
    if (threadIdx.x == 0) tickets[head] = 0;  // ready for the next launch
    const long long parts = (long long)head * splits * GROUP;
    merge((const float4*)(partial + parts * D), partial_ml + parts, splits, factors, result, nullptr);
}
