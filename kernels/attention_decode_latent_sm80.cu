// Attention of one new token to a latent cache (absorbed MLA): O = softmax(Q K^T / sqrt(D')) V, V the first V_DIM elements
// of the keys themselves; one key/value head serves every query head.
//
//   Q        heads rows of QK_DIM codes
//   K        keys rows of QK_DIM codes; with pages (PAGE > 0), key s is row pages[s / PAGE] * PAGE + s % PAGE
//   scales   int8, fp8: one f32 a row; mxfp4: QK_DIM / 32 E8M0 codes a row; bf16: not read
//   factor   log2(e) / sqrt(D')
//   partial  gridDim.x x heads rows of V_DIM f32: what each split has summed
//   partial_ml
//            gridDim.x x heads float2: the largest score of the split, times log2(e), and its sum of weights
//
// Grid (splits, blocks of ROWS heads): the tiles of KEYS keys are dealt to the splits; `attention_merge` adds up the
// partial results. Traffic: the cache once, and from L2 once more for every further block of heads.
//
// Why this shape: 128 heads on one latent make some 240 operations a byte of bf16, so this is a product that streams. A
// tile lies in shared memory once, as keys for the first product and as values for the second. O of ROWS heads fills
// half of the register file, 128 a thread; ROWS x KEYS scores are divided among WARPS_M x WARPS_N warps along heads and
// keys, O along heads and values, so that weights go through shared memory. The next tiles arrive in the meantime;
// codes other than bf16 are converted exactly, once a tile. Weights, times the key's scale, are rounded to bf16.
//
// FORMAT, QK_DIM and V_DIM (multiples of 64 and 16 x WARPS_N), ROWS (a multiple of 16 x WARPS_M), KEYS (a multiple of 8 x
// WARPS_N), STAGES, WARPS_M, WARPS_N and PAGE (0, or a multiple of KEYS) are defined by the caller.
#include "attention/codes.cuh"
#include "attention/quad.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int WIDE = QK_DIM * 2;                  // bytes of a row as bf16
constexpr int CODES = QK_DIM * BITS / 8;          // bytes of a row in the cache
constexpr int BLOCKS_OF_ROW = QK_DIM / 32;        // mxfp4 blocks
constexpr int SCALE = FORMAT == 0 ? 0 : FORMAT == 3 ? BLOCKS_OF_ROW : 4;  // bytes of scales a row
constexpr int STAGE = (KEYS * (CODES + SCALE) + 15) / 16 * 16;
constexpr int M_TILES = ROWS / WARPS_M / 16, N_TILES = KEYS / WARPS_N / 8, V_TILES = V_DIM / WARPS_N / 8;
// Shared memory: queries, the tile as bf16 where the stages hold codes, weights, maxima, stages.
constexpr int TILE_AT = ROWS * WIDE;
constexpr int WEIGHTS_AT = TILE_AT + (FORMAT == 0 ? 0 : KEYS * WIDE);
constexpr int MAXIMA_AT = WEIGHTS_AT + ROWS * KEYS * 2;
constexpr int STAGES_AT = MAXIMA_AT + WARPS_N * ROWS * 4;

// Where 16-byte piece `piece` of row `row` of bf16 lies: pieces change places within 128 bytes, so that eight lanes that
// read one column of pieces meet no bank twice.
__device__ __forceinline__ int wide_place(int row, int piece) { return row * WIDE + (piece ^ (row % 8)) * 16; }
__device__ __forceinline__ int weight_place(int row, int piece) {
    constexpr int pieces = KEYS / 8, rows = pieces < 8 ? 8 / pieces : 1, turns = pieces < 8 ? pieces : 8;
    return row * KEYS * 2 + (piece ^ (row / rows % turns)) * 16;
}

// Eight codes of a row, in their order, as bf16. `scale`: the E8M0 code of their block, mxfp4 only.
__device__ __forceinline__ uint4 wide(const unsigned char* codes, unsigned int scale) {
    unsigned int r[4];
    if constexpr (FORMAT == 0) return *(const uint4*)codes;
    if constexpr (FORMAT == 1 || FORMAT == 2) {
        const uint2 w = *(const uint2*)codes;
        along(w.x, 0, r);
        along(w.y, 0, r + 2);
    }
    if constexpr (FORMAT == 3) {
        unsigned int halves[4];
        along(*(const unsigned int*)codes, e2m1_factor(scale) * 0x10001, halves);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            r[i] = fma_bf16x2(__byte_perm(halves[i % 2 * 2], halves[i % 2 * 2 + 1], i < 2 ? 0x5410 : 0x7632), BF16_TWO_64, BF16_MINUS_ZERO);
    }
    return make_uint4(r[0], r[1], r[2], r[3]);
}

