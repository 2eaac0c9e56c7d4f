//! What is computed or moved, independent of who does it.
//!
//! Problems ([`Gemm`], [`Attention`]) are shapes with their counts of operations and bytes; the oracles
//! ([`verify_gemm`], [`verify_attention`]) tell in f64 whether a kernel's output is right, within a tolerance that is
//! derived in their pages; the catalogue ([`MODELS`]) says which problems occur in practice, and [`default_gemms`] and
//! [`default_attentions`] which of them are measured.

mod attention;
mod attention_oracle;
mod defaults;
mod dot;
mod gemm;
mod gemm_oracle;
mod memory;
mod model;
mod rounding;
mod sums;
mod verified;

#[cfg(test)]
mod tests;

pub use attention::{Attention, AttentionInputs, Phase};
pub use attention_oracle::{Weights, verify_attention, verify_attention_seeded};
pub use defaults::{Extent, Named, default_attentions, default_gemms};
pub use gemm::Gemm;
pub use gemm_oracle::{verify_gemm, verify_gemm_seeded, verify_gemm_summed};
pub use model::{
    DEEPSEEK_R1, Dense, Experts, GPT_OSS_120B, Heads, LLAMA_3_1_70B, MODELS, Model, QWEN3_235B,
    Role,
};
pub use sums::Sums;
pub use verified::Verified;
