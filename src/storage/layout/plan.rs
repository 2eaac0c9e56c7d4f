//! Which bytes of a shard set are read, in which order: the access patterns of model loaders.

use super::directory::ShardSet;
use super::extent::{Extent, joined};
use super::tensor::Tensor;

/// An access pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Every file from its first byte to its last.
    WholeShards,
    /// Every tensor by itself, in file order, as loaders that hand over one tensor at a time do.
    TensorByTensor,
    /// What one of `of` ranks of a tensor-parallel group needs.
    TensorParallel {
        /// This rank, from 0.
        rank: u64,
        /// Ranks of the group.
        of: u64,
    },
    /// All routed experts of one layer.
    LayerExperts(u64),
}

/// How a weight is divided over a tensor-parallel group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Division {
    /// By rows of the stored matrix: each rank's part is one range.
    Rows,
    /// By columns: each rank's part is a piece of every row. The pieces are shorter than a block, so the whole tensor
    /// is read and cut in memory, as loaders do.
    Columns,
    /// Not at all: every rank needs all of it.
    Whole,
}

impl Plan {
    /// The byte ranges of `set` that are read.
    pub fn extents(self, set: &ShardSet) -> Vec<Extent> {
        match self {
            Self::WholeShards => (set.shards.iter().enumerate())
                .map(|(file, shard)| Extent { file, offset: 0, bytes: shard.header.file_bytes })
                .collect(),
            Self::TensorByTensor => tensors(set).map(|(file, t)| whole(file, t)).collect(),
            Self::TensorParallel { rank, of } => {
                joined(tensors(set).filter_map(|(file, t)| slice(file, t, rank, of)))
            }
            Self::LayerExperts(layer) => joined(
                tensors(set)
                    .filter(|(_, t)| routed_expert_of(&t.name) == Some(layer))
                    .map(|(file, t)| whole(file, t)),
            ),
        }
    }
}

/// Layers that have routed experts, ascending.
pub fn expert_layers(set: &ShardSet) -> Vec<u64> {
    let layers = tensors(set).filter_map(|(_, t)| routed_expert_of(&t.name));
    layers.collect::<std::collections::BTreeSet<u64>>().into_iter().collect()
}

/// The byte ranges of each single routed expert, in file order of its first tensor. In safetensors an expert has tensors
/// of its own; in GGUF a tensor holds all experts of a layer, one after the other.
pub fn single_experts(set: &ShardSet) -> Vec<Vec<Extent>> {
    let mut experts: std::collections::BTreeMap<(u64, u64), Vec<Extent>> = Default::default();
    for (file, tensor) in tensors(set) {
        let Some(layer) = routed_expert_of(&tensor.name) else { continue };
        match (number_after(&tensor.name, "experts"), tensor.shape.first()) {
            (Some(expert), _) => {
                experts.entry((layer, expert)).or_default().push(whole(file, tensor));
            }
            (None, Some(&count)) if count > 0 && tensor.bytes.is_multiple_of(count) => {
                let bytes = tensor.bytes / count;
                for expert in 0..count {
                    let offset = tensor.offset + expert * bytes;
                    experts.entry((layer, expert)).or_default().push(Extent {
                        file,
                        offset,
                        bytes,
                    });
                }
            }
            _ => {}
        }
    }
    experts.into_values().map(joined).collect()
}

fn tensors(set: &ShardSet) -> impl Iterator<Item = (usize, &Tensor)> {
    let shards = set.shards.iter().enumerate();
    shards.flat_map(|(file, shard)| shard.header.tensors.iter().map(move |t| (file, t)))
}

fn whole(file: usize, tensor: &Tensor) -> Extent {
    Extent { file, offset: tensor.offset, bytes: tensor.bytes }
}

/// What `rank` of `of` needs of a tensor; `None` when that is nothing.
fn slice(file: usize, tensor: &Tensor, rank: u64, of: u64) -> Option<Extent> {
    let all = whole(file, tensor);
    let rows = tensor.shape.first().copied().unwrap_or(0);
    let part = match division(tensor) {
        Division::Rows if rows >= of && rank < of => {
            let row_bytes = tensor.bytes / rows;
            let (first, end) = (rows * rank / of, rows * (rank + 1) / of);
            Extent {
                offset: all.offset + first * row_bytes,
                bytes: (end - first) * row_bytes,
                ..all
            }
        }
        _ => all,
    };
    (part.bytes > 0).then_some(part)
}

/// How the common runtimes divide a weight of this name (Megatron's column- and row-parallel linear layers: a
/// safetensors weight is stored as `[outputs, inputs]`, so column-parallel divides its rows).
fn division(tensor: &Tensor) -> Division {
    const BY_ROWS: [&str; 19] = [
        "q_proj",
        "k_proj",
        "v_proj",
        "q_b_proj",
        "kv_b_proj",
        "gate_proj",
        "up_proj",
        "embed_tokens",
        "lm_head",
        "qkv_proj",
        // The same in GGUF.
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_q_b",
        "attn_kv_b",
        "ffn_gate",
        "ffn_up",
        "token_embd",
        "output",
    ];
    const BY_COLUMNS: [&str; 4] = ["o_proj", "down_proj", "attn_output", "ffn_down"];
    let is = |names: &[&str]| tensor.name.split('.').any(|part| names.contains(&part));
    match tensor.shape.len() {
        0 | 1 => Division::Whole,
        _ if is(&BY_ROWS) => Division::Rows,
        _ if is(&BY_COLUMNS) => Division::Columns,
        _ => Division::Whole,
    }
}

