// Writes device memory once: every 32-bit word of data becomes value.
//
//   data     vectors x 16 bytes, 16-byte aligned
//   vectors  number of uint4
//
// Traffic: 16 x vectors bytes written. A store needs no register to land in, so one an iteration will do.
#include "ptx/memory.cuh"

extern "C" __global__ void __launch_bounds__(512)
vram_write(uint4* data, unsigned long long vectors, unsigned int value) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    const uint4 v = make_uint4(value, value, value, value);
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride)
        store_streaming(data + i, v);
}
