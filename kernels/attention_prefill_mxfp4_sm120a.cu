// Causal attention of a chunk of queries, all products in mxfp4: O = softmax(Q K^T / sqrt(QK) + mask) V, per query head,
// f32 out.
//
//   Q        heads x queries rows of QK codes, blocks of 32 along the row, head after head
//   K        kv_heads x stride rows of QK codes; the first `keys` of a head's rows are its keys
//   V        transposed: kv_heads x VD rows of `stride` codes, blocks of 32 along keys
//   scales   E8M0. Of Q and K: SCALES a row, QK / 32 of them used. Of V: for 128 keys after the other, a word of four
//            blocks a row
//   O        heads x queries rows of VD f32
//   factor   log2(e) / sqrt(QK)
//   group    query heads that share a key/value head
//
// Query i sees keys 0 to keys - queries + i. Behind the last key K and V may hold anything. Grid (heads, query blocks), a
// block of WARPS warps for 16 queries each; the last queries, who have most to do, start first. Traffic: Q and O once, K and
// V once a query block, from L2.
//
// Why V is transposed: an instruction scales blocks along what it sums over, which in P V is keys.
//
// Why keys are permuted: what the first product leaves in a thread is columns 2t and 2t + 1 of eight keys; what operand A of
// the second wants there is 8t to 8t + 7 of 32 keys. So column 2t + i of the n-th eight of 32 is key 8t + 2n + i: addresses of
// ldmatrix, which cost nothing; weights then never leave their thread.
//
// Weights are rounded to mxfp4 (attention/mxfp4_weights.cuh). The second product also multiplies them by ones: their sum.
//
// QK and VD (multiples of 64), WARPS and BLOCKS (a multiprocessor) are defined by the caller.
constexpr int THREADS = 32 * WARPS;
#include "attention/mxfp4_tile.cuh"
#include "attention/mxfp4_weights.cuh"
#include "attention/quad.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma_scaled.cuh"

constexpr int ROWS = 16 * WARPS;
constexpr int KEYS = 128;  // a tile: as many blocks as a word has scales
constexpr int SCALES = QK > 128 ? 8 : QK / 32;
constexpr int STEPS = QK / 64;
using QCopies = PlaneCopies<ROWS, STEPS>;
using KCopies = PlaneCopies<KEYS, STEPS>;
using VCopies = PlaneCopies<VD, KEYS / 64>;
constexpr int K_SCALES_AT = KCopies::SIZE + VCopies::SIZE, V_SCALES_AT = K_SCALES_AT + KEYS * SCALES;
constexpr int STAGE = V_SCALES_AT + VD * 4;  // bytes; there are two
constexpr unsigned int ONES = 0x22222222, SCALE_ONE = 0x7f7f7f7f;  // E2M1 and E8M0
static_assert(QCopies::SIZE <= STAGE, "queries arrive in the second stage");

// The scales of a row of Q or K.
struct RowScales {
    unsigned int words[SCALES > 4 ? 2 : 1];
};

// What the steps over tiles of keys share, and what a warp has summed: of g and g + 8, its queries.
struct Warp {
    KCopies k;
    VCopies v;
    const unsigned char *k_scales, *v_scales;  // pieces of this thread
    unsigned int at, both;                     // this tile's stage in shared memory, and the sum of both
    unsigned int k_place, v_place;             // of the lane's rows, in a tile
    unsigned int k_scale_at, v_scale_at;       // of the lane's rows, in a stage
    int keys, tiles, sees, lane;               // `sees`: the last key that the warp's last query sees
    long long pitch;                           // bytes of a row of V
    float factor;
    unsigned int q[STEPS][4];
    RowScales q_scales;
    float o[VD / 8][4];  // weighted values
    float sum[4];        // weights; 0 and 2 are used
    float row[2];        // the levels by which they are scaled

    // Starts the copies of the next tile, to `stage`.
    __device__ __forceinline__ void next(unsigned int stage) {
        constexpr int k_pieces = KEYS * SCALES / 16, v_pieces = VD / 4;
        static_assert(k_pieces <= THREADS && v_pieces <= THREADS, "a thread a piece");
        const int thread = threadIdx.x;
        k.start(stage, QK / 2, KEYS);
        v.start(stage, pitch, VD);
        if (thread < k_pieces) copy_async_16(stage + K_SCALES_AT + thread * 16, k_scales, 16);
        if (thread < v_pieces) copy_async_16(stage + V_SCALES_AT + thread * 16, v_scales, 16);
        k.from += KEYS * QK / 2;
        v.from += KEYS / 2;
        k_scales += KEYS * SCALES;
        v_scales += VD * 4;
    }

    __device__ __forceinline__ RowScales load_scales(unsigned int at) const {
        RowScales scales;
        if constexpr (SCALES == 2) scales.words[0] = load_shared_half(at);
        if constexpr (SCALES == 4) scales.words[0] = load_shared(at);
        if constexpr (SCALES == 8) {
            const float2 both = load_shared_2(at);
            scales.words[0] = __float_as_uint(both.x), scales.words[SCALES > 4] = __float_as_uint(both.y);
        }
        return scales;
    }

