// The 32 bits of a value, unchanged.
#pragma once

__device__ __forceinline__ unsigned int bits(float value) { return __float_as_uint(value); }

__device__ __forceinline__ unsigned int bits(int value) { return (unsigned int)value; }
