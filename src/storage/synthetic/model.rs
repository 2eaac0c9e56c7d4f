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

    /// Every model, the most important first.
    pub const ALL: [Self; 3] = [
        Self::DeepSeek(DeepSeek::R1),
        Self::Small(Transformer::QWEN3_30B),
        Self::Dense(Transformer::LLAMA_70B),
    ];

    /// The models named by `names`, the environment variable's text: one, or several with commas between.
    ///
    /// # Errors
    /// A name is no model's.
    pub fn parse(names: &str) -> Result<Vec<Self>> {
        let find = |name: &str| {
            Self::ALL.into_iter().find(|model| model.name() == name).ok_or_else(|| {
                Error::input(
                    format!("{}={names:?}: {name:?} is no layout", Self::VARIABLE),
                    format!(
                        "Set {} to deepseek-r1, llama-3.1-70b or qwen3-30b-a3b, or several of them with commas",
                        Self::VARIABLE
                    ),
                )
            })
        };
        names.split(',').map(|name| find(name.trim())).collect()
    }

    /// Its name, in the environment variable and in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DeepSeek(_) => "deepseek-r1",
            Self::Dense(model) | Self::Small(model) => model.name,
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
        let (layers, experts) = match self {
            Self::DeepSeek(model) => (model.moe_layers, model.experts),
            Self::Dense(model) | Self::Small(model) => (model.layers, model.experts),
        };
        format!("{PREFIX}{}-{layers}x{experts}", self.name())
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
