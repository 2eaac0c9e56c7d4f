// For the driver's tests: one element a thread, and a tile product with asynchronous copies, ldmatrix and mma.

extern "C" __global__ void axpy(float* y, const float* x, float a, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}

__device__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }

__device__ void copy_16(void* shared, const void* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}

// c[16][8] = a[16][k] * b[8][k]^T in bf16, one warp, two stages.
extern "C" __global__ void gemm_bf16(float* c, const unsigned short* a, const unsigned short* b, int k) {
    __shared__ __align__(16) unsigned short sa[2][16 * 16], sb[2][8 * 16];
    const int lane = threadIdx.x, row = lane / 2, half = lane % 2 * 8, steps = k / 16;
    auto load = [&](int step) {
        const int stage = step & 1, at = step * 16 + half;
        copy_16(&sa[stage][row * 16 + half], a + row * k + at);
        if (row < 8) copy_16(&sb[stage][row * 16 + half], b + row * k + at);
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    float d[4] = {0, 0, 0, 0};
    load(0);
    for (int step = 0; step < steps; ++step) {
        if (step + 1 < steps) {
            load(step + 1);
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncwarp();
        unsigned ra[4], rb[2];
        const unsigned pa = shared_address(&sa[step & 1][(lane % 16) * 16 + lane / 16 * 8]);
        const unsigned pb = shared_address(&sb[step & 1][(lane % 8) * 16 + lane / 8 % 2 * 8]);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(ra[0]), "=r"(ra[1]), "=r"(ra[2]), "=r"(ra[3]) : "r"(pa));
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(rb[0]), "=r"(rb[1]) : "r"(pb));
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                     "{%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]));
        __syncwarp();
    }
    for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}
