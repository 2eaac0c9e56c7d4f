// The 32 bits of a value, unchanged. No instruction.
#pragma once

__device__ __forceinline__ unsigned int bits(float value) { return __float_as_uint(value); }

__device__ __forceinline__ unsigned int bits(int value) { return (unsigned int)value; }

// The same value, but the compiler can't know that: what is computed from it must be computed again.
__device__ __forceinline__ void opaque(unsigned int& value) { asm volatile("" : "+r"(value)); }
__device__ __forceinline__ void opaque(int& value) { asm volatile("" : "+r"(value)); }
