//! Models whose tokens a second can be projected: those of [`MODELS`], whose shapes are measured, and further ones.

use super::model::{Dense, Experts, Heads, Model};
use super::{DEEPSEEK_R1, MODELS};
use crate::{Error, Result};

/// Kimi-K2-Instruct, 1T.
pub const KIMI_K2: Model = Model {
    name: "kimi-k2",
    source: "huggingface.co/moonshotai/Kimi-K2-Instruct config.json",
    hidden: 7168,
    layers: 61,
    vocabulary: 163_840,
    heads: Heads::Latent {
        heads: 64,
        q_rank: 1536,
        kv_rank: 512,
        nope_dim: 128,
        rope_dim: 64,
        v_dim: 128,
    },
    dense: Some(Dense { layers: 1, intermediate: 18_432 }),
    experts: Some(Experts { routed: 384, active: 8, shared: 1, intermediate: 2048 }),
    tied: false,
    window: None,
    context: 131_072,
};

/// Qwen3-30B-A3B.
pub const QWEN3_30B_A3B: Model = Model {
    name: "qwen3-30b-a3b",
    source: "huggingface.co/Qwen/Qwen3-30B-A3B config.json",
    hidden: 2048,
    layers: 48,
    vocabulary: 151_936,
    heads: Heads::Grouped { heads: 32, kv_heads: 4, dim: 128 },
    dense: None,
    experts: Some(Experts { routed: 128, active: 8, shared: 0, intermediate: 768 }),
    tied: false,
    window: None,
    context: 40_960,
};

/// Qwen3-32B.
pub const QWEN3_32B: Model = Model {
    name: "qwen3-32b",
    source: "huggingface.co/Qwen/Qwen3-32B config.json",
    hidden: 5120,
    layers: 64,
    vocabulary: 151_936,
    heads: Heads::Grouped { heads: 64, kv_heads: 8, dim: 128 },
    dense: Some(Dense { layers: 64, intermediate: 25_600 }),
    experts: None,
    tied: false,
    window: None,
    context: 40_960,
};

/// Llama-3.1-8B.
pub const LLAMA_3_1_8B: Model = Model {
    name: "llama-3.1-8b",
    source: "huggingface.co/meta-llama/Llama-3.1-8B config.json",
    hidden: 4096,
    layers: 32,
    vocabulary: 128_256,
    heads: Heads::Grouped { heads: 32, kv_heads: 8, dim: 128 },
    dense: Some(Dense { layers: 32, intermediate: 14_336 }),
    experts: None,
    tied: false,
    window: None,
    context: 131_072,
};

/// Models that are projected though their shapes are not in the default benches.
pub const FURTHER: [Model; 4] = [KIMI_K2, QWEN3_30B_A3B, QWEN3_32B, LLAMA_3_1_8B];

/// The model that is called `name`; `deepseek-v3` has R1's configuration.
///
/// # Errors
/// There is none; the error lists those that there are.
pub fn find_model(name: &str) -> Result<Model> {
    let lower = name.to_ascii_lowercase();
    if lower == "deepseek-v3" {
        return Ok(DEEPSEEK_R1);
    }
    let mut all = MODELS.into_iter().chain(FURTHER);
    all.find(|model| model.name == lower).ok_or_else(|| {
        let names: Vec<_> = MODELS.iter().chain(&FURTHER).map(|model| model.name).collect();
        Error::input(
            format!("there is no model {name:?} in the catalogue"),
            format!("Use one of {}, deepseek-v3; or the path of a config.json", names.join(", ")),
        )
    })
}
