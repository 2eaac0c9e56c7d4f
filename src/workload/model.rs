//! The catalogue: the models whose shapes are measured, with the figures of their published configurations.
//!
//! Biases, norms and what is added to the softmax (the sinks of gpt-oss) are left out: they cost no product. A test
//! adds the figures up to the published numbers of parameters.

use super::{Attention, Gemm, Phase};

/// A decoder-only transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Name on the command line and in roles.
    pub name: &'static str,
    /// Where the figures come from.
    pub source: &'static str,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Transformer layers, dense ones included, multi-token prediction excluded.
    pub layers: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// How keys and values are made and kept.
    pub heads: Heads,
    /// The layers that have a plain MLP.
    pub dense: Option<Dense>,
    /// The experts of the other layers.
    pub experts: Option<Experts>,
    /// Whether the output head is the input embedding.
    pub tied: bool,
    /// The layers that attend to the last tokens only.
    pub window: Option<Window>,
    /// Most tokens of a sequence: `max_position_embeddings`.
    pub context: usize,
}

/// Layers with attention to a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many layers.
    pub layers: usize,
    /// How many tokens each sees.
    pub tokens: usize,
}

/// The attention heads of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// Grouped queries: `heads / kv_heads` query heads share one key/value head.
    Grouped {
        /// Query heads.
        heads: usize,
        /// Key/value heads.
        kv_heads: usize,
        /// Elements of a query, key or value.
        dim: usize,
    },
    /// Multi-head latent attention: the cache holds one latent vector a token for all heads.
    Latent {
        /// Query heads.
        heads: usize,
        /// Rank that queries are compressed to; 0 where they are not.
        q_rank: usize,
        /// Rank that keys and values are compressed to: what the cache holds, and the value of the absorbed form.
        kv_rank: usize,
        /// Elements of a query or key without position.
        nope_dim: usize,
        /// Elements with rotary position, shared by all heads in the cache.
        rope_dim: usize,
        /// Elements of a value.
        v_dim: usize,
    },
}

/// Layers with a plain gated MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    /// How many layers.
    pub layers: usize,
    /// Width of the MLP.
    pub intermediate: usize,
}

/// Layers with a mixture of experts, each a gated MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Routed experts a layer.
    pub routed: usize,
    /// Routed experts that a token uses.
    pub active: usize,
    /// Experts that every token uses, of the same width.
    pub shared: usize,
    /// Width of one expert.
    pub intermediate: usize,
}

/// DeepSeek-V3 and DeepSeek-R1, 671B; R1 has V3's configuration.
pub const DEEPSEEK_R1: Model = Model {
    name: "deepseek-r1",
    source: "huggingface.co/deepseek-ai/DeepSeek-R1 config.json; \
             github.com/deepseek-ai/DeepSeek-V3 inference/configs/config_671B.json",
    hidden: 7168,
    layers: 61,
    vocabulary: 129_280,
    heads: Heads::Latent {
        heads: 128,
        q_rank: 1536,
        kv_rank: 512,
        nope_dim: 128,
        rope_dim: 64,
        v_dim: 128,
    },
    dense: Some(Dense { layers: 3, intermediate: 18_432 }),
    experts: Some(Experts { routed: 256, active: 8, shared: 1, intermediate: 2048 }),
    tied: false,
    window: None,
    context: 163_840,
};

/// Llama-3.1-70B.
pub const LLAMA_3_1_70B: Model = Model {
    name: "llama-3.1-70b",
    source: "huggingface.co/meta-llama/Llama-3.1-70B config.json",
    hidden: 8192,
    layers: 80,
    vocabulary: 128_256,
    heads: Heads::Grouped { heads: 64, kv_heads: 8, dim: 128 },
    dense: Some(Dense { layers: 80, intermediate: 28_672 }),
    experts: None,
    tied: false,
    window: None,
    context: 131_072,
};

/// Qwen3-235B-A22B.
pub const QWEN3_235B: Model = Model {
    name: "qwen3-235b-a22b",
    source: "huggingface.co/Qwen/Qwen3-235B-A22B config.json",
    hidden: 4096,
    layers: 94,
    vocabulary: 151_936,
    heads: Heads::Grouped { heads: 64, kv_heads: 4, dim: 128 },
    dense: None,
    experts: Some(Experts { routed: 128, active: 8, shared: 0, intermediate: 1536 }),
    tied: false,
    window: None,
    context: 40_960,
};

