//! What is computed or moved, independent of who does it.
//!
//! Problems ([`Gemm`], [`Attention`]) are shapes with their counts of operations and bytes; the oracles
//! ([`verify_gemm`], [`verify_attention`]) tell in f64 whether a kernel's output is right, within a tolerance that is
//! derived in their pages; the catalogue ([`MODELS`]) says which problems occur in practice, and [`default_gemms`],
//! [`thread_sweeps`] and [`default_attentions`] which of them are measured. [`Class`] and the counts beside it say what a token costs in a
//! whole model of the catalogue or of a `config.json` ([`model_of_config`]), stored as [`Mix`] says.

mod attention;
mod attention_mxfp4;
mod attention_oracle;
mod catalogue;
mod config;
mod defaults;
mod dot;
mod gemm;
mod gemm_oracle;
mod memory;
mod mix;
mod model;
mod rounding;
mod sums;
mod verified;
mod work;

#[cfg(test)]
mod tests;

pub use attention::{Attention, AttentionInputs, Phase};
pub use attention_oracle::{Rounding, Weights, verify_attention, verify_attention_seeded};
pub use catalogue::{FURTHER, KIMI_K2, LLAMA_3_1_8B, QWEN3_30B_A3B, QWEN3_32B, find_model};
pub use config::model_of_config;
pub use defaults::{Extent, Named, default_attentions, default_gemms, thread_sweeps};
pub use gemm::Gemm;
pub use gemm_oracle::{verify_gemm, verify_gemm_blocked, verify_gemm_seeded, verify_gemm_summed};
pub use mix::{Mix, Storage};
pub use model::{
    DEEPSEEK_R1, Dense, Experts, GPT_OSS_120B, Heads, LLAMA_3_1_70B, MODELS, Model, QWEN3_235B,
    Role, Window,
};
pub use sums::Sums;
pub use verified::Verified;
pub use work::{Class, Matrices};
