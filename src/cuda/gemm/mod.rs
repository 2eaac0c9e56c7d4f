//! Matrix products on a GPU: `C[M,N] = A[M,K] B[N,K]^T` in the formats for which the chip has a tensor instruction, and
//! beside them, under names of their own, with weights in a narrower format that are expanded to bf16 ([`Product`]).
//!
//! A [`Path`] is one kernel with one tile; [`paths`] lists those that a chip can run for a problem, best guess first.
//! A new kernel joins by implementing [`Path`] and being listed there. [`GemmSubject`] uploads the operands, tries the
//! paths for a moment each, keeps the fastest, and is what benches time.

mod blocks;
mod ceiling;
mod dequant;
mod matrix;
mod mma;
mod numbers;
mod operand;
mod path;
mod subject;
mod wgmma;

pub use ceiling::ceiling;
pub(super) use ceiling::{peak_of, roofline};
pub use dequant::{Dequant, DequantTile};
pub use matrix::DeviceMatrix;
pub use mma::{Mma, Tile};
pub use numbers::Numbers;
pub(super) use operand::Operand;
pub use path::{Multiply, Operands, Path, Product, paths, worth_expanding};
pub use subject::GemmSubject;
pub(super) use subject::{TRIAL, copies, settles};
pub use wgmma::Wgmma;
