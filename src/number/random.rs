//! Seeded random matrices: what benches multiply.
//!
//! Never zeros or constants: data that toggle fewer bits draw less power, and ran 13 to 15 % faster on GPUs.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::format::{Format, MX_BLOCK};
use super::matrix::Matrix;
use crate::Result;

/// Block exponents of a random mxfp4 matrix: E8M0 scales take eight values, so that a kernel which confuses two of
/// them is caught.
const BLOCK_EXPONENTS: std::ops::RangeInclusive<i32> = -7..=0;

/// The seed of one row of a matrix: one generator a row, so that rows can be filled in any order. The odd constant is 2^64
/// over the golden ratio (Knuth, TAOCP volume 3, section 6.4); it keeps the streams of neighbouring seeds apart.
pub(super) const fn row_seed(seed: u64, row: usize) -> u64 {
    seed ^ (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Matrix {
    /// Uniform in [-1, 1), quantised; for mxfp4 each block is first multiplied by a random power of two from 2^-7 to
    /// 2^0. Depends on nothing but the arguments: not on the number of threads, nor on the machine.
    ///
    /// # Errors
    /// [`crate::Error::Input`] when `columns` does not suit the format.
    pub fn random(format: Format, rows: usize, columns: usize, seed: u64) -> Result<Self> {
        Self::quantise_rows(format, rows, columns, |row, values| {
            let mut rng = Pcg64Mcg::seed_from_u64(row_seed(seed, row));
            for block in values.chunks_mut(MX_BLOCK) {
                let factor = match format {
                    Format::Mxfp4 => 2f32.powi(rng.random_range(BLOCK_EXPONENTS)),
                    _ => 1.0,
                };
                block.fill_with(|| (2.0 * rng.random::<f32>() - 1.0) * factor);
            }
        })
    }
}
