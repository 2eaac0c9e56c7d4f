// What distinguishes the formats of gemm_dequant_sm80.cu: how eight codes of a weight row become bf16, exactly. One of the
// macros FP8 and MXFP4 is defined.
//
//   FP8     E4M3, every finite code is a bf16; an f32 factor a row is applied to the sums
//   MXFP4   E2M1 code x 2^(scale - 127) x 2^-64, exact for scales from 2^-61 to 2^65; sums are multiplied by 2^64, so those
//           below 2^-62 lose bits. Greater scales, and the one that is no number, read as infinite
#pragma once
#include "codes.cuh"

#if defined(FP8)
constexpr int CODE_BITS = 8;
constexpr bool ROW_SCALED = true;
constexpr float SUM_FACTOR = 1;  // not used
#elif defined(MXFP4)
constexpr int CODE_BITS = 4;
constexpr bool ROW_SCALED = false;
constexpr float SUM_FACTOR = 0x1p64f;
#else
#error "define FP8 or MXFP4"
#endif

constexpr int CODE_WORDS = CODE_BITS / 4;  // that hold eight codes

// What a block's scale, an E8M0 code, multiplies two codes by.
__device__ __forceinline__ unsigned int scale_factor(unsigned int code) { return e2m1_factor(code) * 0x10001; }

// Eight codes, those of neighbours in one register.
__device__ __forceinline__ void expand(const unsigned int* w, unsigned int factor, unsigned int (&r)[4]) {
#if defined(FP8)
    expand_e4m3(w, r);
#else
    expand_e2m1(w[0], factor, r);
#endif
}
