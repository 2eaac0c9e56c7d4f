// Reads chunks of device memory in any order, as a mixture-of-experts model reads the experts that its router chose:
// *sum += sum of all 32-bit words of all chunks, modulo 2^32.
//
//   data    16-byte aligned
//   chunks  number of chunks
//   chunk   index of each chunk's place in `data`, in chunks
//   size    uint4 a chunk
//   sum     accumulates over launches
//
// Traffic: 16 x size x chunks bytes read, 4 x chunks of indices beside them. A block takes a tile of 8 KiB of a chunk at a
// time.
#include "ptx/memory.cuh"

constexpr int THREADS = 512;

__device__ __forceinline__ unsigned int words(uint4 v) { return v.x + v.y + v.z + v.w; }

extern "C" __global__ void __launch_bounds__(THREADS)
vram_gather(const uint4* __restrict__ data, unsigned int chunks, const unsigned int* __restrict__ chunk, unsigned int size,
            unsigned int* sum) {
    const unsigned int tiles = (size + THREADS - 1) / THREADS;
    unsigned int mine = 0;
    const unsigned long long all = (unsigned long long)chunks * tiles;
#pragma unroll 4
    for (unsigned long long tile = blockIdx.x; tile < all; tile += gridDim.x) {
        const unsigned int i = (unsigned int)(tile % tiles) * THREADS + threadIdx.x;
        const unsigned long long start = (unsigned long long)chunk[tile / tiles] * size;
        if (i < size) mine += words(load_streaming(data + start + i));
    }
    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(0xffffffff, mine, lanes);
    if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}
