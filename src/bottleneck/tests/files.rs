//! What comes from outside: hosts by hand, files of points, tensors of files.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::published::{built_in, check, read};
use super::*;
use crate::storage::layout::gguf::Meta;
use crate::workload::{Class, DEEPSEEK_R1, Mix, Model, QWEN3_30B_A3B};

fn host_of(text: &str) -> Host {
    toml::host(text, "h.toml").unwrap()
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let error = toml::host(text, "h.toml").unwrap_err().to_string();
    assert!(error.contains(part) && error.contains("h.toml"), "{error:?} lacks {part:?}");
}

#[test]
fn every_key_and_origin_is_read() {
    let host = host_of(
        r#"
        name = "x"
        sockets = 2
        [dram]
        node_matrix_gb_s = [[100, 90, 30, 30], [90, 100, 30, 30], [30, 30, 110, 90], [30, 30, 90, 110]]
        capacity_gb = 1024
        [gpu]
        count = 2
        vram_read_gb_s = { value = 1792, origin = "theoretical", source = "vendor" }
        [cpu]
        tflops = { value = 5.5, origin = "measured" }
        [nvme]
        read_gb_s = 12.5
        [experts]
        eta = { value = 0.6, origin = "measured" }
        t_fix_us = 80
        "#,
    );
    let dram = &host.dram;
    assert_eq!(
        (dram.read.as_ref().unwrap().value, dram.remote_read.as_ref().unwrap().value),
        (420.0, 60.0)
    );
    let gpu = host.gpu.as_ref().unwrap();
    assert_eq!(gpu.vram_read, Some(Figure::new(1792.0, Origin::Theoretical, "vendor")));
    assert_eq!((gpu.count, &gpu.pcie), (2, &None));
    assert_eq!(host.nvme_read.as_ref().unwrap().origin, Origin::Assumed);
    assert_eq!(host.experts[0].t_fix_us.as_ref().unwrap().value, 80.0);
    let channels = host_of("sockets = 2\n[dram]\nchannels = 12\nmt_s = 4800").dram.read.unwrap();
    assert_eq!((channels.value, channels.origin), (921.6, Origin::Theoretical));
}

#[test]
fn bad_hosts_are_refused_with_what_to_type() {
    refused("[dram", "line 1");
    refused("[dram]\nread = 3", "unknown field `read`");
    refused("[dram]\nread_gb_s = \"fast\"", "{ value = NUMBER");
    refused("[dram]\nread_gb_s = { value = 3, origin = \"guess\" }", "measured, theoretical");
    refused("[dram]\nread_gb_s = -3", "dram.read_gb_s");
    refused("[dram]\nread_gb_s = nan", "dram.read_gb_s");
    refused("[dram]\nread_gb_s = 1e300", "dram.read_gb_s");
    refused("[dram]\nread_gb_s = 3\nchannels = 8\nmt_s = 4800", "one of read_gb_s");
    refused("[dram]\nchannels = 8", "go together");
    refused("sockets = 0", "sockets");
    refused("sockets = 3\n[dram]\nnode_matrix_gb_s = [[1, 1], [1, 1]]", "square");
    refused("[dram]\nnode_matrix_gb_s = [[1, 0], [1, 1]]", "positive");
    refused("[gpu]\ncount = 0", "gpu.count");
    refused("[experts]\neta = 60", "share of the read bandwidth");
}

#[test]
fn every_host_of_the_repository_is_projected_from_its_file() {
    let directory =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("results/reference/hosts");
    let mut seen = 0;
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let host = toml::host(&std::fs::read_to_string(&path).unwrap(), "x").unwrap();
            let mix = Mix::parse("q4_k_m", &DEEPSEEK_R1).unwrap();
            let step = decode(&DEEPSEEK_R1, &mix, &host, &Setup::default(), Constants::fitted());
            assert!(step.tokens_per_second.likely.is_finite(), "{}", path.display());
            assert_eq!(step.binding, Some(Part::Dram), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn a_file_of_points_may_leave_out_what_is_not_known() {
    let text = r#"{"points": [
        {"id": "X", "kind": "decode", "sockets": 1, "dram_read_gb_s": 90, "dram_origin": "measured (mlc)", "gpu": null,
         "vram_gb_s": null, "engine": "e", "model": "kimi-k2", "quantisation": "iq2_kl", "bits_per_weight": 2.69,
         "routed_experts_in": "dram", "batch": 1, "context": null, "measured_tok_s": 4, "source": "s", "note": "", "new": 1},
        {"id": "Y", "kind": "decode", "model": "llama-3.1-8b", "gpu": "g", "vram_gb_s": 1008, "quantisation": "q8_0",
         "measured_tok_s": 80, "source": "s"},
        {"id": "L", "kind": "load", "storage": "x"}]}"#;
    let points = read(text, "p.json").unwrap();
    let checked = check(&points).unwrap();
    assert_eq!(checked.len(), 2);
    assert_eq!((checked[0].binding, checked[1].binding), (Some(Part::Dram), Some(Part::Vram)));
    assert!(checked.iter().all(|c| c.bound.unwrap() > c.point.measured_tok_s && !c.left_out));
    for (from, to, part) in [
        ("kimi-k2", "kimi-k9", "kimi-k9"),
        ("\"measured_tok_s\": 4", "\"measured_tok_s\": 0", "measured_tok_s"),
        ("\"batch\": 1", "\"batch\": 0", "batch"),
        ("2.69", "269", "bits_per_weight"),
    ] {
        let points = read(&text.replace(from, to), "p.json").unwrap();
        let error = check(&points).err().unwrap().to_string();
        assert!(error.contains(part) && error.contains("point X"), "{error}");
    }
    for broken in ["", "[]", "{\"points\": [{\"kind\": \"decode\"}]}", "{\"points\": 3}"] {
        assert!(read(broken, "p.json").unwrap_err().to_string().contains("p.json"));
    }
    assert_eq!(built_in().len(), 14);
}

