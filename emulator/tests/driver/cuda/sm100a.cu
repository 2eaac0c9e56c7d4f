// For the driver's tests: a tcgen05 product, from tensor copies to tensor memory and back.

struct alignas(64) TensorMap {
    unsigned long long words[16];
};

__device__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }

__device__ void wait_for(unsigned barrier) {
    unsigned done = 0;
    while (!done) {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(barrier) : "memory");
    }
}

__device__ void copy_tile(unsigned shared, const TensorMap* map, unsigned barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {0, 0}], [%2];"
                 ::"r"(shared), "l"(map), "r"(barrier) : "memory");
}

__device__ unsigned long long descriptor(unsigned shared) {
    // K-major, 128-byte swizzle (2 in bits 61-63), version 1, groups of eight rows 1024 bytes apart.
    return (shared >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 46 | 2ull << 61;
}

// c[128][16] = a[128][64] * b[16][64]^T in bf16; 128 threads.
extern "C" __global__ void gemm_tcgen05(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c) {
    __shared__ alignas(1024) unsigned char sa[128 * 128], sb[16 * 128];
    __shared__ alignas(8) unsigned long long loaded, multiplied;
    __shared__ unsigned slot;
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const unsigned bar_loaded = shared_address(&loaded), bar_multiplied = shared_address(&multiplied);
    if (warp == 0) {
        asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], 32;" ::"r"(shared_address(&slot)) : "memory");
        asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;");
    }
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar_loaded) : "memory");
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar_multiplied) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
    __syncthreads();
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    const unsigned tensor = slot;
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar_loaded), "r"((unsigned)(sizeof(sa) + sizeof(sb))) : "memory");
        copy_tile(shared_address(sa), &a, bar_loaded);
        copy_tile(shared_address(sb), &b, bar_loaded);
        wait_for(bar_loaded);
        // f32 accumulator, bf16 operands, N = 16, M = 128.
        const unsigned shape = 1 << 4 | 1 << 7 | 1 << 10 | 16 / 8 << 17 | 128 / 16 << 24;
        for (int k = 0; k < 4; ++k) {
            asm volatile("{ .reg .pred p; setp.ne.u32 p, %4, 0; tcgen05.mma.cta_group::1.kind::f16 [%0], %1, %2, %3, p; }"
                         ::"r"(tensor), "l"(descriptor(shared_address(sa) + k * 32)), "l"(descriptor(shared_address(sb) + k * 32)),
                         "r"(shape), "r"(k) : "memory");
        }
        asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(bar_multiplied) : "memory");
    }
    __syncwarp();
    wait_for(bar_multiplied);
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    unsigned d[16];
    asm volatile("tcgen05.ld.sync.aligned.32x32b.x16.b32 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, [%16];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]), "=r"(d[7]), "=r"(d[8]),
                   "=r"(d[9]), "=r"(d[10]), "=r"(d[11]), "=r"(d[12]), "=r"(d[13]), "=r"(d[14]), "=r"(d[15])
                 : "r"(tensor + (warp * 32 << 16)));
    asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
    for (int n = 0; n < 16; ++n) c[(warp * 32 + lane) * 16 + n] = __uint_as_float(d[n]);
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
    __syncthreads();
    if (warp == 0) asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, 32;" ::"r"(tensor));
}
