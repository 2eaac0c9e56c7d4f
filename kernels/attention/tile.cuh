// A tile of rows in shared memory: how a block of THREADS copies it there and where its pieces lie.
//
// Rows are cut into planes of 128 bytes, or of 64 where a row is no multiple of 128, and planes lie one after the other.
// Within a plane the 16-byte pieces of a row are XORed with the row, so that neither the copies nor ldmatrix, whose eight
// lanes read one piece of eight rows, meet a bank twice.
#pragma once
#include "ptx/cp_async.cuh"

// COUNT rows of BYTES bytes.
template <int BYTES, int COUNT>
struct Tile {
    static constexpr int PLANE = BYTES % 128 == 0 ? 128 : 64;
    static constexpr int PIECES = PLANE / 16;
    static constexpr int SIZE = BYTES * COUNT;
    static_assert(BYTES % 64 == 0, "rows of whole planes");

    // Where piece `piece` of the first plane of row `row` lies.
    static __device__ __forceinline__ unsigned int place(int row, int piece) {
        return row * PLANE + (piece ^ (PLANE == 128 ? row % 8 : row / 2 % 4)) * 16;
    }

    // Where the piece `pieces` further lies, `place` being that of a piece which has no bit in common with `pieces`: a
    // constant but for one exclusive or.
    static __device__ __forceinline__ unsigned int further(unsigned int place, int pieces) {
        return (place ^ pieces % PIECES * 16) + pieces / PIECES * PLANE * COUNT;
    }
};

// What one thread copies of the tiles of COUNT rows that follow each other in memory. From one copy to the next neither
// the piece within a plane nor the row modulo 8 changes: all offsets are constants.
template <int BYTES, int COUNT>
struct Copies {
    using Of = Tile<BYTES, COUNT>;
    static constexpr int STEP = THREADS / Of::PIECES;  // rows
    static_assert(COUNT % STEP == 0 && STEP % 8 == 0, "every thread copies as often");
    unsigned int to;
    const unsigned char* from;
    int row;

    __device__ __forceinline__ Copies(unsigned int tile, const unsigned char* first)
        : to(tile + Of::place(threadIdx.x / Of::PIECES, threadIdx.x % Of::PIECES)),
          from(first + threadIdx.x / Of::PIECES * BYTES + threadIdx.x % Of::PIECES * 16), row(threadIdx.x / Of::PIECES) {}

    // Starts the copies of the next tile; with ZEROS, rows from `valid` on become zeros.
    template <bool ZEROS>
    __device__ __forceinline__ void next(int valid) {
#pragma unroll
        for (int i = 0; i < COUNT / STEP; ++i)
#pragma unroll
            for (int plane = 0; plane < BYTES / Of::PLANE; ++plane)
                copy_async_16(to + i * STEP * Of::PLANE + plane * Of::PLANE * COUNT, from + i * STEP * BYTES + plane * Of::PLANE,
                              !ZEROS || row + i * STEP < valid ? 16 : 0);
        from += COUNT * BYTES;
    }
};