#[test]
fn a_known_point_is_never_projected_from_itself() {
    let known = built_in();
    let own = known.iter().find(|point| point.id == "H4b").unwrap();
    let whole = own.project(Constants::fitted()).unwrap().tokens_per_second.likely;
    let without = check(std::slice::from_ref(own)).unwrap();
    assert!(without[0].left_out);
    assert!((without[0].projected.likely - whole).abs() > 0.1, "left out, it pulls less");
}

/// Tensors of a model of DeepSeek's kind, routed experts at `routed` bits and the rest at 8.
fn tensors(model: &Model, routed: u64) -> Vec<(&'static str, u64)> {
    let other = model.parameters() - model.parameters_of(Class::RoutedExperts);
    vec![
        ("model.embed_tokens.weight", other / 2),
        ("model.layers.3.self_attn.o_proj.weight", other - other / 2),
        (
            "model.layers.3.mlp.experts.0.up_proj.weight",
            model.parameters_of(Class::RoutedExperts) * routed / 8,
        ),
        ("model.layers.61.mlp.experts.0.up_proj.weight", 1 << 40),
    ]
}

#[test]
fn bits_come_from_the_bytes_of_the_tensors() {
    let mix = tensors::mix("x", &DEEPSEEK_R1, tensors(&DEEPSEEK_R1, 4)).unwrap();
    let bytes = DEEPSEEK_R1.stored_bytes(Class::RoutedExperts, &mix);
    assert!((bytes / (653.909e9 / 2.0) - 1.0).abs() < 1e-4, "{bytes}");
    assert!((DEEPSEEK_R1.stored_bytes(Class::Head, &mix) / 0.9267e9 - 1.0).abs() < 1e-3);
    let error = tensors::mix("x", &DEEPSEEK_R1, [("a", 5)]).unwrap_err().to_string();
    assert!(error.contains("do not fit"), "{error}");
}

fn pairs(of: &[(&str, u64)]) -> BTreeMap<String, Meta> {
    let mut pairs: BTreeMap<String, Meta> =
        of.iter().map(|(k, v)| ((*k).to_owned(), Meta::Number(*v))).collect();
    pairs.insert("tokenizer.ggml.tokens".into(), Meta::Length(151_936));
    pairs
}

#[test]
fn a_gguf_header_gives_the_model_of_the_catalogue() {
    let mut qwen = pairs(&[
        ("qwen3moe.block_count", 48),
        ("qwen3moe.embedding_length", 2048),
        ("qwen3moe.feed_forward_length", 6144),
        ("qwen3moe.expert_feed_forward_length", 768),
        ("qwen3moe.expert_count", 128),
        ("qwen3moe.expert_used_count", 8),
        ("qwen3moe.attention.head_count", 32),
        ("qwen3moe.attention.head_count_kv", 4),
        ("qwen3moe.attention.key_length", 128),
        ("qwen3moe.context_length", 40_960),
    ]);
    qwen.insert("general.architecture".into(), Meta::Text("qwen3moe".into()));
    let model = tensors::model_of_gguf(&qwen, false).unwrap();
    assert_eq!(Model { name: model.name, source: model.source, ..QWEN3_30B_A3B }, model);

    let mut deepseek = pairs(&[
        ("deepseek2.block_count", 61),
        ("deepseek2.embedding_length", 7168),
        ("deepseek2.feed_forward_length", 18_432),
        ("deepseek2.expert_feed_forward_length", 2048),
        ("deepseek2.expert_count", 256),
        ("deepseek2.expert_used_count", 8),
        ("deepseek2.expert_shared_count", 1),
        ("deepseek2.leading_dense_block_count", 3),
        ("deepseek2.attention.head_count", 128),
        ("deepseek2.attention.head_count_kv", 1),
        ("deepseek2.attention.q_lora_rank", 1536),
        ("deepseek2.attention.kv_lora_rank", 512),
        ("deepseek2.attention.key_length", 576),
        ("deepseek2.attention.value_length", 512),
        ("deepseek2.attention.key_length_mla", 192),
        ("deepseek2.attention.value_length_mla", 128),
        ("deepseek2.rope.dimension_count", 64),
        ("deepseek2.context_length", 163_840),
        ("deepseek2.vocab_size", 129_280),
    ]);
    assert!(
        tensors::model_of_gguf(&deepseek, false)
            .unwrap_err()
            .to_string()
            .contains("general.architecture")
    );
    deepseek.insert("general.architecture".into(), Meta::Text("deepseek2".into()));
    let model = tensors::model_of_gguf(&deepseek, false).unwrap();
    assert_eq!(Model { name: model.name, source: model.source, ..DEEPSEEK_R1 }, model);
    deepseek.remove("deepseek2.attention.head_count");
    let error = tensors::model_of_gguf(&deepseek, false).unwrap_err().to_string();
    assert!(error.contains("num_attention_heads"), "{error}");
}

proptest! {
    #[test]
    fn no_host_file_panics(text in "[a-z_\\[\\]{}=\"0-9. \n-]{0,80}") {
        let _ = toml::host(&format!("[dram]\n{text}"), "x");
        let _ = toml::host(&text, "x");
    }
}
