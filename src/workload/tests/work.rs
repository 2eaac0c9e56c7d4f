//! The work of whole models against what their authors and their users published.

use super::super::*;
use crate::number::Format;

#[track_caller]
fn near(ours: f64, published: f64, relative: f64) {
    assert!((ours / published - 1.0).abs() <= relative, "{ours} is not {published}");
}

#[test]
fn deepseek_has_its_published_totals() {
    let model = DEEPSEEK_R1;
    near(model.parameters() as f64, 671.025e9, 1e-5);
    near(model.parameters_of(Class::RoutedExperts) as f64, 653.909e9, 1e-5);
    near(model.active_parameters(Class::RoutedExperts), 20.435e9, 1e-4);
    let read: f64 = Class::ALL
        .iter()
        .filter(|c| **c != Class::Embedding)
        .map(|class| model.active_parameters(*class))
        .sum();
    near(read, 36.625e9, 1e-4);
    let flops: f64 =
        Class::ALL.iter().filter(|c| **c != Class::Embedding).map(|c| model.flops(*c)).sum();
    near(flops, 73.25e9, 1e-4);
    // ik_llama.cpp prints 2196.00 MiB for 32,768 tokens.
    assert_eq!(model.kv_bytes(Format::Bf16, 1), 70_272.0);
    assert_eq!(model.kv_bytes(Format::Bf16, 32_768), 2196.0 * 1048576.0);
}

#[test]
fn five_more_models_have_their_published_sizes() {
    // Names or model cards on huggingface.co: all parameters, those of a token (embedding not counted).
    let published = [
        (LLAMA_3_1_70B, 70.55e9, 69.5e9),
        (LLAMA_3_1_8B, 8.03e9, 7.5e9),
        (QWEN3_32B, 32.76e9, 32.0e9),
        (QWEN3_30B_A3B, 30.53e9, 3.05e9),
        (QWEN3_235B, 235.1e9, 21.6e9),
        (KIMI_K2, 1.027e12, 31.7e9),
    ];
    for (model, all, active) in published {
        near(model.parameters() as f64, all, 0.003);
        let ours: f64 = Class::ALL.iter().map(|c| model.active_parameters(*c)).sum();
        near(ours, active, 0.02);
    }
    // 8 heads of 128, keys and values, bf16, 80 layers.
    assert_eq!(LLAMA_3_1_70B.kv_bytes(Format::Bf16, 1), 327_680.0);
}

#[test]
fn a_window_bounds_what_half_of_the_layers_of_gpt_oss_keep() {
    let layer = 8.0 * 64.0 * 2.0 * 2.0;
    assert_eq!(GPT_OSS_120B.kv_bytes(Format::Bf16, 128), 36.0 * 128.0 * layer);
    assert_eq!(GPT_OSS_120B.kv_bytes(Format::Bf16, 1128), (36.0 * 128.0 + 18.0 * 1000.0) * layer);
}

#[test]
fn distinct_experts_grow_as_independent_choices_do() {
    let expected = [(1, 8.0), (2, 15.75), (4, 30.5), (8, 57.4), (16, 102.0), (64, 222.0)];
    for (batch, experts) in expected {
        near(DEEPSEEK_R1.distinct_experts(batch), experts, 0.01);
    }
    assert_eq!(LLAMA_3_1_8B.distinct_experts(4), 0.0);
}

#[test]
fn bytes_follow_the_format_and_its_scales() {
    let fp8 = Mix::uniform(Format::Fp8E4m3);
    let routed = DEEPSEEK_R1.bytes_read(Class::RoutedExperts, &fp8, 1);
    // A scale of 4 bytes for rows of 7168, 7168 and 2048.
    near(routed, 20.435e9 * (1.0 + 4.0 / 3.0 * (2.0 / 7168.0 + 1.0 / 2048.0)), 1e-3);
    let mx = Mix::parse("mxfp4/bf16", &DEEPSEEK_R1).unwrap();
    near(DEEPSEEK_R1.stored_bytes(Class::RoutedExperts, &mx), 653.909e9 * 17.0 / 32.0, 1e-5);
    near(DEEPSEEK_R1.stored_bytes(Class::Head, &mx), 2.0 * 7168.0 * 129_280.0, 1e-9);
    // The published file of ubergarm/r1-ktransformers-guide: 212 GiB.
    let q2 = Mix::parse("UD-Q2_K_XL", &DEEPSEEK_R1).unwrap();
    near(DEEPSEEK_R1.all_bytes(&q2), 212.0 * 1024f64.powi(3), 0.005);
    for wrong in ["", "fp7", "0", "-3", "inf", "nan", "bf16/", "4/5/6"] {
        let error = Mix::parse(wrong, &DEEPSEEK_R1).unwrap_err().to_string();
        assert!(error.contains("mxfp4") && error.contains("q4_k_m"), "{error}");
    }
}

