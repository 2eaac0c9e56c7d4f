// Causal attention of a chunk of queries: O = softmax(Q K^T / sqrt(QK) + mask) V, per query head, f32 out.
//
//   Q        heads x queries rows of QK codes, head after head
//   K, V     kv_heads x stride rows of QK, and of VD, codes; the first `keys` of a head's rows are its keys
//   scales   int8, fp8: one f32 a row; mxfp4: QK / 32, or VD / 32, E8M0 codes a row; bf16: not read
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
// softmax and the second product, V during the first. The running maximum rarely moves after the first tiles, and only
// then is O rescaled.
//
// Weights are rounded to the format (attention/prefill_format.cuh). Their sum is that of the weights before rounding.
//
// Operands of a format that is not multiplied are expanded to bf16 on their way from a stage to their tile, once a block: a
// fourth of the instructions of bf16's main loop more, and two barriers a tile.
//
// FORMAT, STORED (attention/prefill_format.cuh), QK, VD (multiples of 64), MT, WARPS, KEYS (a tile: a multiple of 32), BLOCKS (a multiprocessor) and HOLD
// (queries stay in registers: 1 or 0) are defined by the caller.
#include "attention/prefill_step.cuh"

// The largest of `count` scales, of all threads of the block.
__device__ __forceinline__ float largest_scale(const float* scales, int count) {
    __shared__ float of_warps[WARPS];
    float largest = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) largest = fmaxf(largest, scales[i]);
    for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, lanes));
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = largest;
    __syncthreads();
    for (int i = 0; i < WARPS; ++i) largest = fmaxf(largest, of_warps[i]);
    return largest;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_prefill(const unsigned char* __restrict__ q, const unsigned char* __restrict__ q_scales,
                  const unsigned char* __restrict__ k, const unsigned char* __restrict__ k_scales,
                  const unsigned char* __restrict__ v, const unsigned char* __restrict__ v_scales, float* __restrict__ out,
                  int queries, int keys, int stride, int group, float factor) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int head = blockIdx.x, first = (gridDim.y - 1 - blockIdx.y) * ROWS;
    const int mine = first + warp * 16 * MT;  // the warp's first query
    const int before = keys - queries;        // keys that every query sees besides those of the chunk
    const int seen = min(keys, before + first + ROWS);
    const unsigned int q_tile = shared_address(shared), k_tile = q_tile + QTile::SIZE, v_tile = k_tile + KTile::SIZE;
    const long long kv_first = (long long)(head / group) * stride, q_first = (long long)head * queries;
    unsigned char *k_at = shared + QTile::SIZE, *v_at = k_at + KTile::SIZE, *stage = v_at + VTile::SIZE + (SCALED ? 8 * KEYS : 0);
    Step step = {{k_at, stage, k, k_scales, kv_first},
                 {v_at, stage, v, v_scales, kv_first},
                 k_tile + KTile::place(lane / 16 * 8 + lane % 8, lane / 8 % 2),
                 v_tile + (FORMAT == 0 ? VTile::place(lane % 16, lane / 16) : VTile::place(lane, 0)),
                 v_tile + VTile::SIZE,
                 v_tile + VTile::SIZE + 4 * KEYS,
                 k_scales + 4 * kv_first,
                 v_scales + 4 * kv_first,
                 keys,
                 (seen + KEYS - 1) / KEYS,
                 before + mine + 16 * MT - 1,
                 lane,
                 {{factor * EXPANDED_FACTOR, factor * EXPANDED_FACTOR}},
                 0};

    if constexpr (EXPANDED) {
        using Stored = StoredTile<QK, ROWS>;
        Stored::expand<true, true>(shared, q + (q_first + first) * Stored::CODES, q_scales + (q_first + first) * Stored::SCALES, queries - first);
    } else {
        Copies<QK * ELEMENT, ROWS>(q_tile, q + (q_first + first) * QK * ELEMENT).next<true>(queries - first);
    }
    step.k.next<false>(0);
    step.next_scales(step.k_scales_at, step.k_scales, keys);
    copy_async_commit();
    if constexpr (SCALED) {
        if constexpr (FORMAT != 0)
            step.levels = __log2f(LEVELS / fmaxf(largest_scale((const float*)step.v_scales, seen), 0x1p-100f));
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int row = mine + 16 * m + 8 * h + g;
                const float scale = row < queries ? ((const float*)q_scales)[q_first + row] : 1;
                step.factor[m][h] = factor * fmaxf(scale, 0x1p-100f);  // not 0: what is masked is minus infinity times it
            }
    }

    Queries held;
    held.place = q_tile + warp * 16 * MT * QTile::PLANE + QTile::place(lane % 16, lane / 16);
    if (HOLD) {
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int i = 0; i < QK * ELEMENT / 32; ++i) held.load(i, held.held[HOLD ? i : 0]);
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
            const float scale = EXPANDED_FACTOR / quad_sum(sums.sum[m][h]);
            if (row >= queries) continue;
            float* to = out + (q_first + row) * VD;
#pragma unroll
            for (int n = 0; n < VD / 16; ++n) {
                const Accumulated* even = sums.o[m][2 * n] + 2 * h;
                const Accumulated* odd = sums.o[m][2 * n + 1] + 2 * h;
                if constexpr (FORMAT == 0) {
                    *(float2*)(to + 16 * n + 2 * t) = make_float2(even[0] * scale, even[1] * scale);
                    *(float2*)(to + 16 * n + 8 + 2 * t) = make_float2(odd[0] * scale, odd[1] * scale);
                } else {
                    *(float4*)(to + 16 * n + 4 * t) = make_float4(even[0] * scale, odd[0] * scale, even[1] * scale, odd[1] * scale);
                }
            }
        }
}
