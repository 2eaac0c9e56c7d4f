//! The driver as programs see it: each test is a program on cudarc that runs in a child process and finds the emulator as
//! `libcuda.so.1` by `LD_LIBRARY_PATH` alone.

mod device;
mod errors;
mod faults;
mod graphs;
mod kernels;
mod launch_rules;
mod memory;
mod modules;
mod nvrtc;
mod nvrtc_kernels;
mod pointers;
mod ptx;
mod streams;
mod support;
