// What distinguishes the formats of gemm_mma_sm80.cu: the instruction, its sums, and where scales enter. One of the macros
// BF16, INT8, FP8, MXFP8 and MXFP4 is defined.
//
// Every instruction takes 32 bytes of each row, whatever the format: 16 bf16, 32 int8 or fp8, 64 E2M1.
#pragma once
#include "ptx/mma.cuh"
#include "ptx/mma_scaled.cuh"

#if defined(INT8)
using Sum = int;
#else
using Sum = float;
#endif

#if defined(INT8) || defined(FP8)
constexpr bool ROW_SCALED = true;  // an f32 factor for each row of A and of B, applied to the sums
#else
constexpr bool ROW_SCALED = false;
#endif

// Bytes of elements that share an E8M0 scale, applied by the instruction: 32 elements; 0 where there is none.
#if defined(MXFP8)
constexpr int BLOCK_BYTES = 32;
#elif defined(MXFP4)
constexpr int BLOCK_BYTES = 16;
#else
constexpr int BLOCK_BYTES = 0;
#endif

// d += a b of 16 x 8 x 32 bytes. Of the scale registers, `m % 2` and `n % 4` name the threads that hold the scales of
// tile m of A and n of B, `byte` where in the register.
__device__ __forceinline__ void multiply(Sum (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1,
                                         unsigned int a_scale, int m, unsigned int b_scale, int n, int byte) {
#if defined(BF16)
    mma_bf16(d, a, b0, b1);
#elif defined(INT8)
    mma_int8(d, a, b0, b1);
#elif defined(FP8)
    mma_fp8(d, a, b0, b1);
#elif defined(MXFP8)
    mma_mxfp8(d, a, b0, b1, a_scale, m % 2, b_scale, n % 4, byte);
#elif defined(MXFP4)
    mma_mxfp4(d, a, b0, b1, a_scale, m % 2, b_scale, n % 4, byte);
#else
#error "define BF16, INT8, FP8, MXFP8 or MXFP4"
#endif
}
