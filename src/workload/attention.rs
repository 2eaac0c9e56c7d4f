//! Scaled dot-product attention over a key/value cache.

use super::memory;
use crate::number::{Format, MX_BLOCK, Matrix};
use crate::{Error, Result};

/// Which half of inference the shape belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Many queries a head, causal: query `i` of `q` sees keys `0..=keys - q + i`.
    Prefill,
    /// One query a head, every key visible.
    Decode,
}

/// Largest dimension: contexts reach about 2^20 tokens.
const MAX_DIMENSION: usize = 1 << 20;

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

    /// The key/value head that query head `head` reads.
    pub const fn kv_head(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads)
    }

    /// How many keys, from the first, query `query` of a head sees.
    pub const fn visible_keys(&self, query: usize) -> usize {
        match self.phase {
            Phase::Prefill => self.keys - self.queries + query + 1,
            Phase::Decode => self.keys,
        }
    }

    /// Whether the shape makes sense and can be computed in `format`.
    ///
    /// # Errors
    /// [`Error::Input`] that says which dimension to change.
    pub fn check(&self, format: Format) -> Result<()> {
        let refuse =
            |next: String| Err(Error::input(format!("{self} is no attention shape"), next));
        let Self { heads, kv_heads, queries, keys, qk_dim, v_dim, scale_dim, .. } = *self;
        let dimensions = [heads, kv_heads, queries, keys, qk_dim, v_dim, scale_dim];
        if dimensions.iter().any(|&d| d == 0 || d > MAX_DIMENSION) {
            return refuse(format!("Give dimensions from 1 to {MAX_DIMENSION}"));
        }
        if !heads.is_multiple_of(kv_heads) {
            return refuse(format!(
                "Give a number of heads that {kv_heads} key/value heads divide"
            ));
        }
        if self.phase == Phase::Decode && queries != 1 {
            return refuse("Give one query a head for decode".into());
        }
        if queries > keys {
            return refuse(format!("Give at least as many keys as queries, {queries}"));
        }
        if self.latent && v_dim > qk_dim {
            return refuse(format!("Give values that are a prefix of the {qk_dim} of a key"));
        }
        let operations = [heads, queries, keys, 2 * (qk_dim + v_dim)];
        if operations.iter().try_fold(1u64, |all, &d| all.checked_mul(d as u64)).is_none() {
            return refuse("Give a shape of fewer than 2^64 operations".into());
        }
        format.check_columns(qk_dim)?;
        format.check_columns(v_dim)
    }

    /// Whether Q, `copies` of K and V, and one O fit in `available` bytes of memory.
    ///
    /// # Errors
    /// [`Error::Input`] when they don't, so that the shape is refused before anything is allocated.
    pub fn check_fits(&self, format: Format, copies: usize, available: u64) -> Result<()> {
        let once = self.bytes_read(format) - self.kv_bytes(format) + self.bytes_written();
        let needed = u128::from(once) + u128::from(self.kv_bytes(format)) * copies as u128;
        memory::check_fits(&format!("{self} in {format}"), needed, available)
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

    /// Rows and columns of V transposed, as a product takes it that scales blocks along keys: `kv_heads x v_dim` rows of
    /// the keys, up to a whole block. What stands behind the last key is seen by no query.
    pub const fn transposed_values(&self) -> (usize, usize) {
        (self.kv_heads * self.v_dim, self.keys.next_multiple_of(MX_BLOCK))
    }

    /// Bytes of O as f32.
    pub const fn bytes_written(&self) -> u64 {
        (self.heads * self.queries * self.v_dim * size_of::<f32>()) as u64
    }
}

/// The operands of one [`Attention`]: which rows they have is told there.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInputs<'a> {
    /// Queries.
    pub q: &'a Matrix,
    /// Keys.
    pub k: &'a Matrix,
    /// Values; `None` where they are a prefix of the keys (absorbed MLA).
    pub v: Option<&'a Matrix>,
}

impl AttentionInputs<'_> {
    /// The matrix whose rows start with the values: V, or K where there is no V.
    pub fn values(&self) -> &Matrix {
        self.v.unwrap_or(self.k)
    }

    /// Whether they are the operands of `problem`, all in one format.
    ///
    /// # Errors
    /// [`Error::Input`] that names the operand.
    pub fn check(&self, problem: &Attention) -> Result<()> {
        self.check_with(problem, (problem.kv_heads * problem.keys, problem.v_dim))
    }

    /// The same where V is transposed: see [`Attention::transposed_values`].
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_transposed(&self, problem: &Attention) -> Result<()> {
        self.check_with(problem, problem.transposed_values())
    }

    /// `values`: rows and columns of V, where there is one.
    fn check_with(&self, problem: &Attention, values: (usize, usize)) -> Result<()> {
        let format = self.q.format;
        problem.check(format)?;
        let cached = problem.kv_heads * problem.keys;
        let operands = [
            ("Q", Some(self.q), Some((problem.heads * problem.queries, problem.qk_dim))),
            ("K", Some(self.k), Some((cached, problem.qk_dim))),
            ("V", self.v, (!problem.latent).then_some(values)),
        ];
        for (name, matrix, expected) in operands {
            let got = matrix.map(|matrix| (matrix.rows, matrix.columns));
            if got != expected || matrix.is_some_and(|matrix| matrix.format != format) {
                return Err(Error::input(
                    format!("{name} is not an operand of {problem} in {format}"),
                    format!("Give rows and columns {expected:?} instead of {got:?}, in one format"),
                ));
            }
        }
        Ok(())
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
