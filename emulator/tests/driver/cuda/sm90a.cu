// For the driver's tests: tensor copies (TMA) with a 128-byte swizzle, and wgmma on what they brought.

struct alignas(64) TensorMap {
    unsigned long long words[16];
};

__device__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }

__device__ void wait_for(unsigned barrier, unsigned parity) {
    unsigned done = 0;
    while (!done) {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    }
}

__device__ void copy_tile(unsigned shared, const TensorMap* map, int x, int y, unsigned barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 ::"r"(shared), "l"(map), "r"(x), "r"(y), "r"(barrier) : "memory");
}

__device__ void start_barrier(unsigned barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ void expect(unsigned barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// out[64][64] = the tile of 64 x 64 16-bit elements whose corner is (x, y); beyond the tensor zeros.
extern "C" __global__ void tile(const __grid_constant__ TensorMap map, unsigned short* out, int x, int y) {
    __shared__ alignas(1024) unsigned char data[64 * 128];
    __shared__ alignas(8) unsigned long long barrier;
    const unsigned bar = shared_address(&barrier);
    if (threadIdx.x == 0) start_barrier(bar);
    __syncthreads();
    if (threadIdx.x == 0) {
        expect(bar, sizeof(data));
        copy_tile(shared_address(data), &map, x, y, bar);
    }
    wait_for(bar, 0);
    for (int i = threadIdx.x; i < 64 * 64; i += blockDim.x) {
        const int row = i / 64, column = i % 64;
        const int at = row * 128 + ((column / 8) ^ (row % 8)) * 16 + column % 8 * 2;
        out[i] = *(const unsigned short*)(data + at);
    }
}

__device__ unsigned long long descriptor(unsigned shared) {
    // K-major, 128-byte swizzle: rows of 128 bytes, groups of eight rows 1024 bytes apart.
    return (shared >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// c[64][8] = a[64][64] * b[8][64]^T in bf16: one warpgroup, both operands by tensor copy.
extern "C" __global__ void gemm_wgmma(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c) {
    __shared__ alignas(1024) unsigned char sa[64 * 128], sb[8 * 128];
    __shared__ alignas(8) unsigned long long barrier;
    const unsigned bar = shared_address(&barrier);
    if (threadIdx.x == 0) start_barrier(bar);
    __syncthreads();
    if (threadIdx.x == 0) {
        expect(bar, sizeof(sa) + sizeof(sb));
        copy_tile(shared_address(sa), &a, 0, 0, bar);
        copy_tile(shared_address(sb), &b, 0, 0, bar);
    }
    wait_for(bar, 0);
    float d[4] = {0, 0, 0, 0};
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int k = 0; k < 4; ++k) {
        const unsigned long long da = descriptor(shared_address(sa) + k * 32), db = descriptor(shared_address(sb) + k * 32);
        asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(da), "l"(db));
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int i = 0; i < 4; ++i) c[(warp * 16 + lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}
