// Blocks of one cluster: one instruction a function.
#pragma once

// This block's number in its cluster.
__device__ __forceinline__ unsigned int cluster_rank() {
    unsigned int rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// The address, for instructions on `shared::cluster`, of this block's shared `address` in block `rank`.
__device__ __forceinline__ unsigned int cluster_address(unsigned int address, unsigned int rank) {
    unsigned int there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    return there;
}

// Arrives at the barrier of all threads of the cluster.
__device__ __forceinline__ void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}

// Waits until all threads of the cluster have arrived.
__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}
