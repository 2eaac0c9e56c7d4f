// Softmax weights as mxfp4, for attention_prefill_mxfp4_sm120a.cu: one power of two for 32 keys of a query, and E2M1 codes.
//
// With y = score log2(e) / sqrt(D), the largest of a block of 32 keys being Y, the block's scale is 2^F, F = the least
// integer with Y - F <= log2(7): its largest code is 4 or 6, the one nearest to 2^(Y - F), never one cut off by more than
// half a step (OCP's rule for a scale, floor(Y) - 2, cuts 8 off to 6). A weight is the code nearest to 2^(y - F), times 2^F.
// Nothing else is rounded: what a row is scaled by, 2^-M, is a power of two as well, so that the codes do not depend on the
// order of the keys; and the sum that divides is that of the rounded weights, so that what all of them err alike by cancels.
//
// F is held as the float LEVEL + F, where one unit is one bit.
#pragma once
#include "ptx/arithmetic.cuh"

constexpr float LEVEL = 12582912;               // 1.5 x 2^23
constexpr float LOWEST_LEVEL = LEVEL - 1048576; // of queries that see none of a block's keys
constexpr float LOG2_LARGEST = 2.807354922f;    // log2(7): up to there the nearest code is 6
// A row's power of two follows its largest level once it is left behind by more than this: sums of f32 have the room.
constexpr float SLACK = 8;

// The level of a block whose largest score, times its factor, is `largest`.
__device__ __forceinline__ float level_of(float largest) { return __fadd_ru(largest - LOG2_LARGEST, LEVEL); }

// 2^(to - from) of levels, zero below the normal numbers; `to` is not above `from`.
__device__ __forceinline__ float power(float to, float from) {
    return __int_as_float(max(__float_as_int(to) - __float_as_int(from) + 127, 0) << 23);
}

// The E8M0 codes of 2^(level - row) of four blocks, those below 2^-126 as that.
__device__ __forceinline__ unsigned int scales_of(const float (&level)[4], float row) {
    unsigned int scales = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) scales |= max(__float_as_int(level[i]) - (__float_as_int(row) - 127), 1) << 8 * i;
    return scales;
}