/// The layer of a routed expert's tensor: `model.layers.<n>.mlp.experts.<e>...` in safetensors,
/// `blk.<n>.ffn_gate_exps.weight` in GGUF.
fn routed_expert_of(name: &str) -> Option<u64> {
    if number_after(name, "experts").is_some() {
        number_after(name, "layers")
    } else if name.split('.').any(|part| part.ends_with("_exps")) {
        number_after(name, "blk")
    } else {
        None
    }
}

/// The number that follows the path segment `word`.
fn number_after(name: &str, word: &str) -> Option<u64> {
    let mut parts = name.split('.');
    parts.find(|&part| part == word)?;
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Shard};
    use super::*;

    /// A set of one file whose tensors have these names and shapes, one byte an element.
    fn set(tensors: &[(&str, &[u64])]) -> ShardSet {
        let mut offset = 100;
        let place = |&(name, shape): &(&str, &[u64])| {
            let bytes = shape.iter().product();
            offset += bytes;
            let element = safetensors::Dtype::U8.into();
            Tensor {
                name: name.into(),
                element,
                shape: shape.into(),
                offset: offset - bytes,
                bytes,
            }
        };
        let tensors: Vec<Tensor> = tensors.iter().map(place).collect();
        let header = Header { data_offset: 100, file_bytes: offset, tensors };
        let shards = vec![Shard { path: "x".into(), header }];
        ShardSet { description: String::new(), shards, left_out: 0 }
    }

    fn ranges(extents: &[Extent]) -> Vec<(u64, u64)> {
        extents.iter().map(|e| (e.offset, e.bytes)).collect()
    }

    const LAYER: [(&str, &[u64]); 6] = [
        ("model.layers.3.mlp.experts.0.gate_proj.weight", &[8, 4]),
        ("model.layers.3.mlp.experts.1.gate_proj.weight", &[8, 4]),
        ("model.layers.3.mlp.shared_experts.gate_proj.weight", &[8, 4]),
        ("model.layers.3.mlp.experts.0.down_proj.weight", &[4, 8]),
        ("model.layers.4.mlp.experts.0.down_proj.weight", &[4, 8]),
        ("model.norm.weight", &[10]),
    ];

    #[test]
    fn whole_shards_and_single_tensors_cover_every_byte() {
        let set = set(&LAYER);
        assert_eq!(ranges(&Plan::WholeShards.extents(&set)), [(0, 270)]);
        let tensors = Plan::TensorByTensor.extents(&set);
        assert_eq!(tensors.len(), 6);
        assert_eq!(ranges(&joined(tensors)), [(100, 170)]);
    }

    #[test]
    fn the_experts_of_a_layer_leave_out_shared_ones_and_other_layers() {
        let gguf = set(&[
            ("blk.7.ffn_up_exps.weight", &[3, 2, 5]),
            ("blk.7.ffn_up_shexp.weight", &[2, 5]),
            ("blk.7.ffn_down_exps.weight", &[3, 5, 2]),
        ]);
        let set = set(&LAYER);
        assert_eq!(expert_layers(&set), [3, 4]);
        assert_eq!(ranges(&Plan::LayerExperts(3).extents(&set)), [(100, 64), (196, 32)]);
        let experts = single_experts(&set);
        assert_eq!(experts.len(), 3);
        assert_eq!(ranges(&experts[0]), [(100, 32), (196, 32)]);
        let experts = single_experts(&gguf);
        assert_eq!(experts.len(), 3);
        assert_eq!(ranges(&experts[2]), [(120, 10), (160, 10)]);
        assert_eq!(routed_expert_of("blk.7.ffn_gate_exps.weight"), Some(7));
        assert_eq!(routed_expert_of("blk.7.ffn_gate_shexp.weight"), None);
    }

    #[test]
    fn ranks_together_read_every_divided_row_once() {
        let set = set(&LAYER);
        let of = |rank| Plan::TensorParallel { rank, of: 3 }.extents(&set);
        // 8 rows of 4 bytes over three ranks: 2, 3 and 3 rows; the down projections and the norm are whole.
        assert_eq!(ranges(&of(0)), [(100, 8), (132, 8), (164, 8), (196, 74)]);
        assert_eq!(ranges(&of(1)), [(108, 12), (140, 12), (172, 12), (196, 74)]);
        let total: u64 = (0..3).flat_map(of).map(|e| e.bytes).sum();
        assert_eq!(total, 96 + 3 * 74);
    }
}
