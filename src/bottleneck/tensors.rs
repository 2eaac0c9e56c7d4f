//! A model from the headers of its files: bits a weight from the tensors, shapes from GGUF's key-value pairs.
//!
//! Safetensors headers tell every shape but not how many heads share a projection or how many experts a token uses:
//! these are in the `config.json` beside them, which is needed. GGUF holds both.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::storage::layout::gguf::Meta;
use crate::workload::{Class, Mix, Model, Storage, model_of_config};
use crate::{Error, Result};

/// How `model` is stored in tensors of these names and bytes; `name` is for people.
///
/// # Errors
/// The bytes are not those of such a model: other shapes, or tensors that are missing.
pub fn mix<'a>(
    name: &str,
    model: &Model,
    tensors: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<Mix> {
    let (mut routed, mut other) = (0, 0);
    for (tensor, bytes) in tensors {
        if layer(tensor).is_some_and(|layer| layer >= model.layers) {
            continue; // multi-token prediction
        }
        // Scales are tensors of their own, named after the weights.
        let expert = tensor.contains("_exps.") || tensor.contains(".experts.");
        *(if expert { &mut routed } else { &mut other }) += bytes;
    }
    let of_routed = model.parameters_of(Class::RoutedExperts);
    let bits = |what: &str, bytes: u64, weights: u64| {
        let bits = bytes as f64 * 8.0 / weights as f64;
        match bits {
            _ if weights == 0 => Ok(Storage::Bits(16.0)),
            bits if (0.5..=33.0).contains(&bits) => Ok(Storage::Bits(bits)),
            _ => Err(Error::input(
                format!(
                    "the tensors of {name} do not fit its shapes: {bytes} bytes for {weights} weights of {what}"
                ),
                "Complete the files, or give --model the config.json and --format the format",
            )),
        }
    };
    Ok(Mix {
        name: name.to_owned(),
        routed: bits("routed experts", routed, of_routed)?,
        other: bits("all but routed experts", other, model.parameters() - of_routed)?,
        assumed: None,
    })
}

/// The layer in a tensor's name: `model.layers.7.mlp...`, `blk.7.ffn...`.
fn layer(tensor: &str) -> Option<usize> {
    let mut segments = tensor.split('.');
    segments.find(|segment| matches!(*segment, "layers" | "blk"))?;
    segments.next()?.parse().ok()
}

/// Keys of GGUF after the architecture's name, and what `config.json` calls them.
const KEYS: [(&str, &str); 16] = [
    ("block_count", "num_hidden_layers"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("expert_feed_forward_length", "moe_intermediate_size"),
    ("expert_count", "n_routed_experts"),
    ("expert_used_count", "num_experts_per_tok"),
    ("expert_shared_count", "n_shared_experts"),
    ("leading_dense_block_count", "first_k_dense_replace"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.q_lora_rank", "q_lora_rank"),
    ("attention.kv_lora_rank", "kv_lora_rank"),
    ("attention.sliding_window", "sliding_window"),
    ("rope.dimension_count", "qk_rope_head_dim"),
    ("context_length", "max_position_embeddings"),
    ("vocab_size", "vocab_size"),
];

/// The model of a GGUF header whose pairs are `pairs`; `tied` when it has no output tensor of its own.
///
/// # Errors
/// As [`model_of_config`], or there is no architecture.
pub fn model_of_gguf(pairs: &BTreeMap<String, Meta>, tied: bool) -> Result<Model> {
    let Some(Meta::Text(architecture)) = pairs.get("general.architecture") else {
        return Err(Error::input(
            "the GGUF header has no general.architecture",
            "Give --model the config.json of the model, and --format the format",
        ));
    };
    let number = |key: &str| match pairs.get(&format!("{architecture}.{key}")) {
        Some(Meta::Number(number)) => Some(*number),
        _ => None,
    };
    let mut config = Map::new();
    for (key, name) in KEYS {
        if let Some(number) = number(key) {
            config.insert(name.into(), number.into());
        }
    }
    if let (false, Some(Meta::Length(words))) =
        (config.contains_key("vocab_size"), pairs.get("tokenizer.ggml.tokens"))
    {
        config.insert("vocab_size".into(), (*words).into());
    }
    // Files that hold the absorbed form have the sizes of the expanded one under names of their own.
    let keys = number("attention.key_length_mla").or(number("attention.key_length"));
    let values = number("attention.value_length_mla").or(number("attention.value_length"));
    if config.contains_key("kv_lora_rank") {
        let rope = number("rope.dimension_count").unwrap_or(0);
        let plain = keys.and_then(|keys| keys.checked_sub(rope));
        for (name, value) in [("qk_nope_head_dim", plain), ("v_head_dim", values)] {
            config.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
    } else if let Some(keys) = keys {
        config.insert("head_dim".into(), keys.into());
    }
    config.insert("tie_word_embeddings".into(), tied.into());
    let model = model_of_config(&Value::Object(config).to_string())?;
    Ok(Model { name: "gguf", source: "GGUF header", ..model })
}
