// A stage of gemm_dequant_sm80.cu in shared memory: how the block copies it there and how a warp reads it.
//
// A step of a product takes 8 elements along k from each of the four threads that share a row, and a plane is what they read
// of B in 16 bytes each: thread t has the 16-byte chunk t of a plane's 64 bytes of codes, hence 128 / CODE_BITS neighbours
// along k, and of A the same elements. The order of k within a plane is thus the threads', in A and B alike; the sum does
// not notice.
//
// B lies plane after plane, 64 bytes a row, rows of odd planes in pairs that change places: neither 8 threads that read
// a plane of two rows nor 8 that write two planes of one meet a bank twice. A lies row after row, its chunks permuted to
// the same end. Scales, if there are any, follow, four to a word, a word a plane: one byte for each of the four threads.
#pragma once
#include "gemm_dequant_format.cuh"
#include "gemm_block.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"

constexpr int N_STEPS = WARP_N / 16, M_STEPS = WARP_M / 8;
constexpr int STEPS = 16 / CODE_BITS;            // of a plane
constexpr int A_PLANE = 64 * 16 / CODE_BITS;     // bytes of a row of A that meet 64 bytes of B
constexpr int A_ROW = PLANES * A_PLANE, B_ROW = PLANES * 64;
constexpr int SCALES = ROW_SCALED ? 0 : 4 * PLANES;  // bytes a row of B

constexpr int A_CHUNKS = A_ROW / 16, B_CHUNKS = B_ROW / 16;                  // of a row
constexpr int A_AT_ONCE = THREADS / A_CHUNKS, B_AT_ONCE = THREADS / B_CHUNKS;  // rows that the block copies
constexpr int A_COPIES = (TILE_M + A_AT_ONCE - 1) / A_AT_ONCE, B_COPIES = (TILE_N + B_AT_ONCE - 1) / B_AT_ONCE;
constexpr int SCALE_COPIES = SCALES ? (TILE_N + THREADS - 1) / THREADS : 0;

constexpr int B_AT = TILE_M * A_ROW, SCALES_AT = B_AT + TILE_N * B_ROW;
constexpr int STAGE_BYTES = SCALES_AT + TILE_N * SCALES;

static_assert(TILE_N % (16 * WARPS_N) == 0 && TILE_M % (8 * WARPS_M) == 0, "a product is of 16 rows of B and 8 of A");
static_assert(PLANES == 1 || PLANES == 2 || PLANES == 4, "scales of a row are copied at once");
static_assert(A_AT_ONCE % 2 == 0 && B_AT_ONCE % 2 == 0, "a thread's rows must be permuted alike");

// Where chunk `chunk` of row `row` lies in A's part of a stage: four threads of each of two rows read chunks that lie STEPS
// apart.
__device__ __forceinline__ unsigned int place_of_a(int row, int chunk) {
    return row * A_ROW + (chunk ^ row % 2 ^ (STEPS == 4 ? chunk / 8 % 2 * 2 : 0)) * 16;
}

// The same for B.
__device__ __forceinline__ unsigned int place_of_b(int row, int chunk) {
    const int plane = chunk / 4;
    return B_AT + plane * TILE_N * 64 + (row ^ plane % 2) * 64 + chunk % 4 * 16;
}

// What a thread copies: its chunks of one stage after the other. Rows of A past the last are zeros, which cost no traffic;
// those of B are the last, and their products are not stored. Chunks past the end of k are zero.
struct Copier {
    const unsigned char *a, *b, *scales;                         // of the next stage: the block's first row
    unsigned int a_offset[A_COPIES], b_offset[B_COPIES];         // from there to this thread's chunks
    unsigned int scale_offset[SCALE_COPIES ? SCALE_COPIES : 1];  // and to its scales
    unsigned int a_to, b_to, scales_to;                          // where they go in stage 0
    int rows, a_left, b_left;                                    // rows of A from the first chunk's; bytes to the end

    // Copies the stages from `begin` to `end`.
    __device__ Copier(const Operands& of, int2 origin, int begin, int end, unsigned int shared) {
        const int a_row = threadIdx.x / A_CHUNKS, a_chunk = threadIdx.x % A_CHUNKS;
        const int b_row = threadIdx.x / B_CHUNKS, b_chunk = threadIdx.x % B_CHUNKS;
        rows = of.m - origin.x - a_row;
        a_left = min(end * A_ROW, of.a_pitch) - begin * A_ROW - 16 * a_chunk;
        b_left = min(end * B_ROW, of.b_pitch) - begin * B_ROW - 16 * b_chunk;
        a = of.a + (size_t)origin.x * of.a_pitch + begin * A_ROW;
        b = of.b + (size_t)origin.y * of.b_pitch + begin * B_ROW;
        a_to = shared + place_of_a(a_row, a_chunk);
        b_to = shared + place_of_b(b_row, b_chunk);
#pragma unroll
        for (int i = 0; i < A_COPIES; ++i)
            a_offset[i] = min(a_row + i * A_AT_ONCE, of.m - 1 - origin.x) * of.a_pitch + 16 * a_chunk;
#pragma unroll
        for (int i = 0; i < B_COPIES; ++i)
            b_offset[i] = min(b_row + i * B_AT_ONCE, of.n - 1 - origin.y) * of.b_pitch + 16 * b_chunk;
        if constexpr (SCALES > 0) {
            const int pitch = (of.b_pitch / 16 + 15) / 16 * 16;
            scales = of.b_scale + (size_t)origin.y * pitch + begin * SCALES;
            scales_to = shared + SCALES_AT + threadIdx.x * SCALES;
#pragma unroll
            for (int i = 0; i < SCALE_COPIES; ++i)
                scale_offset[i] = min((int)threadIdx.x + i * THREADS, of.n - 1 - origin.y) * pitch;
        }
    }

