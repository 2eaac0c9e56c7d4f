// Clocks of the device: one instruction a function.
#pragma once

// Nanoseconds of the timer that all multiprocessors share; its resolution is about a microsecond.
__device__ __forceinline__ unsigned long long global_nanoseconds() {
    unsigned long long t;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)::"memory");
    return t;
}

// Clock cycles of this multiprocessor.
__device__ __forceinline__ unsigned long long multiprocessor_cycles() {
    unsigned long long t;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(t)::"memory");
    return t;
}
