//! The catalogue: figures that add up, defaults that every format can compute in time.

use super::model::{Heads, Model, Role};
use super::*;
use crate::number::Format;

/// Parameters in all layers, and those that one token uses: input embedding not counted, it is looked up.
fn parameters(model: &Model) -> (usize, usize) {
    let attention = match model.heads {
        Heads::Grouped { heads, kv_heads, dim } => 2 * model.hidden * dim * (heads + kv_heads),
        Heads::Latent { heads, q_rank, kv_rank, nope_dim, rope_dim, v_dim } => {
            let q = q_rank * (model.hidden + heads * (nope_dim + rope_dim));
            let kv = model.hidden * (kv_rank + rope_dim) + kv_rank * heads * (nope_dim + v_dim);
            q + kv + heads * v_dim * model.hidden
        }
    };
    let mlp = |intermediate: usize| 3 * model.hidden * intermediate;
    let (dense_layers, dense) = model.dense.map_or((0, 0), |d| (d.layers, mlp(d.intermediate)));
    let moe_layers = model.layers - dense_layers;
    let (all, active) = model.experts.map_or((0, 0), |e| {
        let router = model.hidden * e.routed;
        let expert = mlp(e.intermediate);
        ((e.routed + e.shared) * expert + router, (e.active + e.shared) * expert + router)
    });
    let head = model.hidden * model.vocabulary;
    let common = model.layers * attention + dense_layers * dense + head;
    (common + moe_layers * all + head, common + moe_layers * active)
}

#[test]
fn figures_add_up_to_the_published_sizes() {
    // Names on huggingface.co; for gpt-oss its model card, arXiv:2508.10925, table 1.
    let published = [(671e9, 37e9), (70.6e9, 69.5e9), (235e9, 22e9), (116.8e9, 5.1e9)];
    for (model, (all, active)) in MODELS.iter().zip(published) {
        let (our_all, our_active) = parameters(model);
        let off = |ours: usize, theirs: f64| (ours as f64 / theirs - 1.0).abs();
        assert!(off(our_all, all) < 0.002, "{}: {our_all}", model.name);
        assert!(off(our_active, active) < 0.025, "{}: {our_active}", model.name);
        assert!(model.source.contains("config.json"));
    }
}

#[test]
fn roles_have_the_shapes_of_their_models() {
    let shape = |model: Model, role, tokens| model.gemm(role, tokens).unwrap().to_string();
    assert_eq!(shape(DEEPSEEK_R1, Role::ExpertGateUp, 1), "m1n2048k7168");
    assert_eq!(shape(DEEPSEEK_R1, Role::ExpertDown, 1), "m1n7168k2048");
    assert_eq!(shape(DEEPSEEK_R1, Role::AttentionOutput, 2), "m2n7168k16384");
    assert_eq!(shape(LLAMA_3_1_70B, Role::MlpDown, 3), "m3n8192k28672");
    assert_eq!(shape(QWEN3_235B, Role::AttentionOutput, 1), "m1n4096k8192");
    assert_eq!(shape(GPT_OSS_120B, Role::Head, 1), "m1n201088k2880");
    assert_eq!(LLAMA_3_1_70B.gemm(Role::ExpertDown, 1), None);
    assert_eq!(QWEN3_235B.gemm(Role::MlpDown, 1), None);
}

#[test]
fn latent_attention_is_absorbed_in_decode_and_expanded_in_prefill() {
    let decode = DEEPSEEK_R1.decode(8192);
    assert_eq!(decode.to_string(), "decode-mla-h128q1s8192d576v512");
    assert_eq!((decode.scale_dim, decode.kv_heads), (192, 1));
    let prefill = DEEPSEEK_R1.prefill(128, 256);
    assert_eq!(prefill.to_string(), "prefill-h128kv128q128s256d192v128");
    assert_eq!(LLAMA_3_1_70B.decode(10).to_string(), "decode-h64kv8q1s10d128v128");
}

#[test]
fn every_default_suits_every_format() {
    for format in Format::ALL {
        for gemm in default_gemms(Extent::Thorough) {
            gemm.problem.check(format).unwrap();
        }
        for attention in default_attentions(Extent::Thorough) {
            attention.problem.check(format).unwrap();
        }
    }
}

#[test]
fn extents_grow_and_name_each_problem_once() {
    let names = |extent| {
        let gemms = default_gemms(extent).into_iter().map(|gemm| gemm.problem.to_string());
        let attentions = default_attentions(extent).into_iter().map(|a| a.problem.to_string());
        gemms.chain(attentions).collect::<Vec<_>>()
    };
    let all = names(Extent::Thorough);
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{all:?}");
    for (smaller, larger) in
        [(Extent::Quick, Extent::Standard), (Extent::Standard, Extent::Thorough)]
    {
        let larger = names(larger);
        assert!(names(smaller).iter().all(|name| larger.contains(name)));
    }
    for (extent, gemms, attentions) in [(Extent::Quick, 3, 2), (Extent::Standard, 8, 5)] {
        assert_eq!(default_gemms(extent).len(), gemms);
        assert_eq!(default_attentions(extent).len(), attentions);
    }
}

/// What the standard run may cost on 2 cores.
#[test]
fn standard_problems_are_small() {
    for Named { role, problem } in default_gemms(Extent::Standard) {
        assert!(problem.flops() < 20_000_000_000, "{role}");
        problem.check_fits(Format::Bf16, 3, 600_000_000).unwrap();
    }
    for Named { role, problem } in default_attentions(Extent::Standard) {
        assert!(problem.flops() < 20_000_000_000, "{role}");
        problem.check_fits(Format::Bf16, 3, 600_000_000).unwrap();
    }
}
