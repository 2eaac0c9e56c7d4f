//! How a unit adds up products, where that is not as good as f32.

use super::rounding::LAMBDA;

/// What becomes of the low bits of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sums {
    /// Every addition rounds to nearest in f32, or loses less.
    #[default]
    F32,
    /// A step adds some products and the sum so far: all are aligned to the largest of them, and what is below its
    /// leading bit by more than `fraction_bits` is cut off. The sum of a run of steps is then added in f32.
    Aligned {
        /// Bits kept below the leading bit of the largest.
        fraction_bits: u32,
        /// Products a step.
        step: usize,
        /// Products a run.
        run: usize,
    },
}

impl Sums {
    /// fp8 on the tensor cores of sm_90 when each `run` products are summed by themselves.
    ///
    /// 13 bits and steps of 32: DeepSeek-V3 Technical Report (arXiv 2412.19437, section 3.3.2) found about 14 bits on an
    /// H800; an H100 measured here loses 4e-5 of the norm at K = 32 and 1.1e-4 at 128, which 13 bits explain.
    pub const fn hopper_fp8(run: usize) -> Self {
        Self::Aligned { fraction_bits: 13, step: 32, run }
    }

    /// How much of the dot product of `x` and `y` may be cut off, beyond what f32 additions lose.
    ///
    /// With g = 2^-fraction_bits and X the largest magnitude that a step aligns to, each of its addends loses less than
    /// g X towards zero. That is g X / 2 times the addend's sign on average, which adds up as far as the signs do, and
    /// a deviation of at most g X / sqrt(3), which adds in quadrature: [`LAMBDA`] deviations are allowed, though never
    /// more than if every addend lost all it could.
    pub(super) fn cut_off(self, x: &[f64], y: &[f64]) -> f64 {
        let Self::Aligned { fraction_bits, step, run } = self else { return 0.0 };
        let grid = 0.5_f64.powi(fraction_bits as i32);
        let (mut worst, mut mean, mut square) = (0.0, 0.0, 0.0);
        for (x, y) in x.chunks(run).zip(y.chunks(run)) {
            let mut sum = 0.0_f64;
            for (x, y) in x.chunks(step).zip(y.chunks(step)) {
                let (mut largest, mut signs, mut products) = (sum.abs(), sum.signum(), 0.0);
                for (x, y) in x.iter().zip(y) {
                    let product = x * y;
                    largest = largest.max(product.abs());
                    signs += product.signum();
                    products += product;
                }
                sum += products;
                let (addends, lost) = ((x.len() + 1) as f64, grid * largest);
                worst += addends * lost;
                mean += signs * lost / 2.0;
                square += addends * lost * lost / 3.0;
            }
        }
        worst.min(mean.abs() + LAMBDA * square.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    /// The dot product as [`Sums::Aligned`] says it is computed; `skipped` is left out.
    fn aligned(x: &[f64], y: &[f64], sums: Sums, skipped: Option<usize>) -> f64 {
        let Sums::Aligned { fraction_bits, step, run } = sums else { panic!("nothing to align") };
        let terms: Vec<f64> = x.iter().zip(y).map(|(x, y)| x * y).collect();
        let mut total = 0.0;
        for (r, terms) in terms.chunks(run).enumerate() {
            let mut sum = 0.0;
            for (s, terms) in terms.chunks(step).enumerate() {
                let kept = |i: &usize| Some(r * run + s * step + i) != skipped;
                let addends: Vec<f64> =
                    (0..terms.len()).filter(kept).map(|i| terms[i]).chain([sum]).collect();
                let largest = addends.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                let unit = largest.log2().floor().exp2() * 0.5_f64.powi(fraction_bits as i32);
                let cut =
                    |addend: &f64| if unit > 0.0 { (addend / unit).trunc() * unit } else { 0.0 };
                sum = addends.iter().map(cut).sum();
            }
            total += sum;
        }
        total
    }

    fn row(k: usize, low: f64, seed: u64) -> Vec<f64> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        (0..k).map(|_| random.random_range(low..1.0)).collect()
    }

    #[test]
    fn what_alignment_cuts_off_is_allowed_and_a_lost_term_is_not() {
        for k in [1, 31, 32, 128, 500, 4096] {
            for run in [128, 4096] {
                for (seed, low) in (0..40).flat_map(|seed| [(seed, -1.0), (seed, 0.0)]) {
                    let sums = Sums::hopper_fp8(run);
                    let (x, y) = (row(k, low, seed), row(k, low, !seed));
                    let exact: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
                    let allowed = sums.cut_off(&x, &y);
                    let error = (aligned(&x, &y, sums, None) - exact).abs();
                    assert!(error <= allowed, "k {k} run {run} from {low}: {error} > {allowed}");
                    let largest =
                        (0..k).max_by(|&i, &j| (x[i] * y[i]).abs().total_cmp(&(x[j] * y[j]).abs()));
                    if low < 0.0 && k <= 500 && run == 128 {
                        let error = (aligned(&x, &y, sums, largest) - exact).abs();
                        assert!(error > allowed, "k {k}: {error} <= {allowed}");
                    }
                }
            }
        }
        assert_eq!(Sums::F32.cut_off(&[1.0], &[1.0]), 0.0);
    }
}
