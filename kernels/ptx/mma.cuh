// Matrix products of one warp: D = A B + D, one instruction a function.
//
// With g = lane / 4 and t = lane % 4, register r of A holds row g + 8 (r % 2) and, of the K elements, those from
// t * (4 bytes) on, 16 bytes later for r / 2; register r of B holds column g and the same elements, 16 bytes later for
// r = 1; D holds row g (d0, d1) and g + 8 (d2, d3), columns 2t and 2t + 1.
#pragma once

// 16 x 8 x 16, bf16 in, f32 out (sm_80 up).
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
