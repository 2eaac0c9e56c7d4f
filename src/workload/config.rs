//! A model from the `config.json` that is published beside its weights (the field names of Hugging Face transformers).
//!
//! What is not understood is refused rather than guessed: a field that is missing, and layers that are no attention
//! over a cache (`linear_attention`).

use serde_json::Value;

use super::model::{Dense, Experts, Heads, Model, Window};
use crate::{Error, Result};

/// No model is near it; what is above can only be an error, and products of four such numbers stay in range.
const LARGEST: u64 = 1 << 24;

/// The model that the text of a `config.json` describes.
///
/// # Errors
/// The text is no JSON object, a field is missing or absurd (the error names it), or the architecture is not one of
/// dense or mixture-of-experts layers with grouped or latent attention.
pub fn model_of_config(text: &str) -> Result<Model> {
    let whole: Value =
        serde_json::from_str(text).map_err(|e| refuse(format!("it is not JSON ({e})")))?;
    // Models that also see keep the language model's fields one level down.
    let config = Config(whole.get("text_config").unwrap_or(&whole));
    let layers = config.need(&["num_hidden_layers"])?;
    let hidden = config.need(&["hidden_size"])?;
    let expert_layers = config.expert_layers(layers)?;
    let model = Model {
        name: "config.json",
        source: "config.json",
        hidden,
        layers,
        vocabulary: config.need(&["vocab_size"])?,
        heads: config.heads(hidden)?,
        dense: match layers - expert_layers {
            0 => None,
            layers => Some(Dense { layers, intermediate: config.need(&["intermediate_size"])? }),
        },
        experts: if expert_layers > 0 { Some(config.experts()?) } else { None },
        tied: config.0.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
        window: config.window(layers)?,
        context: config.need(&["max_position_embeddings"])?,
    };
    Ok(model)
}

fn refuse(why: String) -> Error {
    Error::input(
        format!("this config.json can't be used: {why}"),
        "Give the config.json that is published with the model's weights, or a --model of the catalogue",
    )
}

struct Config<'a>(&'a Value);

const EXPERTS: [&str; 3] = ["n_routed_experts", "num_experts", "num_local_experts"];

impl Config<'_> {
    /// The first of `names` that is there and not null.
    fn find(&self, names: &[&str]) -> Result<Option<usize>> {
        let found =
            names.iter().find_map(|n| self.0.get(n).filter(|v| !v.is_null()).map(|v| (n, v)));
        let Some((name, value)) = found else { return Ok(None) };
        match value.as_u64().filter(|n| *n <= LARGEST) {
            Some(number) => Ok(Some(number as usize)),
            None => Err(refuse(format!("{name} is {value}, not a whole number up to {LARGEST}"))),
        }
    }

    fn need(&self, names: &[&str]) -> Result<usize> {
        match self.find(names)? {
            Some(0) => Err(refuse(format!("{} is 0", names.join(" or ")))),
            Some(number) => Ok(number),
            None => Err(refuse(format!("it has no {}", names.join(" or ")))),
        }
    }

    fn heads(&self, hidden: usize) -> Result<Heads> {
        let heads = self.need(&["num_attention_heads"])?;
        if self.find(&["kv_lora_rank"])?.is_some() {
            return Ok(Heads::Latent {
                heads,
                q_rank: self.find(&["q_lora_rank"])?.unwrap_or(0),
                kv_rank: self.need(&["kv_lora_rank"])?,
                nope_dim: self.need(&["qk_nope_head_dim"])?,
                rope_dim: self.need(&["qk_rope_head_dim"])?,
                v_dim: self.need(&["v_head_dim"])?,
            });
        }
        let kv_heads = self.find(&["num_key_value_heads"])?.unwrap_or(heads);
        let dim = self.find(&["head_dim"])?.unwrap_or(hidden / heads);
        if kv_heads == 0 || dim == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(refuse(format!("{heads} heads of {dim} don't share {kv_heads} keys")));
        }
        Ok(Heads::Grouped { heads, kv_heads, dim })
    }

    fn expert_layers(&self, layers: usize) -> Result<usize> {
        if self.find(&EXPERTS)?.unwrap_or(0) == 0 {
            return Ok(0);
        }
        for step in ["decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step"] {
            if self.0.get(step).and_then(Value::as_u64).is_some_and(|step| step != 1) {
                return Err(refuse(format!("{step} other than 1 is not supported")));
            }
        }
        let only = self.0.get("mlp_only_layers").and_then(Value::as_array).map_or(0, Vec::len);
        let dense = self.find(&["first_k_dense_replace"])?.unwrap_or(0).max(only);
        layers
            .checked_sub(dense)
            .ok_or_else(|| refuse(format!("{dense} dense layers are more than all {layers}")))
    }

    fn experts(&self) -> Result<Experts> {
        // Mixtral and gpt-oss give the width of an expert as that of the MLP.
        let intermediate = self.need(&["moe_intermediate_size", "intermediate_size"])?;
        let shared_width = self.find(&["shared_expert_intermediate_size"])?.unwrap_or(0);
        let shared = self.find(&["n_shared_experts"])?.unwrap_or(shared_width / intermediate);
        let routed = self.need(&EXPERTS)?;
        let active = self.need(&["num_experts_per_tok", "experts_per_token"])?;
        if active > routed {
            return Err(refuse(format!("{active} of {routed} experts a token")));
        }
        Ok(Experts { routed, active, shared, intermediate })
    }

    fn window(&self, layers: usize) -> Result<Option<Window>> {
        let types = self.0.get("layer_types").and_then(Value::as_array);
        let types: Vec<&str> =
            types.map_or(vec![], |t| t.iter().filter_map(Value::as_str).collect());
        if let Some(other) =
            types.iter().find(|t| !["full_attention", "sliding_attention"].contains(t))
        {
            return Err(refuse(format!(
                "its layers of {other:?} have another cost than attention"
            )));
        }
        let windowed = types.iter().filter(|t| **t == "sliding_attention").count();
        let used = self.0.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(true);
        match self.find(&["sliding_window"])? {
            Some(tokens) if used && tokens > 0 && windowed > 0 => {
                Ok(Some(Window { layers: windowed.min(layers), tokens }))
            }
            // Without a list of layers (Mistral) every layer has it.
            Some(tokens) if used && tokens > 0 && types.is_empty() => {
                Ok(Some(Window { layers, tokens }))
            }
            _ => Ok(None),
        }
    }
}
