// Pairs of codes of narrow formats to pairs of bf16, exactly, on any architecture: one fused multiply-add a pair puts
// exponents right, subnormals included.
#pragma once
#include "ptx/arithmetic.cuh"

[[maybe_unused]] constexpr unsigned int BF16_ONE = 0x3f803f80;
constexpr unsigned int BF16_MINUS_ZERO = 0x80008000;
[[maybe_unused]] constexpr unsigned int BF16_TWO_64 = 0x5f805f80;

// The factor of an E8M0 scale for `e2m1`: 2^(code - 127) x 2^126 x 2^-64, as bf16.
__device__ __forceinline__ unsigned int e2m1_factor(unsigned int code) { return min(code + 62u, 255u) << 7; }

// Two int8 codes in the low bytes of the halves: 128 + low 7 bits, less 128, or 256 where the sign is set.
__device__ __forceinline__ unsigned int int8_codes(unsigned int w) {
    return fma_bf16x2((w & 0x007f007f) | 0x43004300, BF16_ONE, (w & 0x00800080) | 0xc300c300);
}

// Two E4M3 codes in the high bytes of the halves: exponent and mantissa to their places, then 2^(127 - 7).
__device__ __forceinline__ unsigned int e4m3_codes(unsigned int w) {
    return fma_bf16x2(((w >> 4) & 0x07f007f0) | (w & 0x80008000), 0x7b807b80, BF16_MINUS_ZERO);
}

// Eight E4M3 codes, those of neighbours in one register: r[i] = codes 2i and 2i + 1.
__device__ __forceinline__ void expand_e4m3(const unsigned int* w, unsigned int (&r)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) r[i] = e4m3_codes(__byte_perm(w[i / 2], 0, i % 2 == 0 ? 0x1404 : 0x3424));
}

// The same of a word of E2M1 codes of one block, whose factor is in both halves: the codes of byte i to the high nibbles of
// both halves; sign and magnitude to their places, then the factor.
__device__ __forceinline__ void expand_e2m1(unsigned int w, unsigned int factor, unsigned int (&r)[4]) {
    const unsigned int even = w << 4, odd = w;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const unsigned int pair = __byte_perm(even, odd, (4 + i) << 12 | i << 4);
        r[i] = fma_bf16x2((pair & 0x80008000) | (pair >> 6 & 0x01c001c0), factor, BF16_MINUS_ZERO);
    }
}
