// The loop of the measured peaks of a warpgroup's tensor instructions (peak_*_sm90a.cu): nothing but that instruction,
// operands in shared memory, sums in registers.
//
//   operands  48 KiB as they lie in shared memory: 64 rows of a for each of two warpgroups, 256 columns of b; each 128
//             bytes of k, swizzled (ptx/wgmma.cuh)
//   rounds    how often the sums are computed; odd
//   sums      gridDim.x x SUMS x 256 words: sum i of thread t of block b is at (b x SUMS + i) x 256 + t. Each is
//             TURNS times a product over all of k; the last is a hash of the others, exclusive-or over all rounds, so that a
//             step that went wrong in any round shows
//   clocks    gridDim.x x {cycles, nanoseconds}, to which each block adds its own: how fast the clock really ran
//
// 64 x 256 is the largest tile of one warpgroup and reads the least shared memory for its work: 10 KiB in the 128 cycles
// that it multiplies, where 16 KiB would be possible. While one of the two warpgroups hashes and starts anew, the other
// multiplies.
#pragma once
#include "ptx/bits.cuh"
#include "ptx/clock.cuh"
#include "ptx/wgmma.cuh"

constexpr int THREADS = 256;
constexpr int SUMS = 128 + 1;
constexpr int A_BYTES = 64 * 128, B_BYTES = 256 * 128;
// Instructions in the 128 bytes of k.
constexpr int STEPS = 4;

// Instruction: `Sum`, `static multiply(Sum (&d)[128], a, b, add)`.
template <class Instruction>
__device__ __forceinline__ void peak(const uint4* operands, unsigned int rounds, unsigned int* sums,
                                     unsigned long long* clocks) {
    __shared__ __align__(1024) unsigned char shared[2 * A_BYTES + B_BYTES];
    for (int i = threadIdx.x; i < (2 * A_BYTES + B_BYTES) / 16; i += THREADS) ((uint4*)shared)[i] = operands[i];
    fence_async_proxy();
    __syncthreads();
    const unsigned long long a = wgmma_descriptor(shared + threadIdx.x / 128 * A_BYTES);
    const unsigned long long b = wgmma_descriptor(shared + 2 * A_BYTES);

    typename Instruction::Sum d[128];
    unsigned int hash = 0;
    const unsigned long long nanoseconds = global_nanoseconds(), cycles = multiprocessor_cycles();
    for (unsigned int round = 0; round < rounds; ++round) {
        wgmma_fence();
        for (int turn = 0; turn < TURNS; ++turn) {
#pragma unroll
            // A step is 32 bytes: 2 in the descriptors' units.
            for (int step = 0; step < STEPS; ++step) Instruction::multiply(d, a + 2 * step, b + 2 * step, turn + step > 0 ? 1 : 0);
            wgmma_commit();
        }
        wgmma_wait<0>();
        unsigned int mixed = 0;
#pragma unroll
        for (int i = 0; i < 128; ++i) mixed = (mixed << 1 | mixed >> 31) ^ bits(d[i]);
        hash ^= mixed;
    }
    if (threadIdx.x == 0) {
        clocks[2 * blockIdx.x] += multiprocessor_cycles() - cycles;
        clocks[2 * blockIdx.x + 1] += global_nanoseconds() - nanoseconds;
    }
    unsigned int* mine = sums + (unsigned long long)blockIdx.x * SUMS * THREADS + threadIdx.x;
#pragma unroll
    for (int i = 0; i < 128; ++i) mine[i * THREADS] = bits(d[i]);
    mine[128 * THREADS] = hash;
}