    // Starts to copy the next stage to where `stage` bytes lie before it.
    __device__ __forceinline__ void next(unsigned int stage) {
#pragma unroll
        for (int i = 0; i < A_COPIES; ++i)
            if (TILE_M % A_AT_ONCE == 0 || (int)threadIdx.x / A_CHUNKS + i * A_AT_ONCE < TILE_M)
                copy_async_16(a_to + stage + i * A_AT_ONCE * A_ROW, a + a_offset[i],
                              a_left > 0 && i * A_AT_ONCE < rows ? 16 : 0);
#pragma unroll
        for (int i = 0; i < B_COPIES; ++i)
            if (TILE_N % B_AT_ONCE == 0 || (int)threadIdx.x / B_CHUNKS + i * B_AT_ONCE < TILE_N)
                copy_async_16(b_to + stage + i * B_AT_ONCE * 64, b + b_offset[i], b_left > 0 ? 16 : 0);
        if constexpr (SCALES > 0) {
            // Of a row's first chunk: scales are wanted while that is.
            const int wanted = b_left + 16 * (int)(threadIdx.x % B_CHUNKS) > 0;
#pragma unroll
            for (int i = 0; i < SCALE_COPIES; ++i)
                if (TILE_N % THREADS == 0 || threadIdx.x + i * THREADS < TILE_N)
                    copy_async<SCALES>(scales_to + stage + i * THREADS * SCALES, scales + scale_offset[i], wanted * SCALES);
            scales += SCALES;
        }
        a += A_ROW;
        b += B_ROW;
        a_left -= A_ROW;
        b_left -= B_ROW;
        copy_async_commit();
    }
};

// A warp's codes of B of one plane, and what each thread multiplies those of its block by: of rows g + 8 n.
struct Codes {
    unsigned int words[2 * N_STEPS][4], factor[ROW_SCALED ? 1 : 2 * N_STEPS];

    // From a stage, whose addresses for this lane's row are `b_at` for plane 0 and `scales_at`.
    __device__ __forceinline__ void load(unsigned int b_at, unsigned int scales_at, int plane) {
#pragma unroll
        for (int n = 0; n < 2 * N_STEPS; ++n) {
            load_shared_4(words[n], (b_at ^ plane % 2 * 64) + plane * TILE_N * 64 + n * 8 * 64);
            if constexpr (!ROW_SCALED) factor[n] = scale_factor(load_shared_byte(scales_at + n * 8 * SCALES + plane * 4));
        }
    }
};

// The codes of one step as bf16: operand A of the two instructions that multiply them.
struct Weights {
    unsigned int of[N_STEPS][2][4];

    __device__ __forceinline__ Weights(const Codes& codes, int step) {
#pragma unroll
        for (int n = 0; n < 2 * N_STEPS; ++n) {
            unsigned int r[4];
            expand(codes.words[n] + step * CODE_WORDS, codes.factor[ROW_SCALED ? 0 : n], r);
#pragma unroll
            for (int i = 0; i < 4; ++i) of[n / 2][i / 2][i % 2 * 2 + n % 2] = r[i];
        }
    }
};

// A warp's rows of A of one step: eight neighbours along k of rows g + 8 m, operand B of both instructions.
struct Rows {
    unsigned int words[M_STEPS][4];

    // From a stage, whose address for this lane's row is `a_at` for plane 0 and step 0.
    __device__ __forceinline__ void load(unsigned int a_at, int plane, int step) {
        // The permutation is an exclusive or, and so is the step: they commute.
        const unsigned int at = (a_at ^ step * 16) + plane * A_PLANE;
#pragma unroll
        for (int m = 0; m < M_STEPS; ++m) load_shared_4(words[m], at + m * 8 * A_ROW);
    }

    // Adds the products with the same step of B.
    __device__ __forceinline__ void multiply_into(float (&sums)[N_STEPS][M_STEPS][4], const Weights& weights) const {
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int n = 0; n < N_STEPS; ++n)
#pragma unroll
                for (int m = 0; m < M_STEPS; ++m)
                    mma_bf16(sums[n][m], weights.of[n][half], words[m][2 * half], words[m][2 * half + 1]);
    }
};
