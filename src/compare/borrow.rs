//! Variances that lend each other strength.
//!
//! With 3 boots a side a metric knows its own spread from 4 degrees of freedom only, and after correction over dozens
//! of metrics nothing would ever be found. But all metrics of a comparison saw the same boots: their variances scatter
//! about a common one, and how much they scatter tells how far that one can be trusted. G. K. Smyth, *Linear models
//! and empirical Bayes methods for assessing differential expression*, Stat. Appl. Genet. Mol. Biol. 3 (2004), section
//! 6: the prior's degrees of freedom and variance follow from the mean and the variance of the log variances. Where
//! the metrics' spreads differ much, the prior has few degrees of freedom and each metric is left to its own.

use statrs::function::gamma::digamma;

use super::estimate::Spread;

/// Fewer metrics than this can't tell how much variances scatter.
const FEWEST: usize = 5;
/// The prior never counts for more than this: beyond it the own spread would no longer be seen.
const MOST_DF: f64 = 8.0;
/// A spread below this is rounding, not noise (ln of a ratio of 1.000001).
const ROUNDING: f64 = 1e-6;

/// The common spread behind `spreads`, with the degrees of freedom that it is worth; `None` where too few metrics or
/// too different spreads say nothing about each other.
pub fn prior(spreads: &[Spread]) -> Option<Spread> {
    let logs: Vec<(f64, f64)> = spreads
        .iter()
        .filter(|spread| spread.sd > ROUNDING)
        .map(|spread| {
            let half = spread.df / 2.0;
            (2.0 * spread.sd.ln() - digamma(half) + half.ln(), trigamma(half))
        })
        .collect();
    if logs.len() < FEWEST {
        return None;
    }
    let n = logs.len() as f64;
    let mean = logs.iter().map(|l| l.0).sum::<f64>() / n;
    let variance = logs.iter().map(|l| (l.0 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let excess = variance - logs.iter().map(|l| l.1).sum::<f64>() / n;
    let df = if excess <= 0.0 { MOST_DF } else { (2.0 * trigamma_inverse(excess)).min(MOST_DF) };
    let log_variance = mean + digamma(df / 2.0) - (df / 2.0).ln();
    (df.is_finite() && df > 0.0).then(|| Spread { sd: (log_variance / 2.0).exp(), df })
}

/// Second derivative of ln Γ: recurrence to where the asymptotic series holds (Abramowitz and Stegun 6.4.6, 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum += x.powi(-2);
        x += 1.0;
    }
    let square = x.powi(-2);
    sum + 1.0 / x
        + square / 2.0
        + square / x * (1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0)))
}

/// The x with `trigamma(x) = y`, by bisection of its logarithm: trigamma falls from infinity to nothing.
fn trigamma_inverse(y: f64) -> f64 {
    let (mut low, mut high) = (-20.0f64, 20.0f64);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if trigamma(middle.exp()) > y { low = middle } else { high = middle }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigamma_has_its_known_values() {
        let pi2 = std::f64::consts::PI.powi(2);
        assert!((trigamma(1.0) - pi2 / 6.0).abs() < 1e-12);
        assert!((trigamma(0.5) - pi2 / 2.0).abs() < 1e-12);
        assert!((trigamma_inverse(pi2 / 6.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn equal_spreads_lend_much_and_different_ones_little() {
        let alike = vec![Spread { sd: 0.01, df: 4.0 }; 20];
        let common = prior(&alike).unwrap();
        assert_eq!(common.df, MOST_DF);
        assert!((0.008..0.012).contains(&common.sd), "{common:?}");
        let apart: Vec<_> = (0..20)
            .map(|i| Spread { sd: 10f64.powf(-4.0 + 0.2 * f64::from(i)), df: 4.0 })
            .collect();
        assert!(prior(&apart).unwrap().df < 1.0);
        assert_eq!(prior(&alike[..4]), None);
    }
}