// COUNT rows of codes to bf16 in their places; rows from `valid` on become zeros.
template <int COUNT>
__device__ __forceinline__ void widen(unsigned char* to, const unsigned char* codes, const unsigned char* scales, int valid) {
#pragma unroll 4
    for (int i = threadIdx.x; i < COUNT * (QK_DIM / 8); i += THREADS) {
        const int row = i / (QK_DIM / 8), piece = i % (QK_DIM / 8);
        uint4 w = make_uint4(0, 0, 0, 0);
        if (row < valid) w = wide(codes + row * CODES + piece * BITS, FORMAT == 3 ? scales[row * BLOCKS_OF_ROW + piece / 4] : 0);
        *(uint4*)(to + wide_place(row, piece)) = w;
    }
}

// Row of the first key of a tile, which lies within a page.
__device__ __forceinline__ long long row_of(const int* pages, int tile) {
    constexpr int tiles = PAGE > 0 ? PAGE / KEYS : 1;
    return (PAGE > 0 ? (long long)pages[tile / tiles] * tiles + tile % tiles : tile) * KEYS;
}

// Starts the copies of a tile into a stage, from its first row on; rows from `valid` on become zeros.
__device__ __forceinline__ void fetch(unsigned int stage, const unsigned char* k, const unsigned char* scales, long long first,
                                      int valid) {
    constexpr int pieces = CODES / 16;
    k += first * CODES;
    scales += first * SCALE;
#pragma unroll 2
    for (int i = threadIdx.x; i < KEYS * pieces; i += THREADS) {
        const int row = i / pieces;
        copy_async_16(stage + (FORMAT == 0 ? wide_place(row, i % pieces) : i * 16), k + i * 16, row < valid ? 16 : 0);
    }
    if constexpr (FORMAT != 0)
        for (int byte = 4 * threadIdx.x; byte < KEYS * SCALE; byte += 4 * THREADS)
            copy_async_4(stage + KEYS * CODES + byte, scales + byte, max(0, min(4, valid * SCALE - byte)));
}

// Scores of this warp's heads and keys: Q K^T without scales.
__device__ __forceinline__ void scores(unsigned int q, unsigned int tile, int lane, float (&s)[M_TILES][N_TILES][4]) {
#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int n = 0; n < N_TILES; ++n) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
#pragma unroll 2
    for (int d = 0; d < QK_DIM; d += 32) {
        unsigned int a[2][M_TILES][4], b[N_TILES][4];
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int m = 0; m < M_TILES; ++m)
                load_matrix_4(a[half][m], q + wide_place(16 * m + lane % 16, d / 8 + 2 * half + lane / 16));
#pragma unroll
        for (int n = 0; n < N_TILES; ++n) load_matrix_4(b[n], tile + wide_place(8 * n + lane % 8, d / 8 + lane / 8));
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int m = 0; m < M_TILES; ++m)
#pragma unroll
                for (int n = 0; n < N_TILES; ++n) mma_bf16(s[m][n], a[half][m], b[n][2 * half], b[n][2 * half + 1]);
    }
}

