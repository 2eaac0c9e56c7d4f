//! Scaled dot-product attention over a key/value cache.

use crate::number::Format;

/// Which half of inference the shape belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Many queries a head, causal: query `i` of `q` sees keys `0..=keys - q + i`.
    Prefill,
    /// One query a head, every key visible.
    Decode,
}

/// The shape of one attention problem: `O = softmax(Q K^T / sqrt(qk_dim)) V`, computed per head.
///
/// Operands are matrices with the feature dimension along the row: Q has `heads x queries` rows of `qk_dim`
/// (head-major), K has `kv_heads x keys` rows of `qk_dim`, V has `kv_heads x keys` rows of `v_dim`, O is f32 with
/// `heads x queries` rows of `v_dim`. Query head `h` reads key/value head `h / (heads / kv_heads)` (GQA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Prefill (causal) or decode.
    pub phase: Phase,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Queries a head: the chunk length in prefill, 1 in decode.
    pub queries: usize,
    /// Keys a head: the context length.
    pub keys: usize,
    /// Elements of a query or key.
    pub qk_dim: usize,
    /// Elements of a value.
    pub v_dim: usize,
    /// Absorbed MLA (DeepSeek): there is no V; the values are the first `v_dim` elements of the keys.
    pub latent: bool,
    /// The scores are divided by the square root of this: the head dimension the model was trained with.
    /// `qk_dim`, except for absorbed MLA (192 for DeepSeek's 128 + 64, not the 576 of the latent).
    pub scale_dim: usize,
}

impl Attention {
    /// Query-key pairs that the mask leaves, over all heads.
    pub const fn pairs(&self) -> u64 {
        let (q, s) = (self.queries as u64, self.keys as u64);
        let a_head = match self.phase {
            // Sum of keys - queries + i + 1 over the queries i.
            Phase::Prefill => q * (s - q) + q * (q + 1) / 2,
            Phase::Decode => q * s,
        };
        self.heads as u64 * a_head
    }

    /// Multiplications and additions of the two products, on the pairs that the mask leaves. Softmax is not counted.
    pub const fn flops(&self) -> u64 {
        2 * self.pairs() * (self.qk_dim + self.v_dim) as u64
    }

    /// Bytes of K and V with their scales: what decode has to stream.
    pub const fn kv_bytes(&self, format: Format) -> u64 {
        let v = if self.latent { 0 } else { format.stored_row_bytes(self.v_dim) };
        (self.kv_heads * self.keys * (format.stored_row_bytes(self.qk_dim) + v)) as u64
    }

    /// Bytes of Q, K and V, each counted once.
    pub const fn bytes_read(&self, format: Format) -> u64 {
        self.kv_bytes(format)
            + (self.heads * self.queries * format.stored_row_bytes(self.qk_dim)) as u64
    }

    /// Bytes of O as f32.
    pub const fn bytes_written(&self) -> u64 {
        (self.heads * self.queries * self.v_dim * size_of::<f32>()) as u64
    }
}

impl std::fmt::Display for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = match self.phase {
            Phase::Prefill => "prefill",
            Phase::Decode => "decode",
        };
        let Self { heads, kv_heads, queries, keys, qk_dim, v_dim, .. } = self;
        if self.latent {
            write!(f, "{phase}-mla-h{heads}q{queries}s{keys}d{qk_dim}v{v_dim}")
        } else {
            write!(f, "{phase}-h{heads}kv{kv_heads}q{queries}s{keys}d{qk_dim}v{v_dim}")
        }
    }
}
