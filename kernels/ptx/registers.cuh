// Registers moved between the warpgroups of a block (sm_90a): one instruction a function, by all warps of a warpgroup.
#pragma once

// Gives registers to this warpgroup, waiting until there are enough.
template <int REGISTERS>
__device__ __forceinline__ void registers_increase() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Gives this warpgroup's registers above REGISTERS back.
template <int REGISTERS>
__device__ __forceinline__ void registers_decrease() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
