//! `hostdyno bottleneck` as its user meets it.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn hostdyno(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("hostdyno").expect("built");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("COLUMNS", "160")
        .arg("bottleneck")
        .args(arguments);
    command
}

const FOUNDING: &str = "results/reference/hosts/epyc-12x6400-rtx-pro-6000.toml";

fn printed(arguments: &[&str]) -> String {
    let output = hostdyno(arguments).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).expect("text")
}

/// Exit code 2, and every one of `parts` on standard error.
#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = hostdyno(arguments).assert().code(2);
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn the_founding_case_is_answered() {
    let text = printed(&["--model", "deepseek-r1", "--host", FOUNDING, "--target", "10"]);
    for part in [
        "671.025e9 weights",
        "70272 B a token",
        "DRAM binds",
        "second-tightest is launch and latency",
        "never above",
        "out of memory beyond batch",
        "target of 10.0 tokens/s",
        "reached",
        "theoretical",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part:?}");
    }
    let small = "results/reference/hosts/xeon-6454s-4090d.toml";
    let text =
        printed(&["--model", "deepseek-r1", "--host", small, "--format", "q8_0", "--target", "10"]);
    assert!(text.contains("DRAM read, GB/s: "), "{text}");
    assert!(text.contains("the least single change that reaches it: "), "{text}");
}

#[test]
fn json_holds_what_the_terminal_shows() {
    let text = printed(&[
        "--model",
        "deepseek-r1",
        "--host",
        FOUNDING,
        "--target",
        "10",
        "--sweep",
        "all",
        "--json",
    ]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let answer = &value["bottleneck"];
    assert_eq!(
        (&value["kind"], &answer["decode"]["binding"]),
        (&"bottleneck".into(), &"dram".into())
    );
    let seconds = |key: &str| answer["decode"]["seconds"][key].as_f64().expect("a number");
    assert!(seconds("low") < seconds("likely") && seconds("likely") < seconds("high"));
    assert_eq!(answer["sweeps"].as_array().expect("a list").len(), 4);
    assert_eq!(answer["inputs"][0]["origin"], "theoretical");
    assert!(answer["target"]["reached"].as_bool().expect("a bool"));
}

#[test]
fn published_points_are_checked() {
    let value: Value = serde_json::from_str(&printed(&["--check", "--json"])).expect("JSON");
    let mean = value["bottleneck-check"]["mean_error_one_socket"].as_f64().expect("a number");
    assert!(mean <= 0.15, "{mean}");
    let file = "src/bottleneck/data/published.json";
    assert!(printed(&["--check", file]).contains("H4b"));
    refused(&["--check", "Cargo.toml"], &["Cargo.toml", "points"]);
    refused(&["--check", "nowhere.json"], &["nowhere.json"]);
}

#[test]
fn bad_input_is_answered_with_what_to_type() {
    refused(&[], &["--model"]);
    refused(&["--model", "deepseek-r9", "--host", FOUNDING], &["deepseek-r1", "config.json"]);
    refused(&["--model", "deepseek-r1", "--host", "nowhere.toml"], &["nowhere.toml"]);
    refused(
        &["--model", "deepseek-r1", "--host", "Cargo.toml"],
        &["Cargo.toml", "results/reference/hosts"],
    );
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--format", "fp7"], &["fp7", "q4_k_m"]);
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--context", "999999"], &["163840"]);
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--context", "0"], &["--context"]);
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--batch", "0"], &["--batch"]);
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--target", "0"], &["--target"]);
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--kv", "q4"], &["bf16"]);
    refused(
        &["--model", "deepseek-r1", "--host", FOUNDING, "--sweep", "colour"],
        &["tensor-parallel"],
    );
    refused(&["--model", "deepseek-r1", "--host", FOUNDING, "--run", "x"], &["--run"]);
    refused(&["--model", "deepseek-r1", "--results", "/nonexistent"], &["--host", "cargo bench"]);
    let split = ["--model", "deepseek-r1", "--host", FOUNDING, "--experts", "vram"];
    refused(&split, &["does not fit", "96.0 GB there", "--experts auto"]);
    let dense = ["--model", "llama-3.1-70b", "--host", FOUNDING, "--format", "bf16"];
    refused(&dense, &["VRAM: 144", "--format fp8 or int8"]);
    let no_gpu = "results/reference/hosts/epyc-7773x.toml";
    refused(
        &["--model", "deepseek-r1", "--host", no_gpu, "--tensor-parallel", "2"],
        &["--tensor-parallel"],
    );
}

const QWEN: &str = r#"{"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128, "tie_word_embeddings": true,
    "max_position_embeddings": 4096}"#;

/// A safetensors file of one bf16 tensor of `weights` elements.
fn shard(path: &Path, weights: u64) {
    let header = format!(
        r#"{{"model.layers.0.mlp.up_proj.weight":{{"dtype":"BF16","shape":[{weights}],"data_offsets":[0,{}]}}}}"#,
        2 * weights
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + 2 * weights as usize, 7);
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn models_come_from_config_json_and_headers() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, at) = (directory.path(), directory.path().display().to_string());
    let with = |model: &str| -> Vec<String> {
        ["--model", model, "--host", FOUNDING, "--context", "100"].map(str::to_owned).to_vec()
    };
    let run = |model: &str| printed(&with(model).iter().map(String::as_str).collect::<Vec<_>>());
    let bad = |model: &str, parts: &[&str]| {
        refused(&with(model).iter().map(String::as_str).collect::<Vec<_>>(), parts)
    };
    bad(&at, &[&at]);
    let config = path.join("config.json");
    std::fs::write(&config, QWEN).expect("written");
    // Embedding, two layers of attention (q, k, v and o) and of three matrices.
    let weights = 64 * 128 + 2 * (64 * 16 * 4 * 2 + 64 * 16 * 2 * 2 + 3 * 64 * 128);
    assert!(run(&at).contains("q4_k_m"), "shapes alone");
    assert!(run(config.to_str().expect("text")).contains("q4_k_m"));
    shard(&path.join("model.safetensors"), weights);
    assert!(run(&at).contains("16.00 bits a weight"), "{}", run(&at));
    std::fs::write(path.join("model.safetensors"), b"short").expect("written");
    bad(&at, &["safetensors"]);
    shard(&path.join("model.safetensors"), weights * 9);
    bad(&at, &["do not fit"]);
    std::fs::write(&config, QWEN.replace("hidden_size", "hidden")).expect("written");
    bad(config.to_str().expect("text"), &["hidden_size", "config.json"]);
    std::fs::remove_file(&config).expect("removed");
    bad(&at, &["config.json"]);
    let gguf = path.join("x.gguf");
    std::fs::write(&gguf, b"GGUF\x03\x00").expect("written");
    bad(gguf.to_str().expect("text"), &["GGUF"]);
}
