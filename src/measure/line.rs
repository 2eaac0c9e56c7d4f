//! A straight line through timings: what an operation costs besides its size.
//!
//! Timings scatter in proportion to their length, so the squares are those of relative distances.

use crate::record::Interval;

/// `y = intercept + slope x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// y at x = 0.
    pub intercept: f64,
    /// y a unit of x.
    pub slope: f64,
    /// 95 % interval of the intercept: two standard errors to each side, which is exact to 2 % from 30 points on.
    pub intercept_ci95: Interval,
}

/// The line with the least squares of relative distances from `points` (x, y); none for fewer than three points, for
/// points of one x, or where a y is not positive.
pub fn fit_line(points: &[(f64, f64)]) -> Option<Line> {
    if points.len() < 3 || points.iter().any(|&(x, y)| !(y > 0.0 && x.is_finite() && y.is_finite()))
    {
        return None;
    }
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.iter().map(|&(x, y)| f(x, y) / (y * y)).sum()
    };
    let (w, wx, wy) = (sum(&|_, _| 1.0), sum(&|x, _| x), sum(&|_, y| y));
    let (mean_x, mean_y) = (wx / w, wy / w);
    let spread = sum(&|x, _| (x - mean_x).powi(2));
    if spread <= 0.0 || !spread.is_normal() {
        return None;
    }
    let slope = sum(&|x, y| (x - mean_x) * (y - mean_y)) / spread;
    let intercept = mean_y - slope * mean_x;
    let residual = sum(&|x, y| (y - intercept - slope * x).powi(2));
    let variance = residual / (points.len() - 2) as f64;
    let error = (variance * (1.0 / w + mean_x * mean_x / spread)).sqrt();
    let intercept_ci95 = Interval { low: intercept - 2.0 * error, high: intercept + 2.0 * error };
    Some(Line { intercept, slope, intercept_ci95 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_line_is_found_without_doubt() {
        let points: Vec<_> = (1..9).map(|x| (f64::from(x), 3.0 + 0.5 * f64::from(x))).collect();
        let line = fit_line(&points).expect("a line");
        assert!((line.intercept - 3.0).abs() < 1e-12 && (line.slope - 0.5).abs() < 1e-12);
        assert!(line.intercept_ci95.high - line.intercept_ci95.low < 1e-6);
    }

    #[test]
    fn scatter_widens_the_interval_around_the_truth() {
        // Relative scatter of 2 %, by turns up and down.
        let points: Vec<_> = (0..40)
            .map(|i| {
                let x = f64::from(1 + i % 4);
                (x, (3.0 + 5.0 * x) * if i % 8 < 4 { 1.02 } else { 0.98 })
            })
            .collect();
        let line = fit_line(&points).expect("a line");
        let Interval { low, high } = line.intercept_ci95;
        assert!(low < 3.0 && 3.0 < high && high - low > 0.05 && high - low < 1.0, "{line:?}");
    }

    #[test]
    fn no_line_through_too_little() {
        assert_eq!(fit_line(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(fit_line(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(fit_line(&[(1.0, 1.0), (2.0, 0.0), (3.0, 3.0)]), None);
    }
}
