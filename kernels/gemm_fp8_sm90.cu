// C = A B^T in fp8 E4M3 on Hopper's wgmma: see gemm_wgmma_sm90.cuh.
#include "gemm_wgmma_sm90.cuh"

struct Fp8 {
    using Element = unsigned char;
    using Sum = float;
    static constexpr bool SCALED = true;

    static __device__ __forceinline__ void multiply(Sum (&sums)[TILE_N / 2], unsigned long long a, unsigned long long b,
                                                    int add) {
        wgmma_fp8(sums, a, b, add);
    }
};

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
gemm_fp8_wgmma(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
               const __grid_constant__ TensorMap map_c, float* __restrict__ c, const float* __restrict__ scale_a,
               const float* __restrict__ scale_b, int m, int n, int k) {
    gemm<Fp8>(&map_a, &map_b, &map_c, c, scale_a, scale_b, m, n, k);
}
