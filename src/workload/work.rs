//! The work of a model: weights by class of tensor, bytes of the cache, operations, for one token and for a batch.
//!
//! Everything is counted from the shapes of the catalogue or of a `config.json`; no device is known here. Norms and
//! biases are left out, as in the catalogue: together they are less than 0.1 % of any model.

use serde::Serialize;

use super::mix::Mix;
use super::{Heads, Model};
use crate::number::Format;

/// Which tensors: those of one class are read together and are placed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The projections of attention in all layers.
    Attention,
    /// The plain MLPs of dense layers.
    DenseMlp,
    /// Experts that every token uses.
    SharedExperts,
    /// Experts that the router chooses among.
    RoutedExperts,
    /// What chooses them.
    Router,
    /// From the residual stream to the vocabulary.
    Head,
    /// From the vocabulary to the residual stream: stored, but looked up rather than read.
    Embedding,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Attention,
        Self::DenseMlp,
        Self::SharedExperts,
        Self::RoutedExperts,
        Self::Router,
        Self::Head,
        Self::Embedding,
    ];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::DenseMlp => "dense MLP",
            Self::SharedExperts => "shared experts",
            Self::RoutedExperts => "routed experts",
            Self::Router => "router",
            Self::Head => "vocabulary head",
            Self::Embedding => "embedding",
        }
    }
}

/// Weight matrices of one shape: `count` of them, `n` rows of `k` elements each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrices {
    /// How many in the whole model.
    pub count: u64,
    /// Rows: outputs.
    pub n: usize,
    /// Elements of a row: inputs.
    pub k: usize,
}

impl Matrices {
    /// Elements of all of them.
    pub const fn parameters(self) -> u64 {
        self.count * self.n as u64 * self.k as u64
    }
}

impl Model {
    /// Layers with experts.
    pub const fn expert_layers(&self) -> usize {
        match (self.experts, self.dense) {
            (None, _) => 0,
            (Some(_), None) => self.layers,
            (Some(_), Some(dense)) => self.layers - dense.layers,
        }
    }

    /// Every matrix of `class`.
    pub fn matrices(&self, class: Class) -> Vec<Matrices> {
        let of = |count: usize, n, k| Matrices { count: count as u64, n, k };
        let gated = |count: usize, width| {
            vec![of(2 * count, width, self.hidden), of(count, self.hidden, width)]
        };
        match class {
            Class::Attention => self.attention_matrices(),
            Class::DenseMlp => self.dense.map_or(vec![], |d| gated(d.layers, d.intermediate)),
            Class::SharedExperts => self
                .experts
                .filter(|e| e.shared > 0)
                .map_or(vec![], |e| gated(self.expert_layers() * e.shared, e.intermediate)),
            Class::RoutedExperts => self
                .experts
                .map_or(vec![], |e| gated(self.expert_layers() * e.routed, e.intermediate)),
            Class::Router => self
                .experts
                .map_or(vec![], |e| vec![of(self.expert_layers(), e.routed, self.hidden)]),
            Class::Head => vec![of(1, self.vocabulary, self.hidden)],
            Class::Embedding if self.tied => vec![],
            Class::Embedding => vec![of(1, self.vocabulary, self.hidden)],
        }
    }

    fn attention_matrices(&self) -> Vec<Matrices> {
        let (count, hidden) = (self.layers as u64, self.hidden);
        let of = |n, k| Matrices { count, n, k };
        match self.heads {
            Heads::Grouped { heads, kv_heads, dim } => {
                vec![of((heads + 2 * kv_heads) * dim, hidden), of(hidden, heads * dim)]
            }
            Heads::Latent { heads, q_rank, kv_rank, nope_dim, rope_dim, v_dim } => {
                let q = heads * (nope_dim + rope_dim);
                let mut all = match q_rank {
                    0 => vec![of(q, hidden)],
                    _ => vec![of(q_rank, hidden), of(q, q_rank)],
                };
                all.extend([
                    of(kv_rank + rope_dim, hidden),
                    of(heads * (nope_dim + v_dim), kv_rank),
                    of(hidden, heads * v_dim),
                ]);
                all
            }
        }
    }

    /// Parameters of `class`.
    pub fn parameters_of(&self, class: Class) -> u64 {
        self.matrices(class).into_iter().map(Matrices::parameters).sum()
    }

    /// Parameters of all classes.
    pub fn parameters(&self) -> u64 {
        Class::ALL.into_iter().map(|class| self.parameters_of(class)).sum()
    }

