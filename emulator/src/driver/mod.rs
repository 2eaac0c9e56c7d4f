//! The `libcuda.so.1` entry points, over [`crate::machine`].
//!
//! A program that finds this library instead of the vendor's (`LD_LIBRARY_PATH`) runs unchanged: it allocates, loads PTX,
//! launches, times and reads back. What it computes is exact; what it times is the stated cost model of [`cost`] and
//! **never a performance figure**. The device's name ends in `(emulated)`, and the library alone exports
//! `hostdyno_emulator_version`, so that whatever records a measurement can tell.
//!
//! How it is built, from the bottom:
//! - [`settings`], [`model`], [`faults`], [`cost`], [`jit`]: plain data and rules, no state.
//! - `handle`, `region`, `space`: opaque handles, bytes behind addresses, what each address means.
//! - `device`, `context`, `queue`, `stream`, `event`, `module`, `capture`, `graph`: the objects.
//! - `command` with `copy` and `launch`: the operations that streams and graphs carry out.
//! - `cublaslt`: the few functions of NVIDIA's library of products that a plain one takes.
//! - `*_api` and the rest: the C functions, each a few lines over the objects. Names that `cuda.h` has and the emulator
//!   does not offer are in `not_offered` and return `CUDA_ERROR_NOT_SUPPORTED`.
//!
//! What differs from hardware, on purpose: kernels of one device run one at a time; every access is checked
//! ([`crate::machine`]); misuse that the vendor leaves undefined is an error where it can be recognised.

pub mod cost;
pub mod error;
pub mod faults;
pub mod jit;
pub mod model;
pub mod settings;

mod attribute;
mod capture;
mod capture_api;
mod child;
mod command;
mod context;
mod context_api;
mod copy;
mod copy_api;
mod cublaslt;
mod device;
mod device_api;
mod event;
mod fill_api;
mod function_api;
mod graph;
mod handle;
mod host_memory;
mod init;
mod install;
mod launch;
mod launch_api;
mod memory;
mod module;
mod module_api;
mod not_offered;
mod occupancy;
mod pointer;
mod pool;
mod primary_api;
mod queue;
mod region;
mod space;
mod state;
mod stream;
mod stream_api;
mod tensor_map;

pub use child::{cublaslt_for_children, in_child, test_of};
pub use install::{install, install_cublaslt};
