//! DeepSeek-R1's tensors: names, types and shapes of its published checkpoint, and the same model made smaller.
//!
//! Dimensions are those of `config_671B.json`, the quantisation that of `README_WEIGHTS.md` (both in
//! deepseek-ai/DeepSeek-V3): linear weights in F8_E4M3 with one F32 `weight_scale_inv` per 128x128 block, the rest in
//! BF16. A smaller set keeps every tensor at its full size, since read patterns depend on it, and has fewer of them.

use safetensors::Dtype;

use super::spec::{Footprint, Spec, largest_that_fits};

/// Rows and columns that share a scale.
const BLOCK: u64 = 128;

/// Dimensions of a model of the DeepSeek-V3 family, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeepSeek {
    /// Width of the residual stream.
    pub dim: u64,
    /// Rows of the embedding and of the output head; 0 leaves both out.
    pub vocabulary: u64,
    /// Leading layers with a dense feed-forward network.
    pub dense_layers: u64,
    /// Inner width of the dense network.
    pub dense_inter: u64,
    /// Layers with a mixture of experts.
    pub moe_layers: u64,
    /// Inner width of one expert.
    pub moe_inter: u64,
    /// Routed experts of a layer.
    pub experts: u64,
    /// Attention heads.
    pub heads: u64,
    /// Rank of the compressed query.
    pub q_rank: u64,
    /// Rank of the compressed keys and values.
    pub kv_rank: u64,
    /// Part of a head's query and key without position.
    pub nope: u64,
    /// Part of a head's query and key with rotary position.
    pub rope: u64,
    /// Width of a head's value.
    pub value: u64,
    /// Whether the multi-token-prediction layer is there.
    pub mtp: bool,
}

impl DeepSeek {
    /// The whole model: 688.6 GB.
    pub const R1: Self = Self {
        dim: 7168,
        vocabulary: 129_280,
        dense_layers: 3,
        dense_inter: 18_432,
        moe_layers: 58,
        moe_inter: 2048,
        experts: 256,
        heads: 128,
        q_rank: 1536,
        kv_rank: 512,
        nope: 128,
        rope: 64,
        value: 128,
        mtp: true,
    };

    /// Fewest experts of a scaled set: one layer's worth of active ones.
    const FEWEST_EXPERTS: u64 = 8;

    /// This model with as many layers and experts as fit into `budget` bytes of tensors; `None` when not even one
    /// layer with eight experts fits.
    ///
    /// What goes first is what is least like the rest: the prediction layer, then layers of experts, then (below one
    /// full layer) vocabulary and dense layers, then experts. So routed experts stay at over 90 % of the bytes, 97 %
    /// in the original.
    pub fn scaled(&self, budget: u64) -> Option<Self> {
        if self.bytes() <= budget {
            return Some(self.clone());
        }
        let trunk = Self { mtp: false, ..self.clone() };
        let bare = Self { vocabulary: 0, dense_layers: 0, ..trunk.clone() };
        let fewer = |model: &Self, layers| Self { moe_layers: layers, ..model.clone() };
        let one_layer = |experts| Self { moe_layers: 1, experts, ..bare.clone() };
        let layers =
            |model: &Self| largest_that_fits(1, model.moe_layers, budget, |n| fewer(model, n));
        layers(&trunk)
            .or_else(|| layers(&bare))
            .or_else(|| largest_that_fits(Self::FEWEST_EXPERTS, self.experts, budget, one_layer))
    }

    /// What [`Self::scaled`] kept, in words.
    pub fn describe(&self) -> String {
        if *self == Self::R1 {
            return "DeepSeek-R1, all tensors".into();
        }
        let left_out = match (self.vocabulary > 0, self.dense_layers > 0) {
            (true, true) => "no prediction layer",
            _ => "no embedding, head, dense or prediction layers",
        };
        format!(
            "DeepSeek-R1's layout with {} of 58 expert layers and {} of 256 experts a layer, {left_out}; \
             every tensor at full size",
            self.moe_layers, self.experts
        )
    }

    /// Every tensor, in the order of the model.
    pub fn tensors(&self) -> Vec<Spec> {
        let mut out = Tensors(Vec::new());
        if self.vocabulary > 0 {
            out.bf16("model.embed_tokens", [self.vocabulary, self.dim]);
        }
        let layers = self.dense_layers + self.moe_layers;
        for layer in 0..layers + u64::from(self.mtp) {
            let at = format!("model.layers.{layer}");
            if layer == layers {
                self.prediction(&mut out, &at);
            }
            self.attention(&mut out, &at);
            if layer < self.dense_layers {
                self.feed_forward(&mut out, &format!("{at}.mlp"), self.dense_inter);
            } else {
                self.mixture(&mut out, &format!("{at}.mlp"));
            }
        }
        if self.vocabulary > 0 {
            out.bf16("model.norm", [self.dim]);
            out.bf16("lm_head", [self.vocabulary, self.dim]);
        }
        out.0
    }

