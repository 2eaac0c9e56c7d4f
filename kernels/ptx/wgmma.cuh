// Matrix products by a warpgroup, four consecutive warps (sm_90a): one instruction a function.
//
// D[64, N] (+)= A[64, 32 bytes] B[N, 32 bytes]^T, A and B in shared memory with K along the row, asynchronously. Row and
// column of accumulator i of a thread: 16 (warp % 4) + lane / 4 + 8 (i / 2 % 2) and 8 (i / 4) + 2 (lane % 4) + i % 2.
#pragma once

// Accumulators and shared memory, as written so far, are seen by the products that follow.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a group of products.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most LEFT groups are under way.
template <int LEFT>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// Orders ordinary writes to shared memory before reads of it by products and tensor copies.
__device__ __forceinline__ void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Descriptor of a matrix with rows of 128 bytes of k, one after the other, in the 128-byte swizzle: chunk c of 16 bytes of
// row r is at c ^ (r % 8). `address` is where the first row starts, a multiple of 1024, plus 32 for each step along k.
__device__ __forceinline__ unsigned long long wgmma_descriptor(unsigned int address) {
    constexpr unsigned long long SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = (1024ull >> 4) << 32, UNUSED = 1ull << 16;
    return SWIZZLE_128 | EIGHT_ROWS | UNUSED | (address & 0x3ffff) >> 4;
}

// The same of a pointer to shared memory.
__device__ __forceinline__ unsigned long long wgmma_descriptor(const void* address) {
    return wgmma_descriptor((unsigned int)__cvta_generic_to_shared(address));
}

// Operands of the instruction: the names of 64 or 128 accumulators, and the accumulators.
#define WGMMA_NAMES_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_NAMES_128 \
    WGMMA_NAMES_64 \
    ", " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define WGMMA_4(kind, d, i) kind(d[i]), kind(d[i + 1]), kind(d[i + 2]), kind(d[i + 3])
#define WGMMA_16(kind, d, i) WGMMA_4(kind, d, i), WGMMA_4(kind, d, i + 4), WGMMA_4(kind, d, i + 8), WGMMA_4(kind, d, i + 12)
#define WGMMA_64(kind, d, i) \
    WGMMA_16(kind, d, i), WGMMA_16(kind, d, i + 16), WGMMA_16(kind, d, i + 32), WGMMA_16(kind, d, i + 48)
#define WGMMA_128(kind, d, i) WGMMA_64(kind, d, i), WGMMA_64(kind, d, i + 64)

// One instruction: `a` and `b` from wgmma_descriptor; adds to D where `add` is not 0, else overwrites it.
#define WGMMA(name, type, kind, count, first, second, third, instruction, tail)                                        \
    __device__ __forceinline__ void name(type(&d)[count], unsigned long long a, unsigned long long b, int add) {       \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" third ", 0;\n"                                               \
                     "wgmma.mma_async.sync.aligned." instruction " {" WGMMA_NAMES_##count "}, %" first ", %" second    \
                     ", p" tail ";\n}"                                                                                 \
                     : WGMMA_##count(kind, d, 0)                                                                       \
                     : "l"(a), "l"(b), "r"(add));                                                                      \
    }

WGMMA(wgmma_bf16, float, "+f", 64, "64", "65", "66", "m64n128k16.f32.bf16.bf16", ", 1, 1, 0, 0")
WGMMA(wgmma_bf16, float, "+f", 128, "128", "129", "130", "m64n256k16.f32.bf16.bf16", ", 1, 1, 0, 0")
WGMMA(wgmma_fp8, float, "+f", 64, "64", "65", "66", "m64n128k32.f32.e4m3.e4m3", ", 1, 1")
WGMMA(wgmma_fp8, float, "+f", 128, "128", "129", "130", "m64n256k32.f32.e4m3.e4m3", ", 1, 1")
WGMMA(wgmma_int8, int, "+r", 64, "64", "65", "66", "m64n128k32.s32.s8.s8", "")
WGMMA(wgmma_int8, int, "+r", 128, "128", "129", "130", "m64n256k32.s32.s8.s8", "")

#undef WGMMA
#undef WGMMA_NAMES_64
#undef WGMMA_NAMES_128
#undef WGMMA_4
#undef WGMMA_16
#undef WGMMA_64
#undef WGMMA_128
