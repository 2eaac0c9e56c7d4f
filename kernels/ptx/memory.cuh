// Loads and stores with the cache hints of streaming access: one instruction a function.
#pragma once

// 16 bytes, read-only, not kept in L1: every byte is used once.
__device__ __forceinline__ uint4 load_streaming(const uint4* address) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address));
    return v;
}

// 16 bytes, evict first: nothing reads them again soon.
__device__ __forceinline__ void store_streaming(uint4* address, uint4 v) {
    asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
}

// As the host wrote it last, whatever was read before.
__device__ __forceinline__ unsigned int load_volatile(const unsigned int* address) {
    unsigned int v;
    asm volatile("ld.volatile.global.u32 %0, [%1];" : "=r"(v) : "l"(address) : "memory");
    return v;
}

// One word of shared memory, by its 32-bit address.
__device__ __forceinline__ unsigned int load_shared(unsigned int address) {
    unsigned int v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
    return v;
}

// Two bytes of shared memory, by their 32-bit address.
__device__ __forceinline__ unsigned int load_shared_half(unsigned int address) {
    unsigned short v;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(address) : "memory");
    return v;
}

// One byte of shared memory, by its 32-bit address.
__device__ __forceinline__ unsigned int load_shared_byte(unsigned int address) {
    unsigned int v;
    asm volatile("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
    return v;
}

// 8 bytes of shared memory, by their 32-bit address.
__device__ __forceinline__ float2 load_shared_2(unsigned int address) {
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address) : "memory");
    return v;
}

// 16 bytes of shared memory, by their 32-bit address.
__device__ __forceinline__ void load_shared_4(unsigned int (&v)[4], unsigned int address) {
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"(address)
                 : "memory");
}

// 8 bytes to shared memory, by their address there.
__device__ __forceinline__ void store_shared(unsigned int address, float2 v) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(v.x), "f"(v.y) : "memory");
}

// 16 bytes, kept in the second-level cache only.
__device__ __forceinline__ uint4 load_second_level(const uint4* address) {
    uint4 v;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address)
                 : "memory");
    return v;
}

// 4 bytes, kept in the second-level cache only.
__device__ __forceinline__ unsigned int load_second_level(const unsigned int* address) {
    unsigned int v;
    asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(v) : "l"(address) : "memory");
    return v;
}

// 4 bytes, kept in every cache.
__device__ __forceinline__ unsigned int load_cached(const unsigned int* address) {
    unsigned int v;
    asm volatile("ld.global.ca.u32 %0, [%1];" : "=r"(v) : "l"(address) : "memory");
    return v;
}