    fn attention(&self, out: &mut Tensors, at: &str) {
        out.bf16(&format!("{at}.input_layernorm"), [self.dim]);
        out.bf16(&format!("{at}.post_attention_layernorm"), [self.dim]);
        let at = format!("{at}.self_attn");
        out.fp8(&format!("{at}.q_a_proj"), self.q_rank, self.dim);
        out.bf16(&format!("{at}.q_a_layernorm"), [self.q_rank]);
        out.fp8(&format!("{at}.q_b_proj"), self.heads * (self.nope + self.rope), self.q_rank);
        out.fp8(&format!("{at}.kv_a_proj_with_mqa"), self.kv_rank + self.rope, self.dim);
        out.bf16(&format!("{at}.kv_a_layernorm"), [self.kv_rank]);
        out.fp8(&format!("{at}.kv_b_proj"), self.heads * (self.nope + self.value), self.kv_rank);
        out.fp8(&format!("{at}.o_proj"), self.dim, self.heads * self.value);
    }

    fn mixture(&self, out: &mut Tensors, at: &str) {
        out.bf16(&format!("{at}.gate"), [self.experts, self.dim]);
        out.push(format!("{at}.gate.e_score_correction_bias"), Dtype::F32, vec![self.experts]);
        for expert in 0..self.experts {
            self.feed_forward(out, &format!("{at}.experts.{expert}"), self.moe_inter);
        }
        self.feed_forward(out, &format!("{at}.shared_experts"), self.moe_inter);
    }

    fn feed_forward(&self, out: &mut Tensors, at: &str, inter: u64) {
        out.fp8(&format!("{at}.gate_proj"), inter, self.dim);
        out.fp8(&format!("{at}.up_proj"), inter, self.dim);
        out.fp8(&format!("{at}.down_proj"), self.dim, inter);
    }

    fn prediction(&self, out: &mut Tensors, at: &str) {
        out.bf16(&format!("{at}.embed_tokens"), [self.vocabulary, self.dim]);
        out.bf16(&format!("{at}.enorm"), [self.dim]);
        out.bf16(&format!("{at}.hnorm"), [self.dim]);
        out.bf16(&format!("{at}.eh_proj"), [self.dim, 2 * self.dim]);
        out.bf16(&format!("{at}.shared_head.norm"), [self.dim]);
        out.bf16(&format!("{at}.shared_head.head"), [self.vocabulary, self.dim]);
    }
}

impl Footprint for DeepSeek {
    fn bytes(&self) -> u64 {
        // Expert layers are alike: counting one of them keeps the search over scales cheap.
        let with = |moe_layers| {
            let specs = Self { moe_layers, ..self.clone() }.tensors();
            specs.iter().map(Spec::bytes).sum::<u64>()
        };
        let (none, one) = (with(0), with(1));
        none + self.moe_layers * (one - none)
    }
}

/// The list under construction.
struct Tensors(Vec<Spec>);

impl Tensors {
    fn push(&mut self, name: String, dtype: Dtype, shape: Vec<u64>) {
        self.0.push(Spec { name, dtype, shape });
    }

    fn bf16<const RANK: usize>(&mut self, name: &str, shape: [u64; RANK]) {
        self.push(format!("{name}.weight"), Dtype::BF16, shape.to_vec());
    }

    fn fp8(&mut self, name: &str, rows: u64, columns: u64) {
        self.push(format!("{name}.weight"), Dtype::F8_E4M3, vec![rows, columns]);
        let blocks = vec![rows.div_ceil(BLOCK), columns.div_ceil(BLOCK)];
        self.push(format!("{name}.weight_scale_inv"), Dtype::F32, blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_model_has_its_published_size() {
        // 688.6 GB of shards and 91,991 tensors: 58 + 1 layers of (256 + 1) experts of 6, and the rest.
        let bytes = DeepSeek::R1.bytes() as f64;
        assert!((bytes / 688.6e9 - 1.0).abs() < 1e-4, "{bytes}");
        let tensors = DeepSeek::R1.tensors();
        assert_eq!(tensors.iter().map(Spec::bytes).sum::<u64>(), DeepSeek::R1.bytes());
        let expert: u64 = tensors
            .iter()
            .filter(|t| {
                t.name.starts_with("model.layers.3.mlp.experts.0.") && t.dtype == Dtype::F8_E4M3
            })
            .map(Spec::bytes)
            .sum();
        assert_eq!(expert, 3 * 7168 * 2048, "44.04 M parameters");
        let scale = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight_scale_inv";
        let scale = tensors.iter().find(|t| t.name == scale).expect("there");
        assert_eq!(scale.shape, [5, 56], "576 rows are four and a half blocks");
    }

    #[test]
    fn scaling_fits_the_budget_and_keeps_experts_dominant() {
        for gib in [1, 2, 4, 16, 64, 300, 700] {
            let budget = gib << 30;
            let scaled = DeepSeek::R1.scaled(budget).expect("fits");
            let bytes = scaled.bytes();
            assert!(bytes <= budget, "{gib} GiB");
            assert!(
                bytes as f64 > 0.55 * budget.min(DeepSeek::R1.bytes()) as f64,
                "{gib} GiB: {bytes}"
            );
            let routed = 6 * scaled.experts * scaled.moe_layers;
            let expert_bytes = (routed / 6) as f64 * 44.05e6;
            assert!(expert_bytes > 0.65 * bytes as f64, "{gib} GiB: {}", scaled.describe());
        }
        assert_eq!(DeepSeek::R1.scaled(100 << 20), None);
    }
}
