// How fast the multiprocessor's clock runs: reads it beside the timer that counts nanoseconds, before and after `turns` turns
// of doing nothing.
//
//   clocks  {cycles, nanoseconds} between the two
//
// One thread; about a tenth of a millisecond for 4096 turns, since the timer moves only once a microsecond on some chips.
#include "ptx/clock.cuh"

extern "C" __global__ void clock_rate(unsigned int turns, unsigned long long* clocks) {
    const unsigned long long nanoseconds = global_nanoseconds(), cycles = multiprocessor_cycles();
    unsigned long long now = cycles;
    for (unsigned int turn = 0; turn < turns; ++turn) now = multiprocessor_cycles();
    clocks[0] = now - cycles;
    clocks[1] = global_nanoseconds() - nanoseconds;
}