    // s = Q K^T for the warp's queries: element 2h + i of s[4n' + n] is of query g + 8h and key 32n' + 8t + 2n + i.
    __device__ __forceinline__ void scores(float (&s)[KEYS / 8][4]) const {
#pragma unroll
        for (int block = 0; block < KEYS / 32; ++block) {
            const RowScales scales = load_scales(at + k_scale_at + block * 32 * SCALES);
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) s[4 * block + n][i] = 0;
#pragma unroll
            for (int step = 0; step < STEPS; ++step)
#pragma unroll
                for (int pair = 0; pair < 2; ++pair) {
                    unsigned int b[4];
                    load_matrix_4(b, at + (k_place ^ pair * 16) + pair * 128 + block * 32 * PLANE + step * KEYS * PLANE);
#pragma unroll
                    for (int n = 0; n < 2; ++n)
                        mma_mxfp4(s[4 * block + 2 * pair + n], q[step], b[2 * n], b[2 * n + 1], q_scales.words[step / 2], 0,
                                  scales.words[step / 2], 2 * pair + n, step % 2 * 2);
                }
        }
    }

    // Scores of keys that a query does not see become minus infinity.
    __device__ __forceinline__ void mask(int key, float (&s)[KEYS / 8][4]) const {
        const int last = sees - 15 + lane / 4;
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int column = key + n / 4 * 32 + lane % 4 * 8 + n % 4 * 2 + i % 2;
                if (column > last + i / 2 * 8 || column >= keys) s[n][i] = MINUS_INFINITY;
            }
    }

    // The level of each block; whether one is far above those of its row, for any query of the warp.
    template <bool MASKED>
    __device__ __forceinline__ bool levels(const float (&s)[KEYS / 8][4], float (&level)[2][4]) const {
        bool any = false;
#pragma unroll
        for (int h = 0; h < 2; ++h)
#pragma unroll
            for (int block = 0; block < 4; ++block) {
                float largest = s[4 * block][2 * h];
#pragma unroll
                for (int i = 1; i < 8; ++i) largest = fmaxf(largest, s[4 * block + i / 2][2 * h + i % 2]);
                level[h][block] = level_of(quad_max(largest) * factor);
                if constexpr (MASKED) level[h][block] = fmaxf(level[h][block], LOWEST_LEVEL);
                any |= level[h][block] > row[h] + SLACK;
            }
        return __any_sync(0xffffffff, any);
    }

    // Scales rows by their largest levels, where those are larger.
    __device__ __forceinline__ void rescale(const float (&level)[2][4]) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float largest = row[h];
#pragma unroll
            for (int block = 0; block < 4; ++block) largest = fmaxf(largest, level[h][block]);
            const float shrink = power(row[h], largest);
            sum[2 * h] *= shrink;
