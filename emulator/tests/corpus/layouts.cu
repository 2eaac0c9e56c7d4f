// Kernels whose own index arithmetic states the layouts of the PTX ISA, so that a wrong rule in the emulator gives a
// wrong product. One warp or one warpgroup each; no headers, NVRTC compiles this file for each case's target.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;
typedef unsigned char u8;

struct alignas(64) TensorMap {
    u64 words[16];
};

__device__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

__device__ void wait_parity(u32 bar, u32 parity) {
    asm volatile("{ .reg .pred done; W: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; @!done bra W; }"
                 :: "r"(bar), "r"(parity) : "memory");
}

#if defined(SM80)
// out[16][8] = A[16][64] * B[8][64]^T in bf16: a two-stage cp.async pipeline, fragments by ldmatrix.
extern "C" __global__ void mma_bf16(const u16* A, const u16* B, float* out) {
    __shared__ __align__(128) u16 a[2][16][16];
    __shared__ __align__(128) u16 b[2][8][16];
    int lane = threadIdx.x;
    float d[4] = {0, 0, 0, 0};
    auto fetch = [&](int step) {
        int row = lane / 2, half = lane % 2;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(&a[step & 1][row][half * 8])),
                     "l"(A + row * 64 + step * 16 + half * 8));
        if (lane < 16)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(&b[step & 1][row][half * 8])),
                         "l"(B + row * 64 + step * 16 + half * 8));
        asm volatile("cp.async.commit_group;");
    };
    fetch(0);
    for (int step = 0; step < 4; step++) {
        if (step + 1 < 4) {
            fetch(step + 1);
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncwarp();
        u32 ra[4], rb[2];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(ra[0]), "=r"(ra[1]), "=r"(ra[2]), "=r"(ra[3])
                     : "r"(shared_address(&a[step & 1][lane % 16][lane / 16 * 8])) : "memory");
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(rb[0]), "=r"(rb[1])
                     : "r"(shared_address(&b[step & 1][lane % 8][lane / 8 % 2 * 8])) : "memory");
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]));
        __syncwarp();
    }
    for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

// out[16][8] = A[16][32] * B[32][8] in s8, each register filled by the ISA's formula from plain matrices: A one-hot
// along k with B different for each k shows a wrong k order that loads by ldmatrix on both sides would hide.
extern "C" __global__ void mma_s8(const u8* A, const u8* B, int* out) {
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    u32 ra[4] = {0, 0, 0, 0}, rb[2] = {0, 0};
    for (int i = 0; i < 16; i++) {
        int row = (i / 4) % 2 ? g + 8 : g, k = t * 4 + i % 4 + (i >= 8 ? 16 : 0);
        ra[i / 4] |= (u32)A[row * 32 + k] << (8 * (i % 4));
    }
    for (int i = 0; i < 8; i++) rb[i / 4] |= (u32)B[(t * 4 + i % 4 + (i >= 4 ? 16 : 0)) * 8 + g] << (8 * (i % 4));
    int d[4];
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]), "r"(0));
    for (int i = 0; i < 4; i++) out[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = d[i];
}
#endif

#if defined(SM120)
// out[6][16][8]: e4m3 products of ones (k = 32, 1X) and e2m1 products of ones (k = 64, 2X) with scales in every byte
// and thread that selectors can name. SA[16][8], SB[8][8]: one scale for each row or column and selector.
#define MX8(BYTE, THREAD_A, THREAD_B)                                                                                  \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0 " \
                 "{%0,%1,%2,%3}, {%4,%4,%4,%4}, {%4,%4}, {%5,%5,%5,%5}, %6, {" #BYTE ", " #THREAD_A "}, %7, {" #BYTE   \
                 ", " #THREAD_B "};"                                                                                   \
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]) : "r"(0x38383838), "f"(0.0f), "r"(sa), "r"(sb));
#define MX4(BYTE, THREAD_A, THREAD_B)                                                                                    \
    asm volatile("mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 "   \
                 "{%0,%1,%2,%3}, {%4,%4,%4,%4}, {%8,%9}, {%5,%5,%5,%5}, %6, {" #BYTE ", " #THREAD_A "}, %7, {" #BYTE     \
                 ", " #THREAD_B "};"                                                                                     \
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])                                                        \
                 : "r"(0x22222222), "f"(0.0f), "r"(sa), "r"(sb), "r"(0x22222222), "r"(0x44444444));

