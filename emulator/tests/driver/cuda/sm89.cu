// For the driver's tests: 8-bit products, fragments straight from memory.

#define MMA(NAME, TYPE, ACC, OUT, C)                                                                                       \
    extern "C" __global__ void NAME(OUT* c, const unsigned* a, const unsigned* b) {                                        \
        const int lane = threadIdx.x, g = lane / 4, t = lane % 4;                                                          \
        unsigned ra[4], rb[2];                                                                                             \
        for (int r = 0; r < 4; ++r) ra[r] = a[(g + r % 2 * 8) * 8 + t + r / 2 * 4];                                        \
        for (int r = 0; r < 2; ++r) rb[r] = b[g * 8 + t + r * 4];                                                          \
        OUT d[4] = {0, 0, 0, 0};                                                                                           \
        asm volatile("mma.sync.aligned.m16n8k32.row.col." ACC "." TYPE "." TYPE "." ACC                                    \
                     " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                    \
                     : "+" C(d[0]), "+" C(d[1]), "+" C(d[2]), "+" C(d[3])                                                  \
                     : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]));                            \
        for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = d[i];                                         \
    }

MMA(mma_s8, "s8", "s32", int, "r")
MMA(mma_e4m3, "e4m3", "f32", float, "f")
MMA(mma_e5m2, "e5m2", "f32", float, "f")

// Rounds to e4m3 (saturating) and back, two at a time.
extern "C" __global__ void round_e4m3(float* values, int pairs) {
    const int i = threadIdx.x;
    if (i >= pairs) return;
    unsigned short packed;
    unsigned halves;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(packed) : "f"(values[2 * i + 1]), "f"(values[2 * i]));
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(packed));
    asm("{ .reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h; }"
        : "=f"(values[2 * i]), "=f"(values[2 * i + 1]) : "r"(halves));
}
