// Adds up what the splits of a decode have summed: O[row] = sum of partial[split][row] w / sum of the splits' sums w,
// w = 2^(largest score of the split - largest of all).
//
//   partial     splits x rows rows of V_DIM f32
//   partial_ml  splits x rows float2: the largest score, times log2(e), and the sum of weights; at most SPLITS splits
//   O           rows rows of V_DIM f32
//
// A block a row. Traffic: partial once, from L2 where it was just written.
//
// Why this shape: all that matters is how many loads are under way. Each thread holds four columns of every SLICES-th
// split, and has its loads in flight together; the slices meet in shared memory.
//
// V_DIM (a multiple of 128), SLICES and SPLITS are defined by the caller; V_DIM / 4 x SLICES threads.
#include "ptx/arithmetic.cuh"

constexpr int COLUMNS = V_DIM / 4;

extern "C" __global__ void __launch_bounds__(COLUMNS * SLICES)
attention_merge(const float4* __restrict__ partial, const float2* __restrict__ partial_ml, float4* __restrict__ out, int splits) {
    __shared__ float factors[SPLITS];
    __shared__ float total;
    __shared__ float4 slices[SLICES][COLUMNS];
    const int row = blockIdx.x, rows = gridDim.x, lane = threadIdx.x % 32;
    if (threadIdx.x < 32) {
        float largest = MINUS_INFINITY, sum = 0;
        for (int split = lane; split < splits; split += 32) largest = fmaxf(largest, partial_ml[split * rows + row].x);
        for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, lanes));
        for (int split = lane; split < splits; split += 32) {
            const float2 of = partial_ml[split * rows + row];
            factors[split] = exp2_approximate(of.x - largest);
            sum += factors[split] * of.y;
        }
        for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffff, sum, lanes);
        if (lane == 0) total = 1 / sum;
    }
    __syncthreads();
    const int slice = threadIdx.x / COLUMNS, column = threadIdx.x % COLUMNS;
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 8
    for (int split = slice; split < splits; split += SLICES) {
        const float4 of = partial[((long long)split * rows + row) * COLUMNS + column];
        const float f = factors[split];
        sum = make_float4(sum.x + of.x * f, sum.y + of.y * f, sum.z + of.z * f, sum.w + of.w * f);
    }
    slices[slice][column] = sum;
    __syncthreads();
    if (slice > 0) return;
#pragma unroll
    for (int i = 1; i < SLICES; ++i) {
        const float4 of = slices[i][column];
        sum = make_float4(sum.x + of.x, sum.y + of.y, sum.z + of.z, sum.w + of.w);
    }
    out[(long long)row * COLUMNS + column] = make_float4(sum.x * total, sum.y * total, sum.z * total, sum.w * total);
}
