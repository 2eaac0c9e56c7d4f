// Loads of 8 x 8 matrices of 16-bit elements from shared memory: one instruction a function.
//
// Lanes 8j to 8j + 7 give the addresses of the rows (16 bytes each) of matrix j. Lane l receives in register j the
// elements 2 (l % 4) and the next of row l / 4; transposed, of column l / 4.
#pragma once

// Four matrices: operand A of a 16 x 8 x 16 product, or B of two.
__device__ __forceinline__ void load_matrix_4(unsigned int (&r)[4], unsigned int address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// Four matrices, each transposed: operand B whose columns lie along shared memory's rows.
__device__ __forceinline__ void load_matrix_4_transposed(unsigned int (&r)[4], unsigned int address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
