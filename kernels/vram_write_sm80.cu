// Writes device memory once: word j of data becomes mix(j + seed), so that memory sees changing bits, not one pattern.
//
//   data     vectors x 16 bytes, 16-byte aligned
//   vectors  number of uint4
//
// Traffic: 16 x vectors bytes written. A store needs no register to land in, so one an iteration will do.
#include "ptx/memory.cuh"

// A multiplication by 2^32 over the golden ratio, high bits folded down.
__device__ __forceinline__ unsigned int mix(unsigned int x) {
    x *= 0x9e3779b1u;
    return x ^ (x >> 15);
}

extern "C" __global__ void __launch_bounds__(512)
vram_write(uint4* data, unsigned long long vectors, unsigned int seed) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride) {
        const unsigned int j = 4 * (unsigned int)i + seed;
        store_streaming(data + i, make_uint4(mix(j), mix(j + 1), mix(j + 2), mix(j + 3)));
    }
}
