//! Whether a process's samples have one level: two modes, or a level that drifts, make any single figure of it depend
//! on when one looked, and a median jumps between modes without anything having changed.

use super::group::Observation;

/// Fewer samples than this show no shape.
const FEWEST: usize = 12;
/// A gap between modes, or a drift, below this share is not worth a doubt.
const WORTH: f64 = 0.02;
/// Share of the variance that two modes explain at least. The best split of normal samples explains 64 %, of uniform
/// ones 75 %, of a few dozen of either rarely more than 85 %.
const EXPLAINED: f64 = 0.88;
/// Each mode has at least this share of the samples: with less, the median stays in the larger one, and what a busy
/// neighbour slowed down are outliers.
const SMALLEST_MODE: f64 = 0.3;
/// |Kendall's tau| over its standard error (S over its root variance) beyond which a drift is no accident (two-sided
/// 0.1 %).
const CERTAIN: f64 = 3.29;

/// How a series of samples has no single level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unsteady {
    /// Two levels this far apart (as a share of the lower).
    Bimodal(f64),
    /// The level moved by this share from the first to the last third.
    Drift(f64),
}

impl Unsteady {
    /// The share by which the level is uncertain.
    pub const fn size(self) -> f64 {
        match self {
            Self::Bimodal(size) | Self::Drift(size) => size,
        }
    }

    /// What to tell the user.
    pub fn describe(self) -> String {
        match self {
            Self::Bimodal(gap) => {
                format!("its samples have two levels, {:.1} % apart", gap * 100.0)
            }
            Self::Drift(drift) => {
                format!("its samples drift by {:.1} % from first to last", drift * 100.0)
            }
        }
    }

    /// Of a side: the middle one of its processes, where half of them or more are unsteady. One that alone is shows in
    /// the spread between processes.
    pub fn of(side: &[Observation<'_>]) -> Option<Self> {
        let mut found: Vec<Self> = side
            .iter()
            .filter_map(|observation| Self::of_samples(&observation.metric.samples))
            .collect();
        found.sort_by(|a, b| a.size().total_cmp(&b.size()));
        (2 * found.len() >= side.len()).then(|| found.get(found.len() / 2).copied())?
    }

    /// Of one process's samples, in the order taken.
    pub fn of_samples(samples: &[f64]) -> Option<Self> {
        if samples.len() < FEWEST || samples.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return None;
        }
        let found = [drift(samples).map(Self::Drift), modes(samples).map(Self::Bimodal)];
        found.into_iter().flatten().find(|unsteady| unsteady.size() > WORTH)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Mann and Kendall's test for a trend, and its size by the medians of the outer thirds.
fn drift(samples: &[f64]) -> Option<f64> {
    let n = samples.len();
    let mut s = 0.0;
    for (i, first) in samples.iter().enumerate() {
        for later in &samples[i + 1..] {
            s += match later.total_cmp(first) {
                std::cmp::Ordering::Less => -1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => 1.0,
            };
        }
    }
    let count = n as f64;
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let (first, last) = (median(&samples[..n / 3]), median(&samples[n - n / 3..]));
    (f64::abs(s) / deviation > CERTAIN).then(|| (last / first).ln().abs())
}

/// The split of the sorted samples that explains most of their variance, where that is more than one level would.
fn modes(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let total: f64 = sorted.iter().sum();
    let variance = sorted.iter().map(|x| (x - total / n).powi(2)).sum::<f64>();
    if variance == 0.0 {
        return None;
    }
    let least = (SMALLEST_MODE * n).ceil() as usize;
    let (mut sum, mut best) = (0.0, (0.0, 0.0));
    for (index, sample) in sorted.iter().enumerate().take(sorted.len() - least) {
        sum += sample;
        let below = index + 1;
        if below < least {
            continue;
        }
        let (low, high) = (sum / below as f64, (total - sum) / (n - below as f64));
        let explained = below as f64 * (n - below as f64) / n * (high - low).powi(2) / variance;
        if explained > best.0 {
            best = (explained, high / low - 1.0);
        }
    }
    (best.0 > EXPLAINED).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn noise(count: usize, seed: u64, mut level: impl FnMut(usize) -> f64) -> Vec<f64> {
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
        let mut normal = move || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        (0..count).map(|i| level(i) * (1.0 + 0.01 * normal())).collect()
    }

    #[test]
    fn steady_series_are_rarely_doubted() {
        let doubted = (0..400).filter(|&seed| {
            Unsteady::of_samples(&noise(20 + seed as usize % 40, seed, |_| 1.0)).is_some()
        });
        assert!(doubted.count() <= 8, "at most 2 %");
    }

    #[test]
    fn two_levels_are_seen_and_outliers_are_not() {
        for seed in 0..50 {
            let two = noise(40, seed, |i| if i * 7 % 5 < 2 { 1.2 } else { 1.0 });
            let found = Unsteady::of_samples(&two).expect("bimodal");
            assert!(
                matches!(found, Unsteady::Bimodal(gap) if (gap - 0.2).abs() < 0.03),
                "{found:?}"
            );
            let outliers = noise(40, seed, |i| if i % 13 == 5 { 1.2 } else { 1.0 });
            assert!(!matches!(Unsteady::of_samples(&outliers), Some(Unsteady::Bimodal(_))));
        }
    }

    /// A busy neighbour slows a fifth of the samples down: the median stays where it is.
    #[test]
    fn what_a_busy_host_slows_down_is_no_second_mode() {
        for seed in 0..50 {
            let disturbed = noise(40, seed, |i| if i * 7 % 5 == 2 { 1.3 } else { 1.0 });
            assert_eq!(Unsteady::of_samples(&disturbed), None);
        }
    }

    #[test]
    fn a_drift_is_seen() {
        let drifting = noise(40, 1, |i| 1.0 + 0.002 * i as f64);
        assert!(matches!(Unsteady::of_samples(&drifting), Some(Unsteady::Drift(d)) if d > 0.03));
    }

    #[test]
    fn few_or_broken_samples_have_no_shape() {
        assert_eq!(Unsteady::of_samples(&[1.0, 2.0]), None);
        assert_eq!(Unsteady::of_samples(&[f64::NAN; 30]), None);
        assert_eq!(Unsteady::of_samples(&[0.0; 30]), None);
    }
}
