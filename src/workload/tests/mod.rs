//! Tests of problems, the catalogue, and above all of the oracles: right kernels pass, each kind of wrong one fails.

mod attention_mxfp4;
mod attention_oracle;
mod catalogue;
mod gemm_oracle;
mod shapes;
mod work;

use super::*;
use crate::number::Matrix;
use crate::{Error, Result};

/// The values of one row as a kernel would hold them: f32, code times scale rounded once.
fn row_f32(matrix: &Matrix, row: usize) -> Vec<f32> {
    let mut values = vec![0.0; matrix.columns];
    matrix.decode_row(row, &mut values);
    values.into_iter().map(|value| value as f32).collect()
}

/// What the oracle said, which must be that the output is wrong.
fn wrong(result: Result<Verified>) -> String {
    match result {
        Err(Error::Wrong(message)) => message,
        other => panic!("passed as right: {other:?}"),
    }
}
