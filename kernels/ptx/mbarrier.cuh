// Barriers in shared memory that count arrivals and bytes under way: one instruction a function.
//
// A barrier is 8 bytes, 8-byte aligned, given by its address in shared memory. Its phases are waited for by parity:
// a wait for parity p passes once the phase of that parity is over, and a wait for 1 passes at once on a fresh barrier.
#pragma once

// Each phase ends after `arrivals` arrivals and all bytes expected.
__device__ __forceinline__ void mbarrier_init(unsigned int barrier, unsigned int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Shows this thread's initialised barriers to the other blocks of the cluster and to asynchronous copies.
__device__ __forceinline__ void mbarrier_fence_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Arrives once and expects `bytes` more in this phase.
__device__ __forceinline__ void mbarrier_arrive_expect(unsigned int barrier, unsigned int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Arrives once.
__device__ __forceinline__ void mbarrier_arrive(unsigned int barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives once on a barrier of another block of the cluster: an address from `cluster_address`. Orders nothing that this
// thread wrote: a release to the cluster costs a fence of the whole device.
__device__ __forceinline__ void mbarrier_arrive_cluster(unsigned int barrier) {
    asm volatile("mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Whether the phase of parity `parity` is over; waits a moment for it.
__device__ __forceinline__ bool mbarrier_try_wait(unsigned int barrier, unsigned int parity) {
    unsigned int over;
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(over)
                 : "r"(barrier), "r"(parity)
                 : "memory");
    return over;
}
