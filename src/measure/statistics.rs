//! Medians, quartiles, and an interval of the median that assumes nothing about the distribution.
//!
//! Timings are skewed and often bimodal, so nothing here uses a mean or a standard deviation. The interval comes from
//! order statistics: the number of samples below the true median is Binomial(n, 1/2), so the l-th smallest and the
//! l-th largest sample enclose it with a probability that does not depend on the distribution (H. A. David and
//! H. N. Nagaraja, *Order Statistics*, 3rd ed., section 7.1).

use crate::record::{Interval, Summary};

/// Confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// Quantile `q` in 0..=1 of ascending `sorted`, interpolated linearly between neighbours (Hyndman and Fan's type 7,
/// the default of R and numpy).
///
/// # Panics
/// When `sorted` is empty.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// Rank `l` (from 1) such that the l-th smallest and l-th largest of `n` samples enclose the median with at least
/// [`CONFIDENCE`]; `None` below 6 samples, where not even the extremes do.
fn median_rank(n: usize) -> Option<usize> {
    // P(Binomial(n, 1/2) <= l - 1) is the chance that the l-th smallest lies above the median: a tail.
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let mut term = 0.5f64.powi(i32::try_from(n).ok()?);
    if term == 0.0 {
        // 2^-n underflows from about 1,075 samples on: the normal approximation is exact to a rank there.
        let l = (n as f64 - 1.959_964 * (n as f64).sqrt()) / 2.0;
        return Some(l.floor() as usize);
    }
    let (mut cumulative, mut rank) = (0.0, 0);
    loop {
        cumulative += term;
        if cumulative > tail {
            return (rank > 0).then_some(rank);
        }
        rank += 1;
        term *= (n + 1 - rank) as f64 / rank as f64;
    }
}

/// Median, quartiles, extremes and interval of `values`; `None` when there are none or one is not finite.
pub fn summarise(values: &[f64]) -> Option<Summary> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    Some(Summary {
        samples: n,
        median: quantile(&sorted, 0.5),
        q1: quantile(&sorted, 0.25),
        q3: quantile(&sorted, 0.75),
        min: sorted[0],
        max: sorted[n - 1],
        median_ci95: median_rank(n).map(|l| Interval { low: sorted[l - 1], high: sorted[n - l] }),
    })
}

/// Half the width of the interval of the median over the median: the noise that sampling tries to get below a
/// target. Infinite while there are too few samples for an interval.
pub fn relative_half_width(summary: &Summary) -> f64 {
    summary.median_ci95.map_or(f64::INFINITY, |ci| {
        (ci.high - ci.low) / 2.0 / summary.median.abs().max(f64::MIN_POSITIVE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the binomial distribution: the classic table of order-statistic ranks for the median at 95 %.
    #[test]
    fn ranks_are_those_of_the_published_table() {
        let table = [
            (5, None),
            (6, Some(1)),
            (8, Some(1)),
            (9, Some(2)),
            (10, Some(2)),
            (20, Some(6)),
            (30, Some(10)),
            (50, Some(18)),
            (100, Some(40)),
        ];
        for (n, rank) in table {
            assert_eq!(median_rank(n), rank, "n = {n}");
        }
    }

    #[test]
    fn ranks_of_many_samples_follow_the_normal_approximation() {
        for n in [1000, 1074, 1075, 1076, 5000] {
            let expected = (n as f64 - 1.96 * (n as f64).sqrt()) / 2.0;
            let rank = median_rank(n).expect("many samples") as f64;
            assert!((rank - expected).abs() <= 1.0, "n = {n}: {rank} against {expected}");
        }
    }

    /// The promise itself: the interval holds the true median in at least 95 % of experiments, whatever the shape.
    #[test]
    fn the_interval_covers_a_skewed_median() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_pcg::Pcg64::seed_from_u64(7);
        for n in [6, 11, 30, 101] {
            let covered = (0..4000)
                .filter(|_| {
                    // Exponential: median ln 2.
                    let values: Vec<f64> =
                        (0..n).map(|_| -(1.0 - rng.random::<f64>()).ln()).collect();
                    let ci =
                        summarise(&values).and_then(|s| s.median_ci95).expect("enough samples");
                    (ci.low..=ci.high).contains(&std::f64::consts::LN_2)
                })
                .count();
            // Three standard errors below 95 % of 4,000.
            assert!(covered >= 3800 - 42, "n = {n}: {covered} of 4000");
        }
    }

    #[test]
    fn quartiles_interpolate() {
        let summary = summarise(&[4.0, 1.0, 3.0, 2.0]).expect("finite");
        assert_eq!((summary.q1, summary.median, summary.q3), (1.75, 2.5, 3.25));
        assert_eq!((summary.min, summary.max, summary.median_ci95), (1.0, 4.0, None));
    }

    #[test]
    fn nothing_or_not_finite_has_no_summary() {
        assert_eq!(summarise(&[]), None);
        assert_eq!(summarise(&[1.0, f64::NAN]), None);
        assert_eq!(summarise(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn noise_of_too_few_samples_is_infinite() {
        assert_eq!(relative_half_width(&summarise(&[1.0; 5]).expect("finite")), f64::INFINITY);
        assert_eq!(relative_half_width(&summarise(&[1.0; 6]).expect("finite")), 0.0);
    }
}
