//! NVIDIA GPUs: the device, run-time compilation, gated timing, and the device-memory part.
//!
//! Everything is loaded at run time, and a host without a driver, a compiler or a device is told so:
//! [`gpu::Gpu::open`] answers with the cause, which becomes the reason of the skipped metrics. It is tested
//! on the emulated driver in `emulator/`, and has run on an H100.

pub mod attention;
mod best;
mod cubins;
pub mod cublaslt;
mod cudnn;
mod emulated;
mod failure;
pub mod gate;
pub mod gemm;
pub mod gpu;
pub mod kernels;
pub mod launch;
mod library;
pub mod monitor;
pub mod nvrtc;
pub mod peak;
pub mod tensor_map;
pub mod timed;
pub mod vram;

pub use failure::lost;
pub use gate::Gate;
pub use gpu::Gpu;
pub use timed::{Task, Timed};