const DEEPSEEK: &str = r#"{"hidden_size": 7168, "num_hidden_layers": 61, "vocab_size": 129280,
    "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "first_k_dense_replace": 3,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "moe_layer_freq": 1, "tie_word_embeddings": false, "max_position_embeddings": 163840}"#;

#[test]
fn a_config_gives_the_model_of_the_catalogue() {
    let ours = model_of_config(DEEPSEEK).unwrap();
    assert_eq!(Model { name: ours.name, source: ours.source, ..DEEPSEEK_R1 }, ours);
    let gpt_oss = r#"{"hidden_size": 2880, "num_hidden_layers": 2, "vocab_size": 201088, "head_dim": 64,
        "num_attention_heads": 64, "num_key_value_heads": 8, "num_local_experts": 128, "num_experts_per_tok": 4,
        "intermediate_size": 2880, "sliding_window": 128, "max_position_embeddings": 131072,
        "layer_types": ["sliding_attention", "full_attention"]}"#;
    let ours = model_of_config(gpt_oss).unwrap();
    assert_eq!((ours.experts, ours.heads), (GPT_OSS_120B.experts, GPT_OSS_120B.heads));
    assert_eq!(ours.window, Some(Window { layers: 1, tokens: 128 }));
    let nested = format!(r#"{{"text_config": {DEEPSEEK}, "vision_config": {{}}}}"#);
    assert_eq!(model_of_config(&nested).unwrap().layers, 61);
}

#[test]
fn a_config_that_lacks_something_is_refused_by_name() {
    let whole: serde_json::Value = serde_json::from_str(DEEPSEEK).unwrap();
    let error =
        |config: &serde_json::Value| model_of_config(&config.to_string()).unwrap_err().to_string();
    for field in [
        "hidden_size",
        "num_hidden_layers",
        "vocab_size",
        "num_attention_heads",
        "v_head_dim",
        "num_experts_per_tok",
        "max_position_embeddings",
    ] {
        let mut config = whole.clone();
        config.as_object_mut().unwrap().remove(field);
        assert!(error(&config).contains(field), "{}", error(&config));
        for absurd in [
            serde_json::json!(-1),
            serde_json::json!(0),
            serde_json::json!(1e300),
            serde_json::json!("7"),
        ] {
            config[field] = absurd;
            assert!(error(&config).contains(field));
        }
    }
    let mut dense = whole.clone();
    dense["first_k_dense_replace"] = 62.into();
    assert!(error(&dense).contains("62"));
    let mut linear = whole;
    linear["layer_types"] = serde_json::json!(["linear_attention"]);
    assert!(error(&linear).contains("linear_attention"));
    assert!(
        model_of_config("[").is_err()
            && model_of_config("[]").is_err()
            && model_of_config("7").is_err()
    );
}

#[test]
fn unknown_models_are_answered_with_those_that_are_known() {
    assert_eq!(find_model("DeepSeek-V3").unwrap(), DEEPSEEK_R1);
    assert_eq!(find_model("kimi-k2").unwrap(), KIMI_K2);
    let error = find_model("deepseek-r2").unwrap_err().to_string();
    assert!(error.contains("deepseek-r1") && error.contains("qwen3-32b"), "{error}");
}

#[test]
fn collectives_and_offload_move_the_residual() {
    assert_eq!(DEEPSEEK_R1.offload_bytes(1), 58.0 * 7168.0 * 4.0);
    assert_eq!(LLAMA_3_1_8B.all_reduce_bytes(1, 4), 0.0);
    assert_eq!(LLAMA_3_1_8B.all_reduce_bytes(2, 1), 32.0 * 2.0 * 2.0 * 4096.0);
}
