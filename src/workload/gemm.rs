//! Matrix products: `C[M,N] = A[M,K] B[N,K]^T`.

use crate::number::Format;

/// The shape of one product. A are the activations, B the weights, both with K along the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// Rows of A and C: tokens.
    pub m: usize,
    /// Rows of B, columns of C: output features.
    pub n: usize,
    /// Columns of A and B: input features, the reduction dimension.
    pub k: usize,
}

impl Gemm {
    /// Floating-point (or integer) operations: one multiplication and one addition a product term.
    pub const fn flops(&self) -> u64 {
        2 * self.m as u64 * self.n as u64 * self.k as u64
    }

    /// Bytes of A and B with their scales, each counted once.
    pub const fn bytes_read(&self, format: Format) -> u64 {
        ((self.m + self.n) * format.stored_row_bytes(self.k)) as u64
    }

    /// Bytes of C as f32.
    pub const fn bytes_written(&self) -> u64 {
        (self.m * self.n * size_of::<f32>()) as u64
    }
}

impl std::fmt::Display for Gemm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "m{}n{}k{}", self.m, self.n, self.k)
    }
}