#pragma unroll
            for (int i = 0; i < VD / 4; ++i) o[i / 2][2 * h + i % 2] *= shrink;
            row[h] = largest;
        }
    }

    // Scores to weights, and O += P V.
    template <bool MASKED>
    __device__ __forceinline__ void weigh(int valid, float (&s)[KEYS / 8][4], const float (&level)[2][4]) {
        // Lanes of even t hold the scales of row g, those of odd t of row g + 8.
        const bool odd = lane & 1;
        float mine[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) mine[i] = odd ? level[1][i] : level[0][i];
        const unsigned int p_scales = scales_of(mine, odd ? row[1] : row[0]);
        unsigned int v_scale[VD / 32];
#pragma unroll
        for (int n = 0; n < VD / 32; ++n) {
            v_scale[n] = load_shared(at + v_scale_at + n * 128);
            // Scales of blocks behind the last key may be no numbers.
            if constexpr (MASKED) v_scale[n] &= valid >= 97 ? 0xffffffff : (1u << (valid + 31) / 32 * 8) - 1;
        }
#pragma unroll
        for (int step = 0; step < KEYS / 64; ++step) {
            unsigned int a[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int block = 2 * step + i / 2, h = i % 2;
                const float bias = LEVEL - level[h][block];
                float p[8];
#pragma unroll
                for (int e = 0; e < 8; ++e) p[e] = exp2_approximate(fmaf(s[4 * block + e / 2][2 * h + e % 2], factor, bias));
                a[i] = pack_e2m1(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
            }
            mma_mxfp4(sum, a, ONES, ONES, p_scales, 0, SCALE_ONE, 0, 2 * step);
#pragma unroll
            for (int pair = 0; pair < VD / 16; ++pair) {
                unsigned int b[4];
                load_matrix_4(b, at + KCopies::SIZE + (v_place ^ pair % 2 * 64) + pair * 16 * PLANE + step * VD * PLANE);
#pragma unroll
                for (int n = 0; n < 2; ++n)
                    mma_mxfp4(o[2 * pair + n], a, b[2 * n], b[2 * n + 1], p_scales, 0, v_scale[pair / 2], pair % 2 * 2 + n,
                              2 * step);
            }
        }
    }

    // Waits for a tile and starts the next; its scores.
    template <bool MASKED>
    __device__ __forceinline__ void begin(int tile, float (&s)[KEYS / 8][4]) {
        copy_async_wait<0>();
        __syncthreads();  // this tile has arrived, and the one before has been used
        if (tile + 1 < tiles) next(at);
        at = both - at;
        copy_async_commit();
        if (!MASKED || tile * KEYS <= sees) scores(s);
    }

    // The tiles up to `whole`, which every query sees whole. Levels grow in the first tiles and rarely later: that is no part
    // of the inner loop.
    __device__ __forceinline__ void unmasked(int whole) {
        int tile = 0;
        while (tile < whole) {
            float s[KEYS / 8][4], level[2][4];
#pragma unroll 1
            while (true) {
                begin<false>(tile++, s);
                if (levels<false>(s, level) || tile == whole) break;
                weigh<false>(KEYS, s, level);
            }
            rescale(level);
            weigh<false>(KEYS, s, level);
        }
    }

    // The tiles behind `whole`.
    __device__ __forceinline__ void masked(int whole) {
#pragma unroll 1
        for (int tile = whole; tile < tiles; ++tile) {
            float s[KEYS / 8][4], level[2][4];
            begin<true>(tile, s);
            if (tile * KEYS > sees) continue;  // the warp only helps to copy
            mask(tile * KEYS, s);
            if (levels<true>(s, level)) rescale(level);
            weigh<true>(keys - tile * KEYS, s, level);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attention_prefill_mxfp4(const unsigned char* __restrict__ q, const unsigned char* __restrict__ q_scales,
                        const unsigned char* __restrict__ k, const unsigned char* __restrict__ k_scales,
                        const unsigned char* __restrict__ v, const unsigned char* __restrict__ v_scales,
                        float* __restrict__ out, int queries, int keys, int stride, int group, float factor) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int head = blockIdx.x, first = (gridDim.y - 1 - blockIdx.y) * ROWS;
    const int mine = first + warp * 16;  // the warp's first query
    const int before = keys - queries;   // keys that every query sees besides those of the chunk
    const long long kv_head = head / group, q_first = (long long)head * queries;
    const unsigned int base = shared_address(shared);
    // Rows of K for ldmatrix: 8i and 8i + 1 for i = 0 to 3, of the lanes above 16 the next two.
    const int key = lane % 8 / 2 * 8 + lane / 16 * 2 + lane % 2;
    Warp of = {{0, k + kv_head * stride * (QK / 2), QK / 2},
               {KCopies::SIZE, v + kv_head * VD * (stride / 2), stride / 2},
               k_scales + kv_head * stride * SCALES + threadIdx.x * 16,
               v_scales + kv_head * VD * (stride / 32) + threadIdx.x * 16,
               base + STAGE,  // behind the one that the first tile comes to
               2 * base + STAGE,
               place(key, lane / 8 % 2),
               place(lane / 16 * 8 + lane % 8, lane / 8 % 2),
               (unsigned int)(K_SCALES_AT + (g / 2 * 8 + t * 2 + g % 2) * SCALES),
               (unsigned int)(V_SCALES_AT + (t * 8 + g) * 4),
               keys,
               (min(keys, before + first + ROWS) + KEYS - 1) / KEYS,
               before + mine + 15,
               lane,
               stride / 2,
               factor};
    of.row[0] = of.row[1] = LOWEST_LEVEL;

    QCopies(base + STAGE, q + (q_first + first) * (QK / 2), QK / 2).start(0, QK / 2, queries - first);
    of.next(base);
    copy_async_commit();
    const int row = mine + g + t % 2 * 8;  // whose scales the lane holds
#pragma unroll
    for (int word = 0; word < (SCALES > 4 ? 2 : 1); ++word) {
        of.q_scales.words[word] = 0;
        if (row >= queries) continue;
        const unsigned char* at = q_scales + (q_first + row) * SCALES + word * 4;
        of.q_scales.words[word] = SCALES == 2 ? *(const unsigned short*)at : *(const unsigned int*)at;
    }
    copy_async_wait<0>();
    __syncthreads();
#pragma unroll
    for (int step = 0; step < STEPS; ++step)
        load_matrix_4(of.q[step], base + STAGE + place(warp * 16 + lane % 16, lane / 16) + step * ROWS * PLANE);
    const int whole = (before + first + 1) / KEYS;
    of.unmasked(whole);
    of.masked(whole);

#pragma unroll
    for (int h = 0; h < 2; ++h) {
        const int row = mine + g + 8 * h;
        const float scale = 1 / of.sum[2 * h];
        if (row >= queries) continue;
        float* to = out + (q_first + row) * VD + 2 * t;
#pragma unroll
        for (int n = 0; n < VD / 8; ++n)
            *(float2*)(to + 8 * n) = make_float2(of.o[n][2 * h] * scale, of.o[n][2 * h + 1] * scale);
    }
}