extern "C" __global__ void mma_scales(const u8* SA, const u8* SB, float* out) {
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    float d[4];
    // Lane 4 g + t provides the scales of row g + 8 (t % 2) for thread-id-a t / 2, of column g for thread-id-b t:
    // four bytes of one matrix row, bytes 4 * selector on.
    u32 sa = *(const u32*)(SA + (g + t % 2 * 8) * 8 + t / 2 * 4), sb = *(const u32*)(SB + g * 16 + t * 4);
    auto put = [&](int which) {
        for (int i = 0; i < 4; i++) out[which * 128 + (g + i / 2 * 8) * 8 + t * 2 + i % 2] = d[i];
    };
    MX8(0, 0, 0) put(0);
    MX8(2, 1, 1) put(1);
    MX8(3, 0, 2) put(2);
    MX8(1, 1, 3) put(3);
    MX4(0, 0, 1) put(4);
    MX4(2, 1, 3) put(5);
}
#endif

#if defined(SM90)
// out[64][64] = A[64][64] * B[64][64]^T in bf16. The tensor maps put both into shared memory with 128-byte swizzle; the
// B of the second half of k is copied by the threads, which swizzle by the formula. The result goes out by a tensor
// store from a plain tile, whose box reaches beyond the tensor.
extern "C" __global__ void wgmma_bf16(const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap out_map,
                                      const u16* B) {
    __shared__ __align__(1024) u16 a[64 * 64];
    __shared__ __align__(1024) u16 b[64 * 64];
    __shared__ __align__(1024) float tile[64 * 64];
    __shared__ __align__(8) u64 bar;
    int thread = threadIdx.x;
    u32 full = shared_address(&bar);
    if (thread == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(full));
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 8192;" :: "r"(full));
        asm volatile("cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %2}], [%3];"
                     :: "r"(shared_address(a)), "l"(&a_map), "r"(0), "r"(full) : "memory");
    }
    for (int chunk = thread; chunk < 64 * 8; chunk += 128) {
        int row = chunk / 8, column = chunk % 8;
        *(uint4*)&b[row * 64 + (column ^ row % 8) * 8] = *(const uint4*)&B[row * 64 + column * 8];
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    wait_parity(full, 0);
    // Start address / 16, LBO 1 (unused), SBO 1024 / 16, 128-byte swizzle = 1 in bits 62 and 63.
    u64 fields = (u64)1 << 62 | (u64)(1024 >> 4) << 32 | (u64)1 << 16;
    u64 da = fields | (shared_address(a) >> 4), db = fields | (shared_address(b) >> 4);
    float d[32];
    for (int i = 0; i < 32; i++) d[i] = 0;
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#define D8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#pragma unroll
    for (int k = 0; k < 4; k++)
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,"
                     "%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, %32, %33, 1, 1, 1, 0, 0;"
                     : D8(0), D8(8), D8(16), D8(24) : "l"(da + 2 * k), "l"(db + 2 * k));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" : D8(0), D8(8), D8(16), D8(24) :: "memory");
    int warp = thread / 32, lane = thread % 32;
    for (int i = 0; i < 32; i++)
        tile[(16 * warp + lane / 4 + 8 * (i / 2 % 2)) * 64 + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = d[i];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (thread == 0) {
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %1}], [%2];"
                     :: "l"(&out_map), "r"(0), "r"(shared_address(tile)) : "memory");
        asm volatile("cp.async.bulk.commit_group;");
        asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
}
#endif

