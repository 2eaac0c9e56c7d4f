// Tensor copies by the copy engine of a multiprocessor (TMA, sm_90 up): one instruction a function.
//
// One thread issues a copy. It counts its bytes on an mbarrier, also for the part outside the tensor, which arrives as
// zeros.
#pragma once

// What cuTensorMapEncodeTiled wrote: a kernel parameter (const __grid_constant__). NVRTC has no cuda.h to name it.
struct alignas(64) TensorMap {
    unsigned long long words[16];
};

// Copies the box whose first element is (x, y) to shared memory; x counts along the row.
__device__ __forceinline__ void tma_load_2d(unsigned int to, const TensorMap* map, int x, int y, unsigned int barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
        "l"(map), "r"(x), "r"(y), "r"(barrier)
        : "memory");
}

// The same to the same place in each block of the cluster whose bit is set in `blocks`; each block's own barrier counts.
__device__ __forceinline__ void tma_load_2d_multicast(unsigned int to, const TensorMap* map, int x, int y,
                                                      unsigned int barrier, unsigned short blocks) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
        "l"(map), "r"(x), "r"(y), "r"(barrier), "h"(blocks)
        : "memory");
}
