// Holds the stream until the host opens the gate, so that everything behind it is queued before the first of it runs
// and the host's launch latency is not timed.
//
//   open        host memory: 0 while closed, anything else when open
//   patience    nanoseconds after which the gate opens by itself: a host that died must not hang the device
//   timed_out   set to 1 in that case: what was timed behind the gate then includes launch latency
//
// One thread; moves no data to speak of.
#include "ptx/clock.cuh"
#include "ptx/memory.cuh"

extern "C" __global__ void gate(const unsigned int* open, unsigned long long patience, unsigned int* timed_out) {
    const unsigned long long start = global_nanoseconds();
    while (load_volatile(open) == 0) {
        if (global_nanoseconds() - start > patience) {
            *timed_out = 1;
            return;
        }
    }
}
