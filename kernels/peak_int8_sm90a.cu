// Measured peak of int8 wgmma with i32 sums: see peak_wgmma.cuh.
//
// Work: gridDim.x x 2 warpgroups x rounds x TURNS x 4 instructions of 64 x 256 x 32 x 2 operations. No memory traffic.
#include "peak_wgmma.cuh"

struct Instruction {
    using Sum = int;
    static __device__ __forceinline__ void multiply(Sum (&d)[128], unsigned long long a, unsigned long long b, int add) {
        wgmma_int8(d, a, b, add);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS)
peak_int8_wgmma(const uint4* operands, unsigned int rounds, unsigned int* sums, unsigned long long* clocks) {
    peak<Instruction>(operands, rounds, sums, clocks);
}
