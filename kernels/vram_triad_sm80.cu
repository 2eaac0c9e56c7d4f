// The triad of STREAM (McCalpin, 1995) in integers, modulo 2^32: c[i] = a[i] + 3 b[i] for every 32-bit word.
//
//   a, b, c  vectors x 16 bytes each, 16-byte aligned, not overlapping
//   vectors  number of uint4
//
// Traffic: 32 x vectors bytes read and 16 x vectors written.
#include "ptx/memory.cuh"

__device__ __forceinline__ unsigned int triad(unsigned int a, unsigned int b) { return a + 3 * b; }

extern "C" __global__ void __launch_bounds__(512)
vram_triad(const uint4* __restrict__ a, const uint4* __restrict__ b, uint4* __restrict__ c, unsigned long long vectors) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride) {
        const uint4 x = load_streaming(a + i), y = load_streaming(b + i);
        store_streaming(c + i, make_uint4(triad(x.x, y.x), triad(x.y, y.y), triad(x.z, y.z), triad(x.w, y.w)));
    }
}
