// A stage of gemm_mma_sm80.cu in shared memory: how the block copies it there and how a warp reads it.
//
// A row of TILE_M + TILE_N rows is ROW_BYTES long. Its 16-byte chunks are permuted by the row's number, so that 8 rows'
// chunks at the same k, which ldmatrix reads at once, lie in different banks, as do the chunks that 8 threads write.
//
// Scales of blocks follow, four to a word along k; the words of 32 rows at the same k are in the order of the lanes that
// hold them (ptx/mma_scaled.cuh): lane l has row l / 4 + 8 (l % 4), for A and B alike.
#pragma once
#include "gemm_mma_format.cuh"
#include "gemm_block.cuh"
#include "ptx/bits.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/memory.cuh"

constexpr int M_STEPS = WARP_M / 16, N_STEPS = WARP_N / 8, K_STEPS = ROW_BYTES / 32;

constexpr int CHUNKS = ROW_BYTES / 16;              // of a row
constexpr int ROWS_AT_ONCE = THREADS / CHUNKS;      // that the block copies
constexpr int A_COPIES = (TILE_M + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
constexpr int B_COPIES = (TILE_N + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;

constexpr int BLOCK = BLOCK_BYTES ? BLOCK_BYTES : ROW_BYTES;                      // what may be divided by
constexpr int SCALE_WORDS = BLOCK_BYTES ? ROW_BYTES / BLOCK / 4 : 0;              // of a row
constexpr int WORDS_OR_ONE = SCALE_WORDS ? SCALE_WORDS : 1;
constexpr int A_SCALE_ROWS = TILE_M < 32 ? 32 : TILE_M;
constexpr int A_SCALES = A_SCALE_ROWS * SCALE_WORDS, SCALES = A_SCALES + TILE_N * SCALE_WORDS;
constexpr int SCALE_COPIES = (SCALES + THREADS - 1) / THREADS;

constexpr int A_BYTES = TILE_M * ROW_BYTES, B_BYTES = TILE_N * ROW_BYTES;
constexpr int STAGE_BYTES = A_BYTES + B_BYTES + 4 * SCALES;

static_assert(ROW_BYTES == 64 || ROW_BYTES == 128 || ROW_BYTES == 256, "the permutation is made for these");
static_assert(ROWS_AT_ONCE % 8 == 0, "a thread's rows must be permuted alike");
static_assert(TILE_M % (16 * WARPS_M) == 0 && TILE_N % (16 * WARPS_N) == 0, "a warp reads 16 rows at once");
static_assert(!BLOCK_BYTES || (SCALE_WORDS > 0 && WARP_N % 32 == 0 && (WARP_M % 32 == 0 || TILE_M == 16)),
              "a scale register holds 32 rows");

// Where chunk `chunk` of row `row` lies in an operand's part of a stage.
__device__ __forceinline__ unsigned int permuted(int row, int chunk) {
    const int key = ROW_BYTES == 64 ? row / 2 % 4 : row % 8;
    return row * ROW_BYTES + (chunk ^ key) * 16;
}

// What a thread copies: its chunks of one stage after the other. Rows past the last are the last: their products are not
// stored. Chunks past `end` are zero.
struct Copier {
    const unsigned char *a, *b, *a_scale, *b_scale;             // of the next stage: the block's first row
    unsigned int a_offset[A_COPIES], b_offset[B_COPIES];        // from there to this thread's chunks
    unsigned int scale_offset[SCALE_COPIES ? SCALE_COPIES : 1]; // and to its words of scales
    unsigned int to, scales_to;                                 // where they go in stage 0
    int row, left;                                              // first row; bytes from the chunk to the end

    // Copies bytes begin .. end of each row.
    __device__ Copier(const Operands& of, int2 origin, int begin, int end, unsigned int shared) {
        const int chunk = threadIdx.x % CHUNKS;
        row = threadIdx.x / CHUNKS;
        left = end - begin - 16 * chunk;
        a = of.a + (size_t)origin.x * of.a_pitch + begin;
        b = of.b + (size_t)origin.y * of.a_pitch + begin;
        to = shared + permuted(row, chunk);
#pragma unroll
        for (int i = 0; i < A_COPIES; ++i) {
            a_offset[i] = min(row + i * ROWS_AT_ONCE, of.m - 1 - origin.x) * of.a_pitch + 16 * chunk;
        }
#pragma unroll
        for (int i = 0; i < B_COPIES; ++i) {
            b_offset[i] = min(row + i * ROWS_AT_ONCE, of.n - 1 - origin.y) * of.a_pitch + 16 * chunk;
        }
        if constexpr (BLOCK_BYTES > 0) {
            const int pitch = (of.a_pitch / BLOCK + 15) / 16 * 16;
            a_scale = of.a_scale + (size_t)origin.x * pitch + begin / BLOCK;
            b_scale = of.b_scale + (size_t)origin.y * pitch + begin / BLOCK;
            scales_to = shared + A_BYTES + B_BYTES + 4 * threadIdx.x;
#pragma unroll
            for (int i = 0; i < SCALE_COPIES; ++i) {
                const int word = threadIdx.x + i * THREADS, lane = word % 32, k = word / 32 % WORDS_OR_ONE;
                const int rows = (word < A_SCALES ? word : word - A_SCALES) / 32 / WORDS_OR_ONE * 32;
                const int last = (word < A_SCALES ? of.m - origin.x : of.n - origin.y) - 1;
                scale_offset[i] = min(rows + lane / 4 + lane % 4 * 8, last) * pitch + 4 * k;
            }
        }
    }

    // Starts to copy the next stage to where `stage` bytes lie before it.
    __device__ __forceinline__ void next(unsigned int stage) {
        const int bytes = left > 0 ? 16 : 0;
#pragma unroll
        for (int i = 0; i < A_COPIES; ++i) {
            if (TILE_M % ROWS_AT_ONCE == 0 || row + i * ROWS_AT_ONCE < TILE_M) {
                copy_async_16(to + stage + i * ROWS_AT_ONCE * ROW_BYTES, a + a_offset[i], bytes);
            }
        }
#pragma unroll
        for (int i = 0; i < B_COPIES; ++i) {
            if (TILE_N % ROWS_AT_ONCE == 0 || row + i * ROWS_AT_ONCE < TILE_N) {
                copy_async_16(to + stage + A_BYTES + i * ROWS_AT_ONCE * ROW_BYTES, b + b_offset[i], bytes);
            }
        }
        if constexpr (BLOCK_BYTES > 0) {
            // A word spans chunks of other threads: it is wanted while the stage's first chunk is.
            const int wanted = left + 16 * (int)(threadIdx.x % CHUNKS) > 0 ? 4 : 0;
#pragma unroll
            for (int i = 0; i < SCALE_COPIES; ++i) {
                const int word = threadIdx.x + i * THREADS;
                if (SCALES % THREADS == 0 || word < SCALES) {
                    copy_async_4(scales_to + stage + 4 * i * THREADS, (word < A_SCALES ? a_scale : b_scale) + scale_offset[i],
                                 wanted);
                }
            }
            a_scale += 4 * SCALE_WORDS;
            b_scale += 4 * SCALE_WORDS;
        }
        a += ROW_BYTES;
        b += ROW_BYTES;
        left -= ROW_BYTES;
        copy_async_commit();
    }
};

// A warp's operands of one step of 32 bytes along k.
struct Fragments {
    unsigned int a[M_STEPS][4], b[N_STEPS / 2][4];
    unsigned int a_scale[(M_STEPS + 1) / 2], b_scale[(N_STEPS + 3) / 4];

    // From a stage, whose addresses for this lane are `a_at` and `b_at` for step 0, `scale_at` for its scales.
    __device__ __forceinline__ void load(unsigned int a_at, unsigned int b_at, unsigned int scale_at, int step) {
        // The permutation is an exclusive or, and so is the step: it commutes.
#pragma unroll
        for (int m = 0; m < M_STEPS; ++m) load_matrix_4(a[m], (a_at ^ step * 32) + m * 16 * ROW_BYTES);
#pragma unroll
        for (int n = 0; n < N_STEPS / 2; ++n) load_matrix_4(b[n], (b_at ^ step * 32) + n * 16 * ROW_BYTES);
        if constexpr (BLOCK_BYTES > 0) {
            const unsigned int word = step * (32 / BLOCK) / 4;
#pragma unroll
            for (int m = 0; m < (M_STEPS + 1) / 2; ++m) {
                a_scale[m] = load_shared(scale_at + 128 * (((warp_m() / 32) + m) * SCALE_WORDS + word));
            }
#pragma unroll
            for (int n = 0; n < (N_STEPS + 3) / 4; ++n) {
                b_scale[n] = load_shared(scale_at + 4 * A_SCALES + 128 * (((warp_n() / 32) + n) * SCALE_WORDS + word));
            }
        }
    }

    __device__ __forceinline__ void multiply_into(Sum (&sums)[M_STEPS][N_STEPS][4], int step) const {
        const int byte = step * (32 / BLOCK) % 4;
#pragma unroll
        for (int m = 0; m < M_STEPS; ++m) {
#pragma unroll
            for (int n = 0; n < N_STEPS; ++n) {
                multiply(sums[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1], a_scale[m / 2], m, b_scale[n / 4], n,
                         byte);
            }
        }
    }
};
