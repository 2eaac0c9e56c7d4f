// Measured peak of int8 mma.sync with i32 sums: see peak_mma.cuh.
//
// Work: gridDim.x x 8 warps x rounds x TURNS x 8 instructions of 16 x 8 x 32 x 2 operations. No memory traffic.
#include "peak_mma.cuh"
#include "ptx/mma.cuh"

struct Instruction {
    using Sum = int;
    static constexpr bool SCALED = false;
    static __device__ __forceinline__ void multiply(Sum (&d)[4], const unsigned int (&a)[4], const unsigned int (&b)[2],
                                                    unsigned int, unsigned int) {
        mma_int8(d, a, b[0], b[1]);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 2)
peak_int8(const unsigned int* operands, unsigned int rounds, unsigned int* sums, unsigned long long* clocks) {
    peak<Instruction>(operands, rounds, sums, clocks);
}