    /// Bytes that all matrices of `class` take, scales included.
    pub fn stored_bytes(&self, class: Class, mix: &Mix) -> f64 {
        let storage = mix.of(class);
        let bytes = |m: Matrices| m.count as f64 * m.n as f64 * storage.row_bytes(m.k);
        self.matrices(class).into_iter().map(bytes).sum()
    }

    /// Bytes of all weights.
    pub fn all_bytes(&self, mix: &Mix) -> f64 {
        Class::ALL.into_iter().map(|class| self.stored_bytes(class, mix)).sum()
    }

    /// Different routed experts of one layer that `batch` tokens use, if each token's choice is independent and
    /// uniform: E (1 - (1 - k/E)^B). Real routing is correlated, so that fewer are used: an upper bound of the bytes.
    pub fn distinct_experts(&self, batch: usize) -> f64 {
        self.experts.map_or(0.0, |e| {
            let (all, active) = (e.routed as f64, e.active as f64);
            all * (1.0 - (1.0 - active / all).powf(batch as f64))
        })
    }

    /// Share of the weights of `class` that one step over `batch` tokens reads.
    pub fn share_read(&self, class: Class, batch: usize) -> f64 {
        match (class, self.experts) {
            (Class::Embedding, _) => 0.0,
            (Class::RoutedExperts, Some(e)) => self.distinct_experts(batch) / e.routed as f64,
            _ => 1.0,
        }
    }

    /// Bytes of weights of `class` that one step over `batch` tokens reads.
    pub fn bytes_read(&self, class: Class, mix: &Mix, batch: usize) -> f64 {
        self.stored_bytes(class, mix) * self.share_read(class, batch)
    }

    /// Parameters that a token multiplies with: those of `class` that it reads on its own.
    pub fn active_parameters(&self, class: Class) -> f64 {
        self.parameters_of(class) as f64 * self.share_read(class, 1)
    }

    /// Operations of the products with the weights of `class`, a token.
    pub fn flops(&self, class: Class) -> f64 {
        2.0 * self.active_parameters(class)
    }

    /// Bytes that the cache of one sequence of `context` tokens takes, and that decoding its next token reads.
    pub fn kv_bytes(&self, format: Format, context: usize) -> f64 {
        self.by_visible(context, |keys| self.decode(keys).kv_bytes(format) as f64)
    }

    /// Operations of attention itself for one new token after `context` others, absorbed where the cache is latent.
    pub fn decode_attention_flops(&self, context: usize) -> f64 {
        self.by_visible(context, |keys| self.decode(keys).flops() as f64)
    }

    /// Operations of causal attention a token, over a prompt of `prompt` tokens.
    pub fn prefill_attention_flops(&self, prompt: usize) -> f64 {
        // A window is as good as a prompt of twice its length: on average half of the keys are visible.
        self.by_visible_up_to(prompt, 2, |keys| {
            self.prefill(keys, keys).flops() as f64 / keys.max(1) as f64
        })
    }

    fn by_visible(&self, context: usize, of_layer: impl Fn(usize) -> f64) -> f64 {
        self.by_visible_up_to(context, 1, of_layer)
    }

    fn by_visible_up_to(&self, keys: usize, factor: usize, of: impl Fn(usize) -> f64) -> f64 {
        if keys == 0 {
            return 0.0;
        }
        let (windowed, tokens) = self.window.map_or((0, 0), |w| (w.layers, w.tokens * factor));
        let full = (self.layers - windowed) as f64 * of(keys);
        if windowed == 0 { full } else { full + windowed as f64 * of(keys.min(tokens)) }
    }

    /// Bytes that cross between host and device when the routed experts of every layer are computed on the host:
    /// the normed residual (bf16) out and the experts' sum (bf16) back, for each of `batch` tokens.
    pub fn offload_bytes(&self, batch: usize) -> f64 {
        (2 * 2 * self.hidden * self.expert_layers() * batch) as f64
    }

    /// Bytes that each of `devices` sends a step in tensor parallel: two ring all-reduces of the residual (bf16) a
    /// layer, 2 (n - 1) / n of it each.
    pub fn all_reduce_bytes(&self, devices: usize, batch: usize) -> f64 {
        let ring = 2.0 * (devices as f64 - 1.0) / devices as f64;
        ring * (2 * self.layers * 2 * self.hidden * batch) as f64
    }
}
