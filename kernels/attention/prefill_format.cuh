// What distinguishes the formats in which attention_prefill_sm80.cu multiplies: FORMAT 0 is bf16, 1 int8, 2 fp8 E4M3. STORED
// is the format of its operands: FORMAT, or with FORMAT 0 a narrower one (attention/stored.cuh).
//
// Every instruction takes 32 bytes of a row: 16 bf16, 32 int8 or fp8. What the accumulator of the first product gives a
// thread, scores of the keys 2t and 2t + 1 of eight, is what operand A of the second one wants: of bf16, in this order; of
// the others, four keys a register, for which the keys 2t, 2t + 1, 2t + 8 and 2t + 9 serve if values come alike.
//
// Weights are rounded to FORMAT, after their value's scale where there is one. Those of int8 and fp8 are scaled so that the largest of a row becomes LEVELS times its
// value's scale over the largest such scale, and rounded to the nearest code.
#pragma once
#include "ptx/arithmetic.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

constexpr int ELEMENT = FORMAT == 0 ? 2 : 1;  // bytes
constexpr int STEP_KEYS = 32 / ELEMENT;       // that one instruction of the second product takes
constexpr bool SCALED = STORED == 1 || STORED == 2;  // an f32 factor a row
constexpr float LEVELS = FORMAT == 1 ? 127 : 448;
// 1.5 x 2^23: a float from which integers up to 2^22 in magnitude differ by their value, bit for bit.
constexpr float INTEGERS = 12582912;
constexpr int INTEGERS_BITS = 0x4b400000;

// What an instruction sums in: integers are exact.
template <int F>
struct Accumulator {
    using Type = float;
};
template <>
struct Accumulator<1> {
    using Type = int;
};
using Accumulated = Accumulator<FORMAT>::Type;

// d += a b of 16 x 8 x 32 bytes.
__device__ __forceinline__ void multiply(float (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
    if constexpr (FORMAT == 0) mma_bf16(d, a, b0, b1);
    if constexpr (FORMAT == 2) mma_fp8(d, a, b0, b1);
}
__device__ __forceinline__ void multiply(int (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
    mma_int8(d, a, b0, b1);
}

// What a sum of scores starts from, and the sum as a float.
__device__ __forceinline__ Accumulated empty_score() {
    if constexpr (FORMAT == 1) return INTEGERS_BITS;
    return 0;
}
__device__ __forceinline__ float score(Accumulated sum) {
    if constexpr (FORMAT == 1) return __int_as_float(sum) - INTEGERS;
    return sum;
}

// Operand A of the second product: the weights of 16 queries for STEP_KEYS keys; `scale[n][i]`: of key 8n + 2t + i.
__device__ __forceinline__ void pack(const float (*p)[4], const float (*scale)[2], unsigned int (&a)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int n = i / 2 * (STEP_KEYS / 16), h = i % 2 * 2;
        if constexpr (FORMAT == 0 && !SCALED) a[i] = pack_bf16(p[n][h], p[n][h + 1]);
        if constexpr (FORMAT == 0 && SCALED) a[i] = pack_bf16(p[n][h] * scale[n][0], p[n][h + 1] * scale[n][1]);
        if constexpr (FORMAT == 1) {
            unsigned int w[4];
#pragma unroll
            for (int e = 0; e < 4; ++e) w[e] = __float_as_uint(fmaf(p[n + e / 2][h + e % 2], scale[n + e / 2][e % 2], INTEGERS));
            a[i] = __byte_perm(__byte_perm(w[0], w[1], 0x0040), __byte_perm(w[2], w[3], 0x0040), 0x5410);
        }
        if constexpr (FORMAT == 2)
            a[i] = pack_e4m3(p[n][h] * scale[n][0], p[n][h + 1] * scale[n][1]) |
                   pack_e4m3(p[n + 1][h] * scale[n + 1][0], p[n + 1][h + 1] * scale[n + 1][1]) << 16;
    }
}

// Operand B of the second product for two times eight columns of STEP_KEYS rows of V: of bf16 the columns of two pieces;
// of the others the even and the odd ones of one piece. `place`: of the lane's row of the first.
__device__ __forceinline__ void load_values(unsigned int place, unsigned int (&b)[2][2]) {
    unsigned int m[4];
    load_matrix_4_transposed(m, place);
    if constexpr (FORMAT == 0) {
        b[0][0] = m[0], b[0][1] = m[1], b[1][0] = m[2], b[1][1] = m[3];
    } else {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            b[0][i] = __byte_perm(m[2 * i], m[2 * i + 1], 0x6420);
            b[1][i] = __byte_perm(m[2 * i], m[2 * i + 1], 0x7531);
        }
    }
}
