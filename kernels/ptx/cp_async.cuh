// Asynchronous copies from global to shared memory (sm_80 up): one instruction a function.
#pragma once

// A generic pointer into shared memory as the 32-bit address that the instructions take.
__device__ __forceinline__ unsigned int shared_address(const void* pointer) {
    return (unsigned int)__cvta_generic_to_shared(pointer);
}

// 16 bytes past L1; of the source only the first `bytes` (0 to 16) are read, zeros take the place of the rest.
__device__ __forceinline__ void copy_async_16(unsigned int to, const void* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

// 8 bytes; zeros after the first `bytes`.
__device__ __forceinline__ void copy_async_8(unsigned int to, const void* from, int bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

// 4 bytes; zeros after the first `bytes`.
__device__ __forceinline__ void copy_async_4(unsigned int to, const void* from, int bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

// BYTES bytes, 4, 8 or 16; zeros after the first `bytes`.
template <int BYTES>
__device__ __forceinline__ void copy_async(unsigned int to, const void* from, int bytes) {
    if constexpr (BYTES == 4) copy_async_4(to, from, bytes);
    if constexpr (BYTES == 8) copy_async_8(to, from, bytes);
    if constexpr (BYTES == 16) copy_async_16(to, from, bytes);
}

// Closes the group of copies that this thread issued since the last commit.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most N of this thread's groups, the latest ones, are still under way.
template <int N>
__device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