// Adds the weighted values of a tile. `piece`: the first of this warp's values.
__device__ __forceinline__ void values(unsigned int weights, int row, unsigned int tile, int piece, int lane,
                                       float (&o)[M_TILES][V_TILES][4]) {
#pragma unroll
    for (int key = 0; key < KEYS; key += 16) {
        unsigned int a[M_TILES][4];
#pragma unroll
        for (int m = 0; m < M_TILES; ++m)
            load_matrix_4(a[m], weights + weight_place(row + 16 * m + lane % 16, key / 8 + lane / 16));
#pragma unroll
        for (int n = 0; n < V_TILES; n += 2) {
            unsigned int b[4];
            load_matrix_4_transposed(b, tile + wide_place(key + lane % 16, piece + n + lane / 16));
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) {
                mma_bf16(o[m][n], a[m], b[0], b[1]);
                mma_bf16(o[m][n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
attention_decode_latent(const unsigned char* __restrict__ q, const unsigned char* __restrict__ q_scales,
                        const unsigned char* __restrict__ k, const unsigned char* __restrict__ k_scales,
                        const int* __restrict__ pages, float* __restrict__ partial, float2* __restrict__ partial_ml, int heads,
                        int keys, float factor) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int warp_m = warp / WARPS_N, warp_n = warp % WARPS_N;
    const int row = warp_m * 16 * M_TILES, key = warp_n * 8 * N_TILES;  // this warp's first, within ROWS and KEYS
    const int head = blockIdx.y * ROWS, splits = gridDim.x;
    const int tiles = (keys + KEYS - 1) / KEYS;
    const int first = (int)((long long)tiles * blockIdx.x / splits), last = (int)((long long)tiles * (blockIdx.x + 1) / splits);
    const unsigned int base = shared_address(shared);
    float* maxima = (float*)(shared + MAXIMA_AT);

#pragma unroll
    for (int i = 0; i < STAGES - 1; ++i) {
        const int tile = first + i;
        if (tile < last)
            fetch(base + STAGES_AT + i * STAGE, k, k_scales, row_of(pages, tile), keys - tile * KEYS);
        copy_async_commit();
    }
    widen<ROWS>(shared, q + (long long)head * CODES, q_scales + (long long)head * SCALE, heads - head);

    float row_factor[M_TILES][2], max[M_TILES][2], sum[M_TILES][2], o[M_TILES][V_TILES][4];
#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const int of = head + row + 16 * m + 8 * h + g;
            row_factor[m][h] = factor;
            if constexpr (FORMAT == 1 || FORMAT == 2) row_factor[m][h] *= of < heads ? ((const float*)q_scales)[of] : 0;
            max[m][h] = MINUS_INFINITY;
            sum[m][h] = 0;
#pragma unroll
            for (int n = 0; n < V_TILES; ++n) o[m][n][2 * h] = o[m][n][2 * h + 1] = 0;
        }

    int slot = 0;
    long long next_row = first + STAGES - 1 < last ? row_of(pages, first + STAGES - 1) : 0;
#pragma unroll 1
    for (int tile = first; tile < last; ++tile) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();  // all see the tile, and have read what is overwritten next: a stage, the tile as bf16, weights
        const int next = tile + STAGES - 1;
        if (next < last)
            fetch(base + STAGES_AT + (slot == 0 ? STAGES - 1 : slot - 1) * STAGE, k, k_scales, next_row, keys - next * KEYS);
        copy_async_commit();
        if (next + 1 < last) next_row = row_of(pages, next + 1);  // the table is read by the time it is wanted
        const unsigned char* stage = shared + STAGES_AT + slot * STAGE;
        const float* scales = (const float*)(stage + KEYS * CODES);
        const unsigned int keys_at = base + (FORMAT == 0 ? STAGES_AT + slot * STAGE : TILE_AT);
        const int valid = keys - tile * KEYS;
        if constexpr (FORMAT != 0) {
            widen<KEYS>(shared + TILE_AT, stage, stage + KEYS * CODES, valid);
            __syncthreads();
        }

        float s[M_TILES][N_TILES][4];
        scores(base + row * WIDE, keys_at + key * WIDE, lane, s);
#pragma unroll
        for (int m = 0; m < M_TILES; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float largest = MINUS_INFINITY;
#pragma unroll
                for (int n = 0; n < N_TILES; ++n)
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        float& of = s[m][n][2 * h + i];
                        const int at = key + 8 * n + 2 * t + i;
                        of *= row_factor[m][h];
                        if constexpr (FORMAT == 1 || FORMAT == 2) of *= scales[at];
                        if (at >= valid) of = MINUS_INFINITY;
                        largest = fmaxf(largest, of);
                    }
                largest = quad_max(largest);
                if (t == 0) maxima[warp_n * ROWS + row + 16 * m + 8 * h + g] = largest;
            }
        __syncthreads();
#pragma unroll
        for (int m = 0; m < M_TILES; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int of = row + 16 * m + 8 * h + g;
                float largest = max[m][h];
#pragma unroll
                for (int w = 0; w < WARPS_N; ++w) largest = fmaxf(largest, maxima[w * ROWS + of]);
                if (__any_sync(0xffffffff, largest > max[m][h])) {
                    const float shrink = exp2_approximate(max[m][h] - largest);
                    sum[m][h] *= shrink;
#pragma unroll
                    for (int n = 0; n < V_TILES; ++n) o[m][n][2 * h] *= shrink, o[m][n][2 * h + 1] *= shrink;
                    max[m][h] = largest;
                }
#pragma unroll
                for (int n = 0; n < N_TILES; ++n) {
                    float p[2];
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        p[i] = exp2_approximate(s[m][n][2 * h + i] - largest);
                        sum[m][h] += p[i];
                        if constexpr (FORMAT == 1 || FORMAT == 2) p[i] *= scales[key + 8 * n + 2 * t + i];
                    }
                    *(unsigned int*)(shared + WEIGHTS_AT + weight_place(of, key / 8 + n) + 4 * t) = pack_bf16(p[0], p[1]);
                }
            }
        __syncthreads();
        values(base + WEIGHTS_AT, row, keys_at, warp_n * V_TILES, lane, o);
        slot = slot == STAGES - 1 ? 0 : slot + 1;
    }
    copy_async_wait<0>();
    __syncthreads();  // maxima become sums

#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float total = quad_sum(sum[m][h]);
            if (t == 0) maxima[warp_n * ROWS + row + 16 * m + 8 * h + g] = total;
        }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const int of = row + 16 * m + 8 * h + g;
            if (head + of >= heads) continue;
            const long long at = (long long)blockIdx.x * heads + head + of;
            if (warp_n == 0 && t == 0) {
                float total = 0;
#pragma unroll
                for (int w = 0; w < WARPS_N; ++w) total += maxima[w * ROWS + of];
                partial_ml[at] = make_float2(max[m][h], total);
            }
            float* out = partial + at * V_DIM + warp_n * V_TILES * 8 + 2 * t;
#pragma unroll
            for (int n = 0; n < V_TILES; ++n) *(float2*)(out + 8 * n) = make_float2(o[m][n][2 * h], o[m][n][2 * h + 1]);
        }
}
