//! The models whose layout a synthetic set can have.

use super::deepseek::DeepSeek;
use super::spec::Spec;
use super::transformer::Transformer;
use crate::{Error, Result};

/// A model, perhaps made smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Model {
    /// DeepSeek-R1: FP8 with block scales, 256 experts a layer.
    DeepSeek(DeepSeek),
    /// Llama-3.1-70B: BF16, few large tensors.
    Dense(Transformer),
    /// Qwen3-30B-A3B: BF16, very many small tensors.
    Small(Transformer),
}

impl Model {
    /// Environment variable that chooses one.
    pub const VARIABLE: &str = "HOSTDYNO_MODEL_LAYOUT";

    /// The model named by `value`, the environment variable's text; DeepSeek-R1 when it is not set.
    ///
    /// # Errors
    /// `value` names no model.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        match value {
            None | Some("" | "deepseek-r1") => Ok(Self::DeepSeek(DeepSeek::R1)),
            Some("llama-3.1-70b") => Ok(Self::Dense(Transformer::LLAMA_70B)),
            Some("qwen3-30b-a3b") => Ok(Self::Small(Transformer::QWEN3_30B)),
            Some(other) => Err(Error::input(
                format!("{}={other:?} is no layout", Self::VARIABLE),
                format!("Set {} to deepseek-r1, llama-3.1-70b or qwen3-30b-a3b", Self::VARIABLE),
            )),
        }
    }

    /// This model with as many layers and experts as fit into `budget` bytes of tensors.
    pub fn scaled(&self, budget: u64) -> Option<Self> {
        match self {
            Self::DeepSeek(model) => model.scaled(budget).map(Self::DeepSeek),
            Self::Dense(model) => model.scaled(budget).map(Self::Dense),
            Self::Small(model) => model.scaled(budget).map(Self::Small),
        }
    }

    /// What was kept of the whole model, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::DeepSeek(model) => model.describe(),
            Self::Dense(model) => model.describe(&Transformer::LLAMA_70B),
            Self::Small(model) => model.describe(&Transformer::QWEN3_30B),
        }
    }

    /// Short name, fit for a directory: the model, its layers of experts (or layers) and experts a layer.
    pub fn slug(&self) -> String {
        let (name, layers, experts) = match self {
            Self::DeepSeek(model) => ("deepseek-r1", model.moe_layers, model.experts),
            Self::Dense(model) | Self::Small(model) => (model.name, model.layers, model.experts),
        };
        format!("{PREFIX}{name}-{layers}x{experts}")
    }

    /// Every tensor, in the order of the model.
    pub fn tensors(&self) -> Vec<Spec> {
        match self {
            Self::DeepSeek(model) => model.tensors(),
            Self::Dense(model) | Self::Small(model) => model.tensors(),
        }
    }
}

/// What the directories of finished sets begin with.
pub const PREFIX: &str = "synthetic-";
