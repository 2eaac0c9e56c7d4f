// Block-scaled matrix products of one warp (sm_120a): D = A B + D with a power of two for each 32 elements along K, one
// instruction a function. A, B and D are held as in ptx/mma.cuh.
//
// A scale is an E8M0 byte, 2^(byte - 127), in a register of few lanes. With thread numbers a_thread in {0, 1} and b_thread
// in {0, 1, 2, 3}, and g = lane / 4:
//   of row g of A       lane 4g + 2 a_thread
//   of row g + 8 of A   lane 4g + 2 a_thread + 1
//   of column g of B    lane 4g + b_thread
// (PTX ISA, "Block scaling for mma.sync".) Four registers' worth of scales thus fit in one.
#pragma once

// 16 x 8 x 32, fp8 E4M3: one block a row, its scale in byte `byte` (0 to 3).
__device__ __forceinline__ void mma_mxfp8(float (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1,
                                          unsigned int a_scale, unsigned short a_thread, unsigned int b_scale,
                                          unsigned short b_thread, unsigned short byte) {
    asm("mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3}, %10, {%14, %11}, %12, {%14, %13};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(a_scale), "h"(a_thread), "r"(b_scale),
          "h"(b_thread), "h"(byte));
}

// 16 x 8 x 64, E2M1: two blocks a row, their scales in bytes `byte` (0 or 2) and the next.
__device__ __forceinline__ void mma_mxfp4(float (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1,
                                          unsigned int a_scale, unsigned short a_thread, unsigned int b_scale,
                                          unsigned short b_thread, unsigned short byte) {
    asm("mma.sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3}, %10, {%14, %11}, %12, {%14, %13};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(a_scale), "h"(a_thread), "r"(b_scale),
          "h"(b_thread), "h"(byte));
}
