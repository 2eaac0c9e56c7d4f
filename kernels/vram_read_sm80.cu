// Reads device memory once: *sum += sum of all 32-bit words, modulo 2^32.
//
//   data     vectors x 16 bytes, 16-byte aligned
//   vectors  number of uint4
//   sum      accumulates over launches, so that no launch can be skipped unseen
//
// Traffic: 16 x vectors bytes read. Grid-stride over blocks of 512 threads; each thread has UNROLL independent loads
// in flight, since one load in flight a thread leaves the memory idle between round trips.
#include "ptx/memory.cuh"

constexpr int UNROLL = 8;

__device__ __forceinline__ unsigned int words(uint4 v) { return v.x + v.y + v.z + v.w; }

extern "C" __global__ void __launch_bounds__(512)
vram_read(const uint4* __restrict__ data, unsigned long long vectors, unsigned int* sum) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    unsigned int mine = 0;
    for (; i + (UNROLL - 1) * stride < vectors; i += UNROLL * stride) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) v[u] = load_streaming(data + i + u * stride);
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) mine += words(v[u]);
    }
    for (; i < vectors; i += stride) mine += words(load_streaming(data + i));

    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(0xffffffff, mine, lanes);
    if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}
