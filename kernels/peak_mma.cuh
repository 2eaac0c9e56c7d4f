// The loop of the measured peaks of a warp's tensor instructions (peak_*_sm80.cu and so on): nothing but that
// instruction, on operands that stay in registers.
//
//   operands  words of 32 bits, SOURCES x 256: word w of thread t is at w x 256 + t. A warp's words are A_TILES
//             fragments of a (4 words), B_TILES of b (2 words), then a scale for each of them where the format has
//             block scales
//   rounds    how often the sums are computed; odd
//   sums      gridDim.x x SUMS x 256 words: sum i of thread t of block b is at (b x SUMS + i) x 256 + t. Each is
//             TURNS times a product; the last is a hash of the others, exclusive-or over all rounds, so that a step that
//             went wrong in any round shows
//   clocks    gridDim.x x {cycles, nanoseconds}, to which each block adds its own: how fast the clock really ran
//
// Consecutive instructions have different operands, as in a GEMM: a chip that multiplies the same numbers again and
// again needs less power. Eight independent sums a warp and four warps a scheduler hide the latency. Sums start anew
// every TURNS steps, so that they stay small enough to be checked; that costs about one instruction in a hundred, issued
// while other warps multiply.
#pragma once
#include "ptx/bits.cuh"
#include "ptx/clock.cuh"

constexpr int THREADS = 256;
constexpr int A_TILES = 2;
constexpr int B_TILES = 4;
constexpr int SUMS = A_TILES * B_TILES * 4 + 1;

// Instruction: `Sum`, `SCALED`, `static multiply(Sum (&d)[4], a, b, scale_a, scale_b)`.
template <class Instruction>
__device__ __forceinline__ void peak(const unsigned int* operands, unsigned int rounds, unsigned int* sums,
                                     unsigned long long* clocks) {
    auto word = [&](int w) { return operands[w * THREADS + threadIdx.x]; };
    constexpr int B_WORDS = A_TILES * 4, SCALES = B_WORDS + B_TILES * 2;
    unsigned int a[A_TILES][4], b[B_TILES][2], scale_a[A_TILES] = {}, scale_b[B_TILES] = {};
#pragma unroll
    for (int i = 0; i < A_TILES * 4; ++i) a[i / 4][i % 4] = word(i);
#pragma unroll
    for (int i = 0; i < B_TILES * 2; ++i) b[i / 2][i % 2] = word(B_WORDS + i);
    if constexpr (Instruction::SCALED) {
        for (int i = 0; i < A_TILES; ++i) scale_a[i] = word(SCALES + i);
        for (int i = 0; i < B_TILES; ++i) scale_b[i] = word(SCALES + A_TILES + i);
    }

    typename Instruction::Sum d[A_TILES][B_TILES][4];
    unsigned int hash = 0;
    const unsigned long long nanoseconds = global_nanoseconds(), cycles = multiprocessor_cycles();
    for (unsigned int round = 0; round < rounds; ++round) {
        // Each round computes the same: without this, the compiler would do it once.
#pragma unroll
        for (int i = 0; i < A_TILES; ++i) opaque(a[i][0]);
#pragma unroll
        for (int i = 0; i < A_TILES * B_TILES * 4; ++i) d[i / 4 / B_TILES][i / 4 % B_TILES][i % 4] = 0;
#pragma unroll 4
        for (int turn = 0; turn < TURNS; ++turn) {
#pragma unroll
            for (int i = 0; i < A_TILES * B_TILES; ++i) {
                const int m = i / B_TILES, n = i % B_TILES;
                Instruction::multiply(d[m][n], a[m], b[n], scale_a[m], scale_b[n]);
            }
        }
        unsigned int mixed = 0;
#pragma unroll
        for (int i = 0; i < A_TILES * B_TILES * 4; ++i)
            mixed = (mixed << 1 | mixed >> 31) ^ bits(d[i / 4 / B_TILES][i / 4 % B_TILES][i % 4]);
        hash ^= mixed;
    }
    if (threadIdx.x == 0) {
        clocks[2 * blockIdx.x] += multiprocessor_cycles() - cycles;
        clocks[2 * blockIdx.x + 1] += global_nanoseconds() - nanoseconds;
    }
    unsigned int* mine = sums + (unsigned long long)blockIdx.x * SUMS * THREADS + threadIdx.x;
#pragma unroll
    for (int i = 0; i < SUMS - 1; ++i) mine[i * THREADS] = bits(d[i / 4 / B_TILES][i / 4 % B_TILES][i % 4]);
    mine[(SUMS - 1) * THREADS] = hash;
}
