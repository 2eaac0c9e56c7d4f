// Latency of a load: one thread follows a chain, each address known only when the load before it has arrived.
//
//   next   words; the word at i is the index of the one after it
//   start  index of the first
//   steps  loads
//   last   the index that the chain has led to
//
// FIRST_LEVEL: whether the first-level cache may keep what is read.
#include "ptx/memory.cuh"

extern "C" __global__ void chase(const unsigned int* next, unsigned int start, unsigned int steps, unsigned int* last) {
    unsigned int i = start;
#pragma unroll 8
    for (unsigned int step = 0; step < steps; ++step) i = FIRST_LEVEL ? load_cached(next + i) : load_second_level(next + i);
    *last = i;
}
