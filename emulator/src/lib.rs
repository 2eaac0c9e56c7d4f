//! A CUDA driver that executes PTX on the CPU, exactly and strictly, for hostdyno's tests.
//!
//! It shows that a kernel computes what it should and that the harness drives the device properly. It never shows
//! speed. The layers, each importing only those above it:
//!
//! - [`convert`]: number formats and approximate functions, as pure functions over bits.
//! - [`tensor`]: fragment layouts, matrix products, descriptors and tensor-copy addresses, as pure functions.
//! - [`ptx`]: PTX text to a pre-decoded [`ptx::Module`]; malformed text is a [`ptx::PtxError`] that names the line.
//! - [`machine`]: memory, warps, blocks, clusters; [`machine::launch()`] runs one kernel to its end or to a
//!   [`machine::Fault`].
//! - [`driver`]: the `libcuda.so.1` entry points over [`machine`].
//! - [`corpus`]: runs a directory of compiled kernels with known answers.

pub mod convert;
pub mod corpus;
pub mod driver;
pub mod machine;
pub mod ptx;
pub mod tensor;