/// gpt-oss-120b. Every other layer attends to 128 tokens only; shapes here are those of the full layers.
pub const GPT_OSS_120B: Model = Model {
    name: "gpt-oss-120b",
    source: "huggingface.co/openai/gpt-oss-120b config.json",
    hidden: 2880,
    layers: 36,
    vocabulary: 201_088,
    heads: Heads::Grouped { heads: 64, kv_heads: 8, dim: 64 },
    dense: None,
    experts: Some(Experts { routed: 128, active: 4, shared: 0, intermediate: 2880 }),
    tied: false,
    window: Some(Window { layers: 18, tokens: 128 }),
    context: 131_072,
};

/// Every model of the catalogue.
pub const MODELS: [Model; 4] = [DEEPSEEK_R1, LLAMA_3_1_70B, QWEN3_235B, GPT_OSS_120B];

/// A product with weights, by its place in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The output of attention back to the residual stream.
    AttentionOutput,
    /// Into a plain MLP; gate and up are two products of this shape.
    MlpGateUp,
    /// Out of a plain MLP.
    MlpDown,
    /// Into one expert; gate and up are two products of this shape.
    ExpertGateUp,
    /// Out of one expert.
    ExpertDown,
    /// From the residual stream to the vocabulary.
    Head,
}

impl Role {
    /// Name in the role of a problem.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttentionOutput => "attention output",
            Self::MlpGateUp => "MLP gate/up",
            Self::MlpDown => "MLP down",
            Self::ExpertGateUp => "expert gate/up",
            Self::ExpertDown => "expert down",
            Self::Head => "vocabulary head",
        }
    }
}

impl Model {
    /// The product of `role` for `tokens` tokens; `None` where the model has none.
    pub fn gemm(&self, role: Role, tokens: usize) -> Option<Gemm> {
        let (n, k) = match role {
            Role::AttentionOutput => match self.heads {
                Heads::Grouped { heads, dim, .. } => (self.hidden, heads * dim),
                Heads::Latent { heads, v_dim, .. } => (self.hidden, heads * v_dim),
            },
            Role::MlpGateUp => (self.dense?.intermediate, self.hidden),
            Role::MlpDown => (self.hidden, self.dense?.intermediate),
            Role::ExpertGateUp => (self.experts?.intermediate, self.hidden),
            Role::ExpertDown => (self.hidden, self.experts?.intermediate),
            Role::Head => (self.vocabulary, self.hidden),
        };
        Some(Gemm::new(tokens, n, k))
    }

    /// Attention of one new token to `keys` cached ones; absorbed (the cache is the keys, its start the values) where
    /// the cache is latent.
    pub const fn decode(&self, keys: usize) -> Attention {
        match self.heads {
            Heads::Grouped { .. } => Attention { phase: Phase::Decode, ..self.prefill(1, keys) },
            Heads::Latent { heads, kv_rank, nope_dim, rope_dim, .. } => Attention {
                phase: Phase::Decode,
                heads,
                kv_heads: 1,
                queries: 1,
                keys,
                qk_dim: kv_rank + rope_dim,
                v_dim: kv_rank,
                latent: true,
                scale_dim: nope_dim + rope_dim,
            },
        }
    }

    /// Causal attention of the last `queries` of `keys` tokens, each head with its own keys and values where the model
    /// expands a latent cache.
    pub const fn prefill(&self, queries: usize, keys: usize) -> Attention {
        let (heads, kv_heads, qk_dim, v_dim) = match self.heads {
            Heads::Grouped { heads, kv_heads, dim } => (heads, kv_heads, dim, dim),
            Heads::Latent { heads, nope_dim, rope_dim, v_dim, .. } => {
                (heads, heads, nope_dim + rope_dim, v_dim)
            }
        };
        Attention {
            phase: Phase::Prefill,
            heads,
            kv_heads,
            queries,
            keys,
            qk_dim,
            v_dim,
            latent: false,
            scale_dim: qk_dim,
        }
    }
}
