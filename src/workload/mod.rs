//! What is computed or moved, independent of who does it.
//!
//! Problems ([`Gemm`], [`Attention`]) are shapes with their counts of operations and bytes; the oracles
//! ([`verify_gemm`], [`verify_attention`]) tell in f64 whether a kernel's output is right, within a tolerance that is
//! derived in their pages.

mod attention;
mod attention_oracle;
mod dot;
mod gemm;
mod gemm_oracle;
mod memory;
mod rounding;
mod verified;

pub use attention::{Attention, AttentionInputs, Phase};
pub use attention_oracle::{Weights, verify_attention, verify_attention_seeded};
pub use gemm::Gemm;
pub use gemm_oracle::{verify_gemm, verify_gemm_seeded};
pub use verified::Verified;
