// What a warp of attention_prefill_sm80.cu does with one tile of keys after the other: scores, softmax, weighted values.
#pragma once
constexpr int THREADS = 32 * WARPS;
#include "attention/prefill_format.cuh"
#include "attention/quad.cuh"
#include "attention/stored.cuh"
#include "attention/tile.cuh"
#include "ptx/memory.cuh"

constexpr int ROWS = 16 * MT * WARPS;
using QTile = Tile<QK * ELEMENT, ROWS>;
using KTile = Tile<QK * ELEMENT, KEYS>;
using VTile = Tile<VD * ELEMENT, KEYS>;

// The warp's queries, loaded once where they are few enough to stay in registers, and for every tile where not.
struct Queries {
    unsigned int place;  // of the lane's row
    unsigned int held[HOLD ? QK * ELEMENT / 32 : 1][MT][4];

    __device__ __forceinline__ void load(int step, unsigned int (&a)[MT][4]) const {
#pragma unroll
        for (int m = 0; m < MT; ++m) load_matrix_4(a[m], QTile::further(place, 2 * step) + m * 16 * QTile::PLANE);
    }

    __device__ __forceinline__ void of(int step, unsigned int (&a)[MT][4]) const {
        if constexpr (HOLD) {
#pragma unroll
            for (int i = 0; i < 4 * MT; ++i) a[i / 4][i % 4] = held[step][i / 4][i % 4];
        } else {
            load(step, a);
        }
    }
};

// What a warp has summed: of 16 m + g and 16 m + g + 8, its queries.
struct Sums {
    Accumulated o[MT][VD / 8][4];  // weighted values
    float max[MT][2];              // the largest score, times its factor
    float sum[MT][2];              // weights of this thread's keys

    // Takes `larger` for the largest scores, where they are larger. Integers are rounded: by half of what one weight's
    // smallest step gives for the smallest code.
    __device__ __forceinline__ void rescale(const float (&larger)[MT][2]) {
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const float largest = fmaxf(larger[m][h], max[m][h]), shrink = exp2_approximate(max[m][h] - largest);
                sum[m][h] *= shrink;
#pragma unroll
                for (int i = 0; i < VD / 4; ++i) scale(o[m][i / 2][2 * h + i % 2], shrink);
                max[m][h] = largest;
            }
    }

    static __device__ __forceinline__ void scale(float& of, float by) { of *= by; }
    static __device__ __forceinline__ void scale(int& of, float by) { of = __float2int_rn(of * by); }
};

// What the steps over tiles of keys share.
struct Step {
    Source<QK, KEYS> k;
    Source<VD, KEYS> v;
    unsigned int k_place, v_place;                  // of the lane's rows
    unsigned int k_scales_at, v_scales_at;          // in shared memory
    const unsigned char *k_scales, *v_scales;       // of the next tiles
    int keys, tiles, sees, lane;                    // `sees`: the last key that the warp's last query sees
    float factor[SCALED ? MT : 1][2];               // of the queries: all that scores are multiplied by
    float levels;                                   // log2 of what weights are multiplied by before they are rounded

    __device__ __forceinline__ float factor_of(int m, int h) const { return factor[SCALED ? m : 0][SCALED ? h : 0]; }

    // Starts the copy of the scales of a tile; those from `valid` on become zeros.
    static __device__ __forceinline__ void next_scales(unsigned int to, const unsigned char*& from, int valid) {
        if constexpr (SCALED) {
            static_assert(KEYS <= THREADS, "a thread a key");
            const int key = threadIdx.x;
            if (key < KEYS) copy_async_4(to + 4 * key, from + 4 * key, key < valid ? 4 : 0);
            from += 4 * KEYS;
        }
    }

