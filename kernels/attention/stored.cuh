// Where attention_prefill_sm80.cu has its tiles of keys and values from: as they are multiplied, or stored in a narrower
// format, copied as they are stored and expanded by the block to bf16, exactly.
//
//   STORED 2  fp8 E4M3; the f32 factor a row is applied to scores and weights
//   STORED 3  mxfp4: E2M1 code x 2^(scale - 127) x 2^-64, exact for scales from 2^-61 to 2^65; queries have 2^64 back at
//             once, scores and sums in the end. Greater scales, and the one that is no number, read as infinite
//
// A thread takes eight codes of a row at a time, which become one 16-byte piece: neighbours read neighbours and write the
// pieces of one row, so that neither meets a bank twice.
#pragma once
#include "attention/tile.cuh"
#include "codes.cuh"

constexpr bool EXPANDED = STORED != FORMAT;
constexpr int STORED_BITS = STORED == 3 ? 4 : 8;
constexpr float EXPANDED_FACTOR = STORED == 3 ? 0x1p64f : 1;  // what an expanded number is to be multiplied by

// COUNT rows of WIDTH elements as they are stored: codes, then, of mxfp4, the scales of all rows.
template <int WIDTH, int COUNT>
struct StoredTile {
    static constexpr int CODES = WIDTH * STORED_BITS / 8, SCALES = STORED == 3 ? WIDTH / 32 : 0;  // bytes a row
    static constexpr int SIZE = COUNT * (CODES + SCALES);
    static_assert(COUNT * CODES % 16 == 0 && COUNT * SCALES % 4 == 0, "copied in whole pieces");

    // Expands rows from anywhere to a tile of bf16; with ZEROS, those from `valid` on become zeros; with WHOLE, what has been
    // multiplied by 2^-64 has it back.
    template <bool ZEROS, bool WHOLE>
    static __device__ __forceinline__ void expand(unsigned char* to, const unsigned char* codes, const unsigned char* scales,
                                                  int valid) {
        using Wide = Tile<WIDTH * 2, COUNT>;
        constexpr int pieces = COUNT * WIDTH / 8, words = STORED_BITS / 4;
        static_assert(pieces % THREADS == 0, "every thread expands as often");
#pragma unroll 4
        for (int round = 0; round < pieces / THREADS; ++round) {
            const int i = round * THREADS + threadIdx.x, row = i / (WIDTH / 8), piece = i % (WIDTH / 8);
            unsigned int r[4] = {0, 0, 0, 0};
            if (!ZEROS || row < valid) {
                const unsigned int* w = (const unsigned int*)codes + i * words;
                if constexpr (STORED == 2) {
                    const uint2 both = *(const uint2*)w;
                    const unsigned int of[2] = {both.x, both.y};
                    expand_e4m3(of, r);
                } else {
                    expand_e2m1(*w, e2m1_factor(scales[i / 4]) * 0x10001, r);
                    if constexpr (WHOLE)
#pragma unroll
                        for (int e = 0; e < 4; ++e) r[e] = fma_bf16x2(r[e], BF16_TWO_64, BF16_MINUS_ZERO);
                }
            }
            *(uint4*)(to + Wide::further(Wide::place(row, piece % Wide::PIECES), piece / Wide::PIECES * Wide::PIECES)) =
                make_uint4(r[0], r[1], r[2], r[3]);
        }
    }
};

// The tiles of COUNT rows that follow each other in memory.
template <int WIDTH, int COUNT, bool = EXPANDED>
struct Source : Copies<WIDTH * ELEMENT, COUNT> {
    __device__ __forceinline__ Source(unsigned char* tile, unsigned char*, const unsigned char* rows, const unsigned char*,
                                      long long first)
        : Copies<WIDTH * ELEMENT, COUNT>(shared_address(tile), rows + first * WIDTH * ELEMENT) {}

    template <bool ZEROS>
    __device__ __forceinline__ void arrived(int) const {}
};

// Those that are expanded pass through a stage.
template <int WIDTH, int COUNT>
struct Source<WIDTH, COUNT, true> {
    using Stored = StoredTile<WIDTH, COUNT>;
    unsigned char *tile, *stage;
    const unsigned char *codes, *scales;

    __device__ __forceinline__ Source(unsigned char* tile, unsigned char* stage, const unsigned char* codes,
                                      const unsigned char* scales, long long first)
        : tile(tile), stage(stage), codes(codes + first * Stored::CODES), scales(scales + first * Stored::SCALES) {}

    // Starts the copies of the next tile to the stage.
    template <bool ZEROS>
    __device__ __forceinline__ void next(int) {
        copy<Stored::CODES * COUNT / 16, 16>(0, codes);
        copy<Stored::SCALES * COUNT / 4, 4>(Stored::CODES * COUNT, scales);
    }

    template <int PIECES, int BYTES>
    __device__ __forceinline__ void copy(int at, const unsigned char*& from) const {
#pragma unroll
        for (int i = 0; i < PIECES; i += THREADS) {
            const int piece = i + threadIdx.x;
            if (PIECES % THREADS == 0 || piece < PIECES)
                copy_async<BYTES>(shared_address(stage) + at + piece * BYTES, from + piece * BYTES, BYTES);
        }
        from += PIECES * BYTES;
    }

    // Expands what has arrived, after which the stage is free; with ZEROS, rows from `valid` on become zeros.
    template <bool ZEROS>
    __device__ __forceinline__ void arrived(int valid) const {
        Stored::template expand<ZEROS, false>(tile, stage, stage + Stored::CODES * COUNT, valid);
        __syncthreads();
    }
};
