// Codes of a key/value cache to bf16, exactly, on any architecture.
//
//   FORMAT 0  bf16
//   FORMAT 1  int8: code
//   FORMAT 2  fp8 E4M3, finite
//   FORMAT 3  mxfp4: E2M1 code x 2^(scale - 127) x 2^-64; the caller takes 2^64 back. Exact for scales from 2^-61 to
//             2^65; greater ones, and the scale that is no number, read as infinite.
//
// A tensor operand register holds two elements that are neighbours along the reduction. Along a row of keys those lie
// in one word (`along`); down a column of values they lie in two rows, and `across` pairs them while it converts, which
// saves the transposing load. The order in which `along` takes the elements of a word is its own; queries go the same
// way, so that the sum does not notice.
#pragma once
#include "codes.cuh"

constexpr int BITS = FORMAT == 0 ? 16 : FORMAT == 3 ? 4 : 8;
// Registers that one word of a row, and one pair of words of two rows, become.
[[maybe_unused]] constexpr int ALONG = 16 / BITS;
[[maybe_unused]] constexpr int ACROSS = 32 / BITS;

// Nibble K of each half: exponent and mantissa to their places, then the factor of the block.
template <int K>
__device__ __forceinline__ unsigned int e2m1_codes(unsigned int w, unsigned int factor) {
    const unsigned int magnitude = 4 * K < 6 ? w << (4 * K < 6 ? 6 - 4 * K : 0) : w >> (4 * K < 6 ? 0 : 4 * K - 6);
    return fma_bf16x2((magnitude & 0x01c001c0) | ((w << (12 - 4 * K)) & 0x80008000), factor, BF16_MINUS_ZERO);
}

// A word of one row. `factor`: that of its block in both halves, mxfp4 only.
__device__ __forceinline__ void along(unsigned int w, unsigned int factor, unsigned int* r) {
    if constexpr (FORMAT == 0) {
        r[0] = w;
    } else if constexpr (FORMAT == 1) {
        r[0] = int8_codes(__byte_perm(w, 0, 0x4140));
        r[1] = int8_codes(__byte_perm(w, 0, 0x4342));
    } else if constexpr (FORMAT == 2) {
        r[0] = e4m3_codes(__byte_perm(w, 0, 0x1404));
        r[1] = e4m3_codes(__byte_perm(w, 0, 0x3424));
    } else {
        r[0] = e2m1_codes<0>(w, factor);
        r[1] = e2m1_codes<1>(w, factor);
        r[2] = e2m1_codes<2>(w, factor);
        r[3] = e2m1_codes<3>(w, factor);
    }
}

// The same word of two rows, `a` in the low halves. `factor`: those of their blocks in the halves, mxfp4 only.
__device__ __forceinline__ void across(unsigned int a, unsigned int b, unsigned int factor, unsigned int* r) {
    if constexpr (FORMAT == 0) {
        r[0] = __byte_perm(a, b, 0x5410);
        r[1] = __byte_perm(a, b, 0x7632);
    } else if constexpr (FORMAT == 1) {
        r[0] = int8_codes(__byte_perm(a, b, 0x0400));
        r[1] = int8_codes(__byte_perm(a, b, 0x0501));
        r[2] = int8_codes(__byte_perm(a, b, 0x0602));
        r[3] = int8_codes(__byte_perm(a, b, 0x0703));
    } else if constexpr (FORMAT == 2) {
        r[0] = e4m3_codes(__byte_perm(a, b, 0x4000));
        r[1] = e4m3_codes(__byte_perm(a, b, 0x5010));
        r[2] = e4m3_codes(__byte_perm(a, b, 0x6020));
        r[3] = e4m3_codes(__byte_perm(a, b, 0x7030));
    } else {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const unsigned int w = __byte_perm(a, b, half == 0 ? 0x5410 : 0x7632);
            r[4 * half + 0] = e2m1_codes<0>(w, factor);
            r[4 * half + 1] = e2m1_codes<1>(w, factor);
            r[4 * half + 2] = e2m1_codes<2>(w, factor);
            r[4 * half + 3] = e2m1_codes<3>(w, factor);
        }
    }
}
