// C = A B^T on mma.sync: c[i, j] = sum over k of a[i, k] b[j, k], times the rows' scales where the format has them.
//
//   a, b        m and n rows of a_pitch = b_pitch bytes, a multiple of 16, zero from k's last element on; bf16, int8, fp8
//               E4M3, or E2M1 two a byte, low nibble first
//   a_scale     int8, fp8: one f32 a row. mxfp8, mxfp4: one E8M0 byte per 32 elements, rows of a_pitch / 32 or / 16
//   b_scale     bytes, padded to a multiple of 16 with bytes that are not NaN (255). bf16: not read
//   c           m x n f32, row-major
//   partial     gridDim.y > 1: gridDim.x * gridDim.y * TILE_M * TILE_N words
//   arrived     gridDim.y > 1: gridDim.x counters, zero before and after
//
// Macros: the format (gemm_mma_format.cuh), TILE_M, TILE_N, ROW_BYTES, STAGES, WARPS_M, WARPS_N. Grid: tiles of C x parts
// of k; block: 32 * WARPS_M * WARPS_N threads; dynamic shared memory: STAGES * STAGE_BYTES.
//
// Why this shape: a block keeps STAGES - 1 stages of ROW_BYTES of each of its rows on their way by cp.async, so that
// memory's latency is never waited for; while the tensor cores work on one 32-byte step, ldmatrix fetches the next, so
// that neither is shared memory's. A warp reads (WARP_M + WARP_N) x 32 bytes for WARP_M x WARP_N x 32: the larger, the fewer
// bytes an operation, up to what registers hold. Few tiles and a long k: gridDim.y blocks share a tile, and the last to
// arrive adds up. With TILE_M = 16 it is the decode kernel: all of A's rows in one tile, so that B streams through once.
//
// Traffic: a and b once for each n / TILE_N and m / TILE_M, less what L2 keeps; c once.
#include "gemm_mma_tile.cuh"

// Scales the sums and writes those that are in C.
__device__ __forceinline__ void store(const Sum (&sums)[M_STEPS][N_STEPS][4], const Operands& of, int2 origin, float* c) {
    const int lane = threadIdx.x % 32;
    const int first_row = origin.x + warp_m() + lane / 4;
    const int first_column = origin.y + warp_n() + lane % 4 * 2;
    const float *row_scale = reinterpret_cast<const float*>(of.a_scale),
                *column_scale = reinterpret_cast<const float*>(of.b_scale);
#pragma unroll
    for (int n = 0; n < N_STEPS; ++n) {
        const int column = first_column + 8 * n;
        if (column >= of.n) continue;
        const bool both = column + 1 < of.n;
        const float scale0 = ROW_SCALED ? column_scale[column] : 1, scale1 = ROW_SCALED && both ? column_scale[column + 1] : 1;
#pragma unroll
        for (int half = 0; half < 2 * M_STEPS; ++half) {
            const int row = first_row + 8 * half;
            if (row >= of.m) continue;
            const float scale = ROW_SCALED ? row_scale[row] : 1;
            const Sum* sum = sums[half / 2][n] + half % 2 * 2;
            float v0 = sum[0], v1 = sum[1];
            if (ROW_SCALED) v0 = v0 * scale * scale0, v1 = v1 * scale * scale1;
            float* to = c + (size_t)row * of.n + column;
            if (of.n % 2 == 0) {
                *reinterpret_cast<float2*>(to) = make_float2(v0, v1);
            } else {
                to[0] = v0;
                if (both) to[1] = v1;
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_mma(Operands of, float* __restrict__ c, uint4* partial, unsigned int* arrived) {
    extern __shared__ __align__(1024) unsigned char stages[];
    const unsigned int shared = shared_address(stages);
    const int2 origin = tile_origin(of.m, of.n);

    // This block's part of k, in stages.
    const int all = (of.a_pitch + ROW_BYTES - 1) / ROW_BYTES;
    const int begin = (int)((long long)all * blockIdx.y / gridDim.y);
    const int end = (int)((long long)all * (blockIdx.y + 1) / gridDim.y);
    Copier copier(of, origin, begin * ROW_BYTES, min(end * ROW_BYTES, of.a_pitch), shared);
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) copier.next(s * STAGE_BYTES);
    opaque(copier.left);  // or the loop would count from before the first stages, at the price of one more addition

    // What a lane's ldmatrix reads of stage 0: of A rows 0-15 at the step's first chunk, then at its second; of B rows 0-7 at
    // both, then rows 8-15.
    const int lane = threadIdx.x % 32;
    const unsigned int a_at = shared + warp_m() * ROW_BYTES + permuted(lane % 16, lane / 16);
    const unsigned int b_at =
        shared + A_BYTES + warp_n() * ROW_BYTES + permuted(lane % 8 + lane / 16 * 8, lane / 8 % 2);
    const unsigned int scale_at = shared + A_BYTES + B_BYTES + 4 * lane;

    Sum sums[M_STEPS][N_STEPS][4] = {};
    Fragments fragments[2];
    copy_async_wait<STAGES - 2>();
    __syncthreads();
    fragments[0].load(a_at, b_at, scale_at, 0);

    unsigned int read = 0, write = (STAGES - 1) * STAGE_BYTES;
    for (int stage = begin; stage < end; ++stage) {
#pragma unroll
        for (int step = 0; step < K_STEPS; ++step) {
            if (step == K_STEPS - 1) {
                // The next stage has arrived, for all threads; and all have read this one.
                copy_async_wait<STAGES - 2>();
                __syncthreads();
                write = read;
                read = next_stage<STAGE_BYTES>(read);
            }
            fragments[(step + 1) % 2].load(a_at + read, b_at + read, scale_at + read, (step + 1) % K_STEPS);
            if (step == 0) copier.next(write);
            fragments[step % 2].multiply_into(sums, step);
        }
    }

    if (gridDim.y > 1 && !add_parts(sums, partial, arrived)) return;
    store(sums, of, origin, c);
}
