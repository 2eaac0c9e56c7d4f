// Reads device memory once: *sum += sum of all 32-bit words, modulo 2^32.
//
//   data     vectors x 16 bytes, 16-byte aligned
//   vectors  number of uint4
//   sum      accumulates over launches, so that no launch can be skipped unseen
//
// Traffic: 16 x vectors bytes read. A block reads tiles of 32 KiB, each thread UNROLL vectors at once: with four blocks a
// multiprocessor some 128 KiB are in flight, where bandwidth x latency is about 15. (On an H100, 1 GiB: 3,121 GB/s; eight
// loads a thread, strided over the whole grid: 3,095.)
#include "ptx/memory.cuh"

constexpr int THREADS = 512;
constexpr int UNROLL = 4;

__device__ __forceinline__ unsigned int words(uint4 v) { return v.x + v.y + v.z + v.w; }

extern "C" __global__ void __launch_bounds__(THREADS)
vram_read(const uint4* __restrict__ data, unsigned long long vectors, unsigned int* sum) {
    constexpr unsigned long long TILE = THREADS * UNROLL;
    unsigned int mine = 0;
    unsigned long long tile = blockIdx.x * TILE;
    for (; tile + TILE <= vectors; tile += gridDim.x * TILE) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) v[u] = load_streaming(data + tile + u * THREADS + threadIdx.x);
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) mine += words(v[u]);
    }
    // Of the last tile, what there is of it.
    for (unsigned long long i = tile + threadIdx.x; i < vectors; i += THREADS) mine += words(load_streaming(data + i));

    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(0xffffffff, mine, lanes);
    if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}