#if defined(SM100)
// out[128][32] = A[128][32] * B[32][32]^T in e4m3 with UE8M0 scales SA[128], SB[32]: operands swizzled by the threads
// (32-byte rows), scales copied to tensor memory by tcgen05.cp, the product read back row by lane.
extern "C" __global__ void tcgen05_mx(const u8* A, const u8* B, const u8* SA, const u8* SB, float* out) {
    __shared__ __align__(1024) u8 a[128 * 32];
    __shared__ __align__(1024) u8 b[32 * 32];
    __shared__ __align__(1024) u8 scales[2][32 * 16];
    __shared__ __align__(8) u64 bar;
    __shared__ u32 address;
    int thread = threadIdx.x;
    if (thread < 32) {
        asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], 64;" :: "r"(shared_address(&address)) : "memory");
        asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;");
    }
    if (thread == 0) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(shared_address(&bar)));
    // Rows of 32 bytes; the 32-byte swizzle exchanges the two 16-byte chunks on every second 128-byte line.
    for (int chunk = thread; chunk < 160 * 2; chunk += 128) {
        int row = chunk / 2, column = chunk % 2;
        const u8* from = row < 128 ? A + row * 32 : B + (row - 128) * 32;
        u8* to = row < 128 ? a + row * 32 : b + (row - 128) * 32;
        *(uint4*)&to[(column ^ row / 4 % 2) * 16] = *(const uint4*)&from[column * 16];
    }
    // Scale of row r: byte 4 (r / 32) of line r % 32, that is lane r % 32, column r / 32, byte 0.
    for (int i = thread; i < 2 * 32 * 16; i += 128) scales[i / 512][i % 512] = 0;
    __syncthreads();
    scales[0][thread % 32 * 16 + thread / 32 * 4] = SA[thread];
    if (thread < 32) scales[1][thread * 16] = SB[thread];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    u32 tensor = address;
    if (thread == 0) {
        // No swizzle, rows of 16 bytes in groups of 8: SBO 128. Version 1 in bits 46 to 48.
        u64 plain = (u64)1 << 46 | (u64)(128 >> 4) << 32 | (u64)1 << 16;
        for (int i = 0; i < 2; i++)
            asm volatile("tcgen05.cp.cta_group::1.32x128b.warpx4 [%0], %1;"
                         :: "r"(tensor + 32 + 4 * i), "l"(plain | (shared_address(scales[i]) >> 4)) : "memory");
        // 32-byte swizzle = 6 in bits 61 to 63, SBO 256.
        u64 fields = (u64)6 << 61 | (u64)1 << 46 | (u64)(256 >> 4) << 32 | (u64)1 << 16;
        u64 da = fields | (shared_address(a) >> 4), db = fields | (shared_address(b) >> 4);
        // A and B E4M3 (0), N / 8 in bits 17 to 22, UE8M0 scales, M / 128 in bits 27 and 28.
        u32 instruction = (32 >> 3) << 17 | 1 << 23 | 1 << 27;
        asm volatile("{ .reg .pred p; mov.pred p, 0;\n"
                     "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale.scale_vec::1X [%0], %1, %2, %3, [%4], [%5], p; }"
                     :: "r"(tensor), "l"(da), "l"(db), "r"(instruction), "r"(tensor + 32), "r"(tensor + 36) : "memory");
        asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" :: "r"(shared_address(&bar)) : "memory");
    }
    __syncthreads();
    wait_parity(shared_address(&bar), 0);
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    u32 row = tensor + (thread / 32 << 21);
    for (int column = 0; column < 32; column += 4) {
        u32 d[4];
        asm volatile("tcgen05.ld.sync.aligned.32x32b.x4.b32 {%0,%1,%2,%3}, [%4];"
                     : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(row + column) : "memory");
        asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
        for (int i = 0; i < 4; i++) ((u32*)out)[thread * 32 + column + i] = d[i];
    }
    __syncthreads();
    if (thread < 32) asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, 64;" :: "r"(tensor));
}
#endif
