// Reads memory that lies in the second-level cache, again and again: *sum += passes x the sum of all 32-bit words, modulo
// 2^32.
//
//   data     vectors x 16 bytes, 16-byte aligned; well below the size of the cache
//   vectors  number of uint4
//   passes   how often all of them are read
//   sum      accumulates over launches
//
// Traffic: 16 x vectors x passes bytes from the second-level cache: nothing is kept in the first. Each pass gives a thread
// other vectors, and UNROLL of its loads are in flight.
#include "ptx/memory.cuh"

constexpr int UNROLL = 4;

__device__ __forceinline__ unsigned int words(uint4 v) { return v.x + v.y + v.z + v.w; }

extern "C" __global__ void __launch_bounds__(512)
l2_read(const uint4* __restrict__ data, unsigned int vectors, unsigned int passes, unsigned int* sum) {
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    const unsigned long long all = (unsigned long long)vectors * passes;
    unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    unsigned int place = (unsigned int)(i % vectors), mine = 0;
    const unsigned int step = (unsigned int)(stride % vectors);
    // The next vector of this thread; the indices wrap around at the end of the data.
    auto next = [&] {
        const unsigned int now = place;
        place += step;
        if (place >= vectors) place -= vectors;
        return data + now;
    };
    for (; i + (UNROLL - 1) * stride < all; i += UNROLL * stride) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) v[u] = load_second_level(next());
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) mine += words(v[u]);
    }
    for (; i < all; i += stride) mine += words(load_second_level(next()));

    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(0xffffffff, mine, lanes);
    if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}
