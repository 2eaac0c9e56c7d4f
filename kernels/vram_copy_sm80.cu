// Copies device memory: to[i] = from[i].
//
//   from, to  vectors x 16 bytes each, 16-byte aligned, not overlapping
//   vectors   number of uint4
//
// Traffic: 16 x vectors bytes read and as many written. UNROLL loads are in flight before the first store.
#include "ptx/memory.cuh"

constexpr int UNROLL = 8;

extern "C" __global__ void __launch_bounds__(512)
vram_copy(const uint4* __restrict__ from, uint4* __restrict__ to, unsigned long long vectors) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + (UNROLL - 1) * stride < vectors; i += UNROLL * stride) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) v[u] = load_streaming(from + i + u * stride);
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) store_streaming(to + i + u * stride, v[u]);
    }
    for (; i < vectors; i += stride) store_streaming(to + i, load_streaming(from + i));
}
