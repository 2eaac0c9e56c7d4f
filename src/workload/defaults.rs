//! Which problems are measured when nobody asks for others.
//!
//! Decode (a few tokens, bound by how fast weights are read) to prefill (many, bound by arithmetic), from models that
//! stress different things: the small experts of DeepSeek, the wide layers of Llama, dimensions that are no powers of
//! two. Each [`Extent`] holds the problems of the one before, so that a quick run and a thorough one can be compared.
//!
//! The sizes are chosen for the slowest host that must finish, 2 cores of about 100 GFLOP/s: one iteration takes at
//! most some 0.3 s up to [`Extent::Standard`], and operands at most 0.6 GB.

use super::model::{DEEPSEEK_R1, GPT_OSS_120B, LLAMA_3_1_70B, Model, QWEN3_235B, Role};
use super::{Attention, Gemm};
use crate::number::Format;

/// How many problems are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// One problem of each kind.
    Quick,
    /// What a report needs.
    Standard,
    /// Large prefill, long contexts and wide layers too.
    Thorough,
}

/// A problem and where in which model it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<P> {
    /// As in `deepseek-r1 expert gate/up`.
    pub role: String,
    /// Its shape.
    pub problem: P,
}

/// Products of models, with the number of tokens.
const PRODUCTS: [(Extent, Model, Role, usize); 11] = [
    (Extent::Quick, DEEPSEEK_R1, Role::ExpertGateUp, 1),
    (Extent::Standard, DEEPSEEK_R1, Role::ExpertDown, 1),
    (Extent::Standard, LLAMA_3_1_70B, Role::AttentionOutput, 1),
    (Extent::Standard, GPT_OSS_120B, Role::ExpertGateUp, 4),
    (Extent::Quick, DEEPSEEK_R1, Role::ExpertGateUp, 16),
    (Extent::Standard, QWEN3_235B, Role::ExpertGateUp, 64),
    (Extent::Standard, DEEPSEEK_R1, Role::ExpertGateUp, 512),
    (Extent::Thorough, LLAMA_3_1_70B, Role::MlpGateUp, 1),
    (Extent::Thorough, GPT_OSS_120B, Role::Head, 1),
    (Extent::Thorough, QWEN3_235B, Role::ExpertDown, 128),
    (Extent::Thorough, LLAMA_3_1_70B, Role::AttentionOutput, 4096),
];

/// Cubes, which other benchmarks report.
const CUBES: [(Extent, usize); 2] = [(Extent::Quick, 2048), (Extent::Thorough, 4096)];

/// Contexts that one new token attends to.
const DECODES: [(Extent, Model, usize); 6] = [
    (Extent::Quick, LLAMA_3_1_70B, 8192),
    (Extent::Standard, LLAMA_3_1_70B, 32_768),
    (Extent::Standard, DEEPSEEK_R1, 8192),
    (Extent::Standard, GPT_OSS_120B, 8192),
    (Extent::Thorough, DEEPSEEK_R1, 32_768),
    (Extent::Thorough, QWEN3_235B, 32_768),
];

/// Chunks of queries, and the context with them.
const PREFILLS: [(Extent, Model, usize, usize); 4] = [
    (Extent::Quick, LLAMA_3_1_70B, 1024, 1024),
    (Extent::Thorough, LLAMA_3_1_70B, 2048, 2048),
    (Extent::Thorough, QWEN3_235B, 512, 8192),
    (Extent::Thorough, DEEPSEEK_R1, 1024, 1024),
];

/// The products that are measured over the number of CPU threads: one row of weights, where memory should limit and few
/// threads be enough (expanding a format may take more), and a cube, which shows what second hardware threads add.
pub fn thread_sweeps() -> impl Iterator<Item = (Gemm, Format)> {
    let row = LLAMA_3_1_70B.gemm(Role::AttentionOutput, 1);
    let rows = Format::MAIN.into_iter().filter_map(move |format| Some((row?, format)));
    let (_, d) = CUBES[0];
    rows.chain([Format::Bf16, Format::Int8].map(|format| (Gemm::new(d, d, d), format)))
}

/// The products to measure, in the order in which they are reported.
pub fn default_gemms(extent: Extent) -> Vec<Named<Gemm>> {
    let products = PRODUCTS.iter().filter(|product| product.0 <= extent);
    let products = products.filter_map(|&(_, model, role, tokens)| {
        let role_name = format!("{} {}", model.name, role.name());
        Some(Named { role: role_name, problem: model.gemm(role, tokens)? })
    });
    let cubes = CUBES.iter().filter(|cube| cube.0 <= extent);
    let cubes =
        cubes.map(|&(_, d)| Named { role: format!("cube of {d}"), problem: Gemm::new(d, d, d) });
    products.chain(cubes).collect()
}

/// The attentions to measure, in the order in which they are reported.
pub fn default_attentions(extent: Extent) -> Vec<Named<Attention>> {
    let decodes = DECODES.iter().filter(|decode| decode.0 <= extent);
    let decodes = decodes.map(|(_, model, keys)| Named {
        role: format!("{} decode, context {keys}", model.name),
        problem: model.decode(*keys),
    });
    let prefills = PREFILLS.iter().filter(|prefill| prefill.0 <= extent);
    let prefills = prefills.map(|(_, model, queries, keys)| Named {
        role: format!("{} prefill of {queries}, context {keys}", model.name),
        problem: model.prefill(*queries, *keys),
    });
    decodes.chain(prefills).collect()
}
