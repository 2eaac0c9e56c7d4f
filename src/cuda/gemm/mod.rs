//! Matrix products on a GPU: `C[M,N] = A[M,K] B[N,K]^T` in the formats for which the chip has a tensor instruction.
//!
//! A [`Path`] is one kernel with one tile; [`paths`] lists those that a chip can run for a problem, best guess first.
//! A new kernel joins by implementing [`Path`] and being listed there. [`GemmSubject`] uploads the operands, tries the
//! paths for a moment each, keeps the fastest, and is what benches time.

mod ceiling;
mod matrix;
mod mma;
mod path;
mod subject;
mod wgmma;

pub use ceiling::ceiling;
pub(super) use ceiling::{peak_of, roofline};
pub use matrix::DeviceMatrix;
pub use mma::{Mma, Tile};
pub use path::{Multiply, Operands, Path, paths};
pub use subject::GemmSubject;
pub(super) use subject::{TRIAL, copies, settles};
pub use wgmma::Wgmma;
