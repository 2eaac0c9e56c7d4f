// Tiles of E2M1 codes in shared memory for attention_prefill_mxfp4_sm120a.cu: how a block of THREADS copies them there and
// where their pieces lie.
//
// An instruction takes 64 elements of a row, 32 bytes, two 16-byte pieces of one block of 32 each. Rows are cut into planes
// of that, and planes lie one after the other; four rows of a plane fill all banks. The pieces are XORed with the row so
// that no bank is met twice: by the copies, whose eight lanes write four rows, by ldmatrix of eight rows that follow each
// other (values), and of rows 8i and 8i + 1 after any even one (keys).
#pragma once
#include "ptx/cp_async.cuh"

constexpr int PLANE = 32;  // bytes of a row
static_assert(THREADS % 64 == 0, "the rows that one copy fills are XORed alike in the next");

// Where piece `piece` of row `row` lies in a plane.
__device__ __forceinline__ unsigned int place(int row, int piece) {
    const int pattern = ((row / 4 ^ row / 8) & 1) | (row / 16 & 1) << 2;
    return row / 4 * 128 + ((row % 4 * 2 + piece) ^ pattern) * 16;
}

// What one thread copies of tiles of COUNT rows of PLANES planes: pieces of rows `pitch` bytes apart.
template <int COUNT, int PLANES>
struct PlaneCopies {
    static constexpr int SIZE = COUNT * PLANE * PLANES, STEP = THREADS / 2;  // rows
    unsigned int to;
    const unsigned char* from;

    __device__ __forceinline__ PlaneCopies(unsigned int tile, const unsigned char* first, long long pitch)
        : to(tile + place(threadIdx.x / 2, threadIdx.x % 2)), from(first + threadIdx.x / 2 * pitch + threadIdx.x % 2 * 16) {}

    // Starts the copies of a tile, `further` bytes behind the first one's place; rows from `valid` on become zeros.
    __device__ __forceinline__ void start(unsigned int further, long long pitch, int valid) const {
#pragma unroll
        for (int row = 0; row < COUNT; row += STEP) {
            const int mine = row + threadIdx.x / 2;
            if (COUNT % STEP != 0 && mine >= COUNT) break;
#pragma unroll
            for (int plane = 0; plane < PLANES; ++plane)
                copy_async_16(to + further + row * PLANE + plane * COUNT * PLANE, from + row * pitch + plane * PLANE,
                              mine < valid ? 16 : 0);
        }
    }
};
