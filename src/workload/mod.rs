//! What is computed or moved, independent of who does it.

mod attention;
mod gemm;
mod verified;

pub use attention::{Attention, Phase};
pub use gemm::Gemm;
pub use verified::Verified;