    // s = Q K^T for the warp's queries and KEYS keys, times the keys' scales.
    __device__ __forceinline__ void scores(const Queries& q, float (&s)[MT][KEYS / 8][4]) const {
        Accumulated sums[MT][KEYS / 8][4];
#pragma unroll
        for (int i = 0; i < MT * KEYS / 2; ++i) sums[i / (KEYS / 2)][i / 4 % (KEYS / 8)][i % 4] = empty_score();
#pragma unroll
        for (int step = 0; step < QK * ELEMENT / 32; ++step) {
            unsigned int a[MT][4];
            q.of(step, a);
#pragma unroll
            for (int n = 0; n < KEYS / 16; ++n) {
                unsigned int b[4];
                load_matrix_4(b, KTile::further(k_place, 2 * step) + n * 16 * KTile::PLANE);
#pragma unroll
                for (int m = 0; m < MT; ++m) {
                    multiply(sums[m][2 * n], a[m], b[0], b[1]);
                    multiply(sums[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n) {
            float2 scale = make_float2(1, 1);
            if constexpr (SCALED) scale = load_shared_2(k_scales_at + 32 * n + lane % 4 * 8);
#pragma unroll
            for (int m = 0; m < MT; ++m)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    s[m][n][i] = score(sums[m][n][i]);
                    if constexpr (SCALED) s[m][n][i] *= i % 2 == 0 ? scale.x : scale.y;
                }
        }
    }

    // Scores of keys that a query does not see become minus infinity.
    __device__ __forceinline__ void mask(int key, float (&s)[MT][KEYS / 8][4]) const {
        const int last = sees - 16 * MT + 1;  // that the warp's first query sees
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int column = key + 8 * n + 2 * (lane % 4) + i % 2;
                    if (column > last + 16 * m + lane / 4 + i / 2 * 8 || column >= keys) s[m][n][i] = MINUS_INFINITY;
                }
    }

    // The largest scores, times their factor; whether one is larger than before for any query of the warp.
    __device__ __forceinline__ bool larger(const float (&s)[MT][KEYS / 8][4], const Sums& sums, float (&max)[MT][2]) const {
        bool any = false;
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float largest = s[m][0][2 * h];
#pragma unroll
                for (int n = 0; n < KEYS / 8; ++n) largest = fmaxf(largest, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
                max[m][h] = quad_max(largest) * factor_of(m, h);
                any |= max[m][h] > sums.max[m][h];
            }
        return __any_sync(0xffffffff, any);
    }

    // The first half of a tile, up to its scores: K is under way when it starts, V and the next K when it ends. The rows
    // behind the last key are read, too: of K they are masked, of V they become zeros.
    template <bool MASKED>
    __device__ __forceinline__ void begin(int tile, const Queries& queries, float (&s)[MT][KEYS / 8][4]) {
        const int key = tile * KEYS;
        copy_async_wait<0>();
        __syncthreads();  // K has arrived, and V has been used
        k.arrived<false>(KEYS);
        v.next<MASKED>(keys - key);
        next_scales(v_scales_at, v_scales, keys - key);
        copy_async_commit();
        if (!MASKED || key <= sees) scores(queries, s);
        copy_async_wait<0>();
        __syncthreads();  // V has arrived, and K has been used
        v.arrived<MASKED>(keys - key);
        if (tile + 1 < tiles) {
            k.next<false>(0);
            next_scales(k_scales_at, k_scales, keys - key - KEYS);
        }
        copy_async_commit();
    }

    // The second half, with the largest scores known: scores to weights, and O += P V.
    __device__ __forceinline__ void end(float (&s)[MT][KEYS / 8][4], Sums& sums) const {
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
            for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const float bias = SCALED ? levels - sums.max[m][i / 2] : -sums.max[m][i / 2];
                    s[m][n][i] = exp2_approximate(fmaf(s[m][n][i], factor_of(m, i / 2), bias));
                    sums.sum[m][i / 2] += s[m][n][i];
                }
#pragma unroll
        for (int step = 0; step < KEYS / STEP_KEYS; ++step) {
            constexpr int products = STEP_KEYS / 8;
            float scale[products][2];
            if constexpr (SCALED)
#pragma unroll
                for (int n = 0; n < products; ++n)
                    *(float2*)scale[n] = load_shared_2(v_scales_at + (step * products + n) * 32 + lane % 4 * 8);
            unsigned int a[MT][4];
#pragma unroll
            for (int m = 0; m < MT; ++m) pack(s[m] + step * products, scale, a[m]);
#pragma unroll
            for (int n = 0; n < VD / 16; ++n) {
                unsigned int b[2][2];
                load_values(VTile::further(v_place, ELEMENT * n) + step * STEP_KEYS * VTile::PLANE, b);
#pragma unroll
                for (int m = 0; m < MT; ++m) {
                    multiply(sums.o[m][2 * n], a[m], b[0][0], b[0][1]);
                    multiply(sums.o[m][2 * n + 1], a[m], b[1][0], b[1][1]);
                }
            }
        }
    }

    // The tiles up to `whole`, which every query sees whole. The largest scores grow in the first tiles and rarely later:
    // that is no part of the inner loop.
    __device__ __forceinline__ void unmasked(int whole, const Queries& queries, Sums& sums) {
        int tile = 0;
        while (tile < whole) {
            float s[MT][KEYS / 8][4], max[MT][2];
#pragma unroll 1
            while (true) {
                begin<false>(tile++, queries, s);
                if (larger(s, sums, max) || tile == whole) break;
                end(s, sums);
            }
            sums.rescale(max);
            end(s, sums);
        }
    }

    // The tiles behind `whole`.
    __device__ __forceinline__ void masked(int whole, const Queries& queries, Sums& sums) {
#pragma unroll 1
        for (int tile = whole; tile < tiles; ++tile) {
            float s[MT][KEYS / 8][4], max[MT][2];
            begin<true>(tile, queries, s);
            if (tile * KEYS > sees) continue;  // the warp only helps to copy
            mask(tile * KEYS, s);
            if (larger(s, sums, max)) sums.rescale(max);
            end(s, sums);
        }
    }
};
