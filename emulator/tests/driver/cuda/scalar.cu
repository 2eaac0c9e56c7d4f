// For the driver's tests: what ordinary kernels are made of: shuffles, reductions, atomics, branches, local arrays.

// One block a row: out[row][i] = exp(x - max) / sum.
extern "C" __global__ void softmax(float* out, const float* in, int columns) {
    __shared__ float partial[32];
    const float* row = in + (long long)blockIdx.x * columns;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    auto across = [&](float value, bool sum) {
        for (int step = 16; step > 0; step /= 2) {
            const float other = __shfl_xor_sync(~0u, value, step);
            value = sum ? value + other : fmaxf(value, other);
        }
        if (lane == 0) partial[warp] = value;
        __syncthreads();
        value = partial[0];
        for (int i = 1; i < warps; ++i) value = sum ? value + partial[i] : fmaxf(value, partial[i]);
        __syncthreads();
        return value;
    };
    float largest = -__int_as_float(0x7f800000), total = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) largest = fmaxf(largest, row[i]);
    largest = across(largest, false);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) total += __expf(row[i] - largest);
    total = across(total, true);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        out[(long long)blockIdx.x * columns + i] = __expf(row[i] - largest) / total;
}

// bins[value % 64] counts, through shared memory; *ballots sums the population counts of ballots over odd values.
extern "C" __global__ void histogram(unsigned* bins, unsigned* ballots, const unsigned* values, int n) {
    __shared__ unsigned mine[64];
    for (int i = threadIdx.x; i < 64; i += blockDim.x) mine[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&mine[values[i] % 64], 1);
    __syncthreads();
    for (int i = threadIdx.x; i < 64; i += blockDim.x) atomicAdd(&bins[i], mine[i]);
    const unsigned odd = __ballot_sync(~0u, values[threadIdx.x] & 1);
    if (threadIdx.x % 32 == 0) atomicAdd(ballots, __popc(odd));
}

__device__ unsigned collatz(unsigned n) {
    unsigned steps = 0;
    while (n != 1) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        ++steps;
    }
    return steps;
}

// Divergent loops, a switch, a local array indexed at run time, 64-bit and double arithmetic.
extern "C" __global__ void mixed(long long* out, int n) {
    const int i = (blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x * blockDim.y + threadIdx.y * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int table[8];
    for (int j = 0; j < 8; ++j) table[j] = (i + j) * (j + 1);
    long long value = collatz(i + 1);
    switch (i % 7) {
        case 0: value += table[i % 8]; break;
        case 1: value -= (long long)i * i; break;
        case 2: value = value << 33 | i; break;
        case 3: value ^= table[(i / 3) % 8]; break;
        case 4: value += (long long)(sqrt((double)i * i) * 3.0); break;
        case 5: value *= -5; break;
        default: value = value / 3 % 1000 + __clz(i) + __ffs(i) + __brev(i) % 17;
    }
    out[i] = value;
}
