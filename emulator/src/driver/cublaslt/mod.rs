//! The entry points of `libcublasLt` that a plain product takes, so that a program which measures the vendor's library runs
//! end to end on emulated devices.
//!
//! One file is both libraries: the loader knows a file that it has opened by its inode, so that `libcublasLt.so`, a link to
//! `libcuda.so.1`, finds the same devices, streams and memory. [`super::install_cublaslt`] lays the link.
//!
//! - `object`: matrices, operations and preferences as their attributes describe them;
//! - `rules`: which products a chip has, by NVIDIA's tables; anything else is `CUBLAS_STATUS_NOT_SUPPORTED`;
//! - `product`: the arithmetic, in `f64`, on the stream's thread, from the bytes, strides and scales that the caller gave;
//! - `api`: the C functions. Names of `cublasLt.h` that are not here are not exported.

mod api;
mod object;
mod product;
mod rules;

use cudarc::cublaslt::sys::cublasStatus_t as Status;

/// What the inside of an entry point returns.
type Result<T> = std::result::Result<T, Status>;
