//! Matrix products: `C[M,N] = A[M,K] B[N,K]^T`.

use super::memory;
use crate::number::{Format, INT8_MAX};
use crate::{Error, Result};

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

/// Largest M, N or K. The vocabulary of a model, the largest dimension in use, is about 2^18; and up to here every
/// count of operations and bytes fits in 64 bits.
const MAX_DIMENSION: usize = 1 << 20;

/// Largest K whose int8 products can't overflow an i32 accumulator: 127 x 127 x K < 2^31.
const MAX_INT8_K: usize = i32::MAX as usize / (INT8_MAX as usize * INT8_MAX as usize);

/// Characters of bad input that an error repeats.
const QUOTED: usize = 40;

impl Gemm {
    /// Environment variable with the user's own shapes: see [`Self::parse_list`].
    pub const VARIABLE: &str = "HOSTDYNO_GEMM";

    /// The shape of M, N, K.
    pub const fn new(m: usize, n: usize, k: usize) -> Self {
        Self { m, n, k }
    }

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

    /// Reads `MxNxK`, as in `1x7168x2048`.
    ///
    /// # Errors
    /// [`Error::Input`] when `text` is not three positive integers, each at most 2^20.
    pub fn parse(text: &str) -> Result<Self> {
        let next =
            format!("Give MxNxK, three positive integers: {}=2048x2048x2048", Self::VARIABLE);
        let quoted: String = text.trim().chars().take(QUOTED).collect();
        let refuse =
            |why: &str| Error::input(format!("'{quoted}' is not a GEMM shape: {why}"), &next);
        let fields: Vec<&str> = text.split(['x', 'X']).map(str::trim).collect();
        let &[m, n, k] = fields.as_slice() else {
            return Err(refuse("it does not have three dimensions"));
        };
        let dimension = |name: &str, field: &str| {
            // `parse` alone would accept a plus sign.
            if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refuse(&format!("{name} is not a positive integer")));
            }
            match field.parse() {
                Ok(0) => Err(refuse(&format!("{name} is zero"))),
                Ok(value @ 1..=MAX_DIMENSION) => Ok(value),
                _ => Err(refuse(&format!("{name} is larger than {MAX_DIMENSION}"))),
            }
        };
        Ok(Self { m: dimension("M", m)?, n: dimension("N", n)?, k: dimension("K", k)? })
    }

    /// Reads the value of `HOSTDYNO_GEMM`: shapes separated by commas. A shape given twice counts once.
    ///
    /// # Errors
    /// [`Error::Input`] when one of them is not a shape: see [`Self::parse`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut shapes = Vec::new();
        for field in text.split(',') {
            let shape = Self::parse(field)?;
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        Ok(shapes)
    }

    /// Whether the product can be computed in `format`.
    ///
    /// # Errors
    /// [`Error::Input`] when a dimension is zero or too large, when K is not a multiple of 32 for mxfp4 (the error
    /// names the nearest), or when the sum of K int8 products could overflow its i32 accumulator.
    pub fn check(&self, format: Format) -> Result<()> {
        if [self.m, self.n, self.k].iter().any(|&d| d == 0 || d > MAX_DIMENSION) {
            return Err(Error::input(
                format!("{self} is not a GEMM shape"),
                format!("Give M, N and K from 1 to {MAX_DIMENSION}"),
            ));
        }
        if format == Format::Int8 && self.k > MAX_INT8_K {
            return Err(Error::input(
                format!("K = {} int8 products can overflow the i32 accumulator", self.k),
                format!("Use K up to {MAX_INT8_K}, or another format"),
            ));
        }
        format.check_columns(self.k)
    }

    /// Whether `copies` of A and B and one C fit in `available` bytes of memory.
    ///
    /// # Errors
    /// [`Error::Input`] when they don't, so that the shape is refused before anything is allocated.
    pub fn check_fits(&self, format: Format, copies: usize, available: u64) -> Result<()> {
        let needed =
            self.bytes_read(format) as u128 * copies as u128 + self.bytes_written() as u128;
        memory::check_fits(&format!("{self} in {format}"), needed, available)
    }
}

impl std::fmt::Display for Gemm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "m{}n{}k{}", self.m, self.n, self.k)
    }
}
