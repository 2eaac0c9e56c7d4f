// C = A B^T with A in bf16 and weights B in a narrower format, expanded in registers and multiplied as bf16 (weight-only
// quantisation, W8A16 and W4A16): c[i, j] = sum over k of a[i, k] b[j, k]. For chips whose tensor cores lack the format, and
// for few rows, where only the weights' bytes count.
//
//   a           m rows of a_pitch bytes, a multiple of 16, zero from k's last element on: bf16
//   b           n rows of b_pitch bytes, likewise: E4M3, or E2M1 two a byte, low nibble first
//   a_scale     not read
//   b_scale     fp8: one f32 a row. mxfp4: one E8M0 byte per 32 elements, rows of b_pitch / 16 bytes, padded to a multiple
//               of 16 with bytes that are not NaN (255)
//   c           m x n f32, row-major
//   partial     gridDim.y > 1: gridDim.x * gridDim.y * TILE_M * TILE_N words
//   arrived     gridDim.y > 1: gridDim.x counters, zero before and after
//
// Macros: the format (gemm_dequant_format.cuh), TILE_M, TILE_N, PLANES, STAGES, WARPS_M, WARPS_N. Grid: tiles of C x parts
// of k; block: 32 * WARPS_M * WARPS_N threads; dynamic shared memory: STAGES * STAGE_BYTES.
//
// Why this shape: codes travel from memory to registers as they are stored. Expanding eight of them takes some 20
// instructions, so a warp does it once for all of its WARP_M rows of A. Weights are operand A of the instruction, whose four
// registers expansion fills in any order; rows of A are operand B, whose two registers are neighbours along k, of which
// eight rows will do: so one read of 16 bytes feeds two products of either, with k in the order of gemm_dequant_tile.cuh,
// and few rows waste little. Stages, split k and the order of tiles are those of gemm_mma_sm80.cu.
//
// Traffic: a and b once for each n / TILE_N and m / TILE_M, less what L2 keeps; c once.
#include "gemm_dequant_tile.cuh"

// Writes those sums that are in C: of row g of 16 of B and row 2t of 8 of A, then 2t + 1; then of row g + 8 of B.
__device__ __forceinline__ void store(const float (&sums)[N_STEPS][M_STEPS][4], const Operands& of, int2 origin, float* c) {
    const int lane = threadIdx.x % 32;
    const int first_row = origin.x + warp_m() + lane % 4 * 2, first_column = origin.y + warp_n() + lane / 4;
#pragma unroll
    for (int n = 0; n < 2 * N_STEPS; ++n) {
        const int column = first_column + 8 * n;
        if (column >= of.n) continue;
        const float factor = ROW_SCALED ? reinterpret_cast<const float*>(of.b_scale)[column] : SUM_FACTOR;
#pragma unroll
        for (int m = 0; m < 2 * M_STEPS; ++m) {
            const int row = first_row + m / 2 * 8 + m % 2;
            if (row < of.m) c[(size_t)row * of.n + column] = sums[n / 2][m / 2][n % 2 * 2 + m % 2] * factor;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_dequant(Operands of, float* __restrict__ c, uint4* partial, unsigned int* arrived) {
    extern __shared__ __align__(1024) unsigned char stages[];
    const unsigned int shared = shared_address(stages);
    const int2 origin = tile_origin(of.m, of.n);

    // This block's part of k, in stages.
    const int all = (of.b_pitch + B_ROW - 1) / B_ROW;
    const int begin = (int)((long long)all * blockIdx.y / gridDim.y);
    const int end = (int)((long long)all * (blockIdx.y + 1) / gridDim.y);
    Copier copier(of, origin, begin, end, shared);
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) copier.next(s * STAGE_BYTES);

    // What a lane reads of stage 0.
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const unsigned int a_at = shared + warp_m() * A_ROW + place_of_a(g, STEPS * t);
    const unsigned int b_at = shared + warp_n() * 64 + place_of_b(g, t);
    const unsigned int scales_at = shared + SCALES_AT + (warp_n() + g) * SCALES + t;

    float sums[N_STEPS][M_STEPS][4] = {};
    Codes codes;
    Rows rows[2];
    copy_async_wait<STAGES - 2>();
    __syncthreads();
    codes.load(b_at, scales_at, 0);
    rows[0].load(a_at, 0, 0);

    unsigned int read = 0, write = (STAGES - 1) * STAGE_BYTES;
    for (int stage = begin; stage < end; ++stage) {
#pragma unroll
        for (int i = 0; i < PLANES * STEPS; ++i) {
            const int next = (i + 1) % (PLANES * STEPS);
            const Weights weights(codes, i % STEPS);
            if (next == 0) {
                // The next stage has arrived, for all threads; and all have read this one.
                copy_async_wait<STAGES - 2>();
                __syncthreads();
                write = read;
                read = next_stage<STAGE_BYTES>(read);
            }
            if (next % STEPS == 0) codes.load(b_at + read, scales_at + read, next / STEPS);
            rows[(i + 1) % 2].load(a_at + read, next / STEPS, next % STEPS);
            if (i == 0) copier.next(write);
            rows[i % 2].multiply_into(sums, weights);
        }
    }

    if (gridDim.y > 1 && !add_parts(sums, partial, arrived)) return;
    store(sums, of, origin, c);
}
