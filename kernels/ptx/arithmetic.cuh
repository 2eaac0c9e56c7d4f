// Scalar and packed arithmetic that C++ has no word for: one instruction a function.
#pragma once

#define MINUS_INFINITY (-__int_as_float(0x7f800000))

// 2^x to about 2 units in the last place; results below 2^-126 are 0, and 2^-inf is 0.
__device__ __forceinline__ float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Two f32, rounded to nearest even, as bf16: `low` in the low half.
__device__ __forceinline__ unsigned int pack_bf16(float low, float high) {
    unsigned int packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

// The E4M3 codes in the low (0) or high (1) half of a word, exactly, as f16 (sm_89 up).
template <int HALF>
__device__ __forceinline__ unsigned int unpack_e4m3(unsigned int w) {
    unsigned int unpacked;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(unpacked) : "h"((unsigned short)(w >> 16 * HALF)));
    return unpacked;
}

// a * b + c on both bf16 halves, subnormals kept (sm_80 has no bf16 product alone).
__device__ __forceinline__ unsigned int fma_bf16x2(unsigned int a, unsigned int b, unsigned int c) {
    unsigned int d;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// Two f32, rounded to nearest even and limited to 448, as E4M3 in 16 bits: `low` in the low byte (sm_89 up).
__device__ __forceinline__ unsigned int pack_e4m3(float low, float high) {
    unsigned short packed;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(packed) : "f"(high), "f"(low));
    return packed;
}

// Eight f32, rounded to nearest even and limited to 6, as E2M1: the first in the lowest nibble (sm_120a).
__device__ __forceinline__ unsigned int pack_e2m1(float a, float b, float c, float d, float e, float f, float g, float h) {
    unsigned int packed;
    asm("{\n.reg .b8 p, q, r, s;\n"
        "cvt.rn.satfinite.e2m1x2.f32 p, %2, %1;\ncvt.rn.satfinite.e2m1x2.f32 q, %4, %3;\n"
        "cvt.rn.satfinite.e2m1x2.f32 r, %6, %5;\ncvt.rn.satfinite.e2m1x2.f32 s, %8, %7;\n"
        "mov.b32 %0, {p, q, r, s};\n}"
        : "=r"(packed)
        : "f"(a), "f"(b), "f"(c), "f"(d), "f"(e), "f"(f), "f"(g), "f"(h));
    return packed;
}
