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
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
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

// Copies a box from shared memory to (x, y) of the tensor, except what lies outside, after fence_async_proxy.
__device__ __forceinline__ void tma_store_2d(const TensorMap* map, int x, int y, unsigned int from) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map), "r"(x), "r"(y),
                 "r"(from)
                 : "memory");
}

// Ends a group of this thread's stores.
__device__ __forceinline__ void tma_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Waits until all but LEFT groups of this thread have read their shared memory.
template <int LEFT>
__device__ __forceinline__ void tma_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(LEFT) : "memory");
}

// Waits until all but LEFT groups of this thread are done.
template <int LEFT>
__device__ __forceinline__ void tma_wait() {
    asm volatile("cp.async.bulk.wait_group %0;" ::"n"(LEFT) : "memory");
}
