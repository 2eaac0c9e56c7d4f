//! Two more layouts, in BF16: a dense model of few large tensors and a mixture of experts of very many small ones.
//!
//! Names and shapes are those of the published checkpoints (`config.json` of meta-llama/Llama-3.1-70B and
//! Qwen/Qwen3-30B-A3B). Loaders rank differently on them: 723 tensors of up to 2.1 GB against 18,867 of mostly 3 MB.

use safetensors::Dtype;

use super::spec::{Spec, largest_that_fits};

/// Dimensions of a decoder with grouped-query attention, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformer {
    /// Name for people and directories.
    pub name: &'static str,
    /// Width of the residual stream.
    pub dim: u64,
    /// Rows of the embedding and of the output head; 0 leaves both out.
    pub vocabulary: u64,
    /// Layers.
    pub layers: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Inner width of the feed-forward network, or of one expert.
    pub inter: u64,
    /// Experts of a layer; 0 for a dense network.
    pub experts: u64,
    /// Whether queries and keys are normalised a head.
    pub qk_norm: bool,
}

impl Transformer {
    /// 141 GB in 723 tensors.
    pub const LLAMA_70B: Self = Self {
        name: "llama-3.1-70b",
        dim: 8192,
        vocabulary: 128_256,
        layers: 80,
        heads: 64,
        kv_heads: 8,
        head_dim: 128,
        inter: 28_672,
        experts: 0,
        qk_norm: false,
    };

    /// 61 GB in 18,867 tensors.
    pub const QWEN3_30B: Self = Self {
        name: "qwen3-30b-a3b",
        dim: 2048,
        vocabulary: 151_936,
        layers: 48,
        heads: 32,
        kv_heads: 4,
        head_dim: 128,
        inter: 768,
        experts: 128,
        qk_norm: true,
    };

    /// This model with as many layers as fit into `budget` bytes, its vocabulary left out when there is no room for
    /// it beside a layer, and of a single layer as many experts as fit; `None` when nothing fits.
    pub fn scaled(&self, budget: u64) -> Option<Self> {
        let bare = Self { vocabulary: 0, ..self.clone() };
        let layers = |model: &Self| {
            let model = model.clone();
            largest_that_fits(1, self.layers, budget, move |layers| Self {
                layers,
                ..model.clone()
            })
        };
        layers(self).or_else(|| layers(&bare)).or_else(|| {
            let one = Self { layers: 1, ..bare };
            let experts = |experts| Self { experts, ..one.clone() };
            (self.experts > 0).then(|| largest_that_fits(1, self.experts, budget, experts))?
        })
    }

    /// What [`Self::scaled`] kept of `full`, in words.
    pub fn describe(&self, full: &Self) -> String {
        let mut text =
            format!("{}'s layout with {} of {} layers", full.name, self.layers, full.layers);
        if full.experts > 0 {
            text += &format!(" and {} of {} experts a layer", self.experts, full.experts);
        }
        if self.vocabulary == 0 {
            text += ", no embedding or head";
        }
        text + "; every tensor at full size"
    }

    /// Every tensor, in the order of the model.
    pub fn tensors(&self) -> Vec<Spec> {
        let mut out = Vec::new();
        let mut put = |name: String, shape: Vec<u64>| {
            out.push(Spec { name: format!("{name}.weight"), dtype: Dtype::BF16, shape });
        };
        if self.vocabulary > 0 {
            put("model.embed_tokens".into(), vec![self.vocabulary, self.dim]);
        }
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        for layer in 0..self.layers {
            let at = format!("model.layers.{layer}");
            put(format!("{at}.input_layernorm"), vec![self.dim]);
            put(format!("{at}.post_attention_layernorm"), vec![self.dim]);
            put(format!("{at}.self_attn.q_proj"), vec![q, self.dim]);
            put(format!("{at}.self_attn.k_proj"), vec![kv, self.dim]);
            put(format!("{at}.self_attn.v_proj"), vec![kv, self.dim]);
            put(format!("{at}.self_attn.o_proj"), vec![self.dim, q]);
            if self.qk_norm {
                put(format!("{at}.self_attn.q_norm"), vec![self.head_dim]);
                put(format!("{at}.self_attn.k_norm"), vec![self.head_dim]);
            }
            let networks = match self.experts {
                0 => vec![format!("{at}.mlp")],
                experts => {
                    put(format!("{at}.mlp.gate"), vec![experts, self.dim]);
                    (0..experts).map(|e| format!("{at}.mlp.experts.{e}")).collect()
                }
            };
            for network in networks {
                put(format!("{network}.gate_proj"), vec![self.inter, self.dim]);
                put(format!("{network}.up_proj"), vec![self.inter, self.dim]);
                put(format!("{network}.down_proj"), vec![self.dim, self.inter]);
            }
        }
        if self.vocabulary > 0 {
            put("model.norm".into(), vec![self.dim]);
            put("lm_head".into(), vec![self.vocabulary, self.dim]);
        }
        out
    }
}

impl super::spec::Footprint for Transformer {
    fn bytes(&self) -> u64 {
        let with = |layers| {
            let specs = Self { layers, ..self.clone() }.tensors();
            specs.iter().map(Spec::bytes).sum::<u64>()
        };
        let (none, one) = (with(0), with(1));
        none + self.layers * (one - none)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::Footprint;
    use super::*;

    #[test]
    fn the_whole_models_have_their_published_size() {
        let llama = Transformer::LLAMA_70B;
        assert_eq!(llama.tensors().len(), 723);
        assert!((llama.bytes() as f64 / 2.0 / 70.554e9 - 1.0).abs() < 1e-3, "{}", llama.bytes());
        let qwen = Transformer::QWEN3_30B;
        assert_eq!(qwen.tensors().len(), 18_867);
        assert!((qwen.bytes() as f64 / 61.07e9 - 1.0).abs() < 1e-3, "{}", qwen.bytes());
    }

    #[test]
    fn scaling_fits_the_budget() {
        for model in [Transformer::LLAMA_70B, Transformer::QWEN3_30B] {
            for gib in [2_u64, 4, 16, 300] {
                let budget = gib << 30;
                let scaled = model.scaled(budget).expect("fits");
                assert!(scaled.bytes() <= budget);
                assert!(
                    scaled.bytes() as f64 > 0.5 * budget.min(model.bytes()) as f64,
                    "{gib} {scaled:?}"
                );
                let sum: u64 = scaled.tensors().iter().map(Spec::bytes).sum();
                assert_eq!(sum, scaled.bytes());
            }
            assert_eq!(model.scaled(1 << 20), None);
        }
    }
}
