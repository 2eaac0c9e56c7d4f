//! The ratio of two sides, and how sure it is.
//!
//! Work is done on logarithms, where a ratio is a difference. The unit is the boot: each boot's processes are averaged
//! first, and the spread between boots is what the difference is held against. Where both sides were measured in the
//! same boots (a setting that changes without a reboot), each boot is a block: its own level cancels, and the process
//! is the unit within it. Both are two-way designs of the classical kind, with Student's t for few units (Snedecor and
//! Cochran, *Statistical Methods*, 8th ed., chapters 6 and 14); with 2 to 5 boots a side a bootstrap over boots would
//! have too few distinct resamples to reach 95 %.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::group::Observation;
use crate::record::Interval;

/// What one degree of freedom is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Boots of one side against boots of the other.
    Boots,
    /// Processes within boots that both sides share.
    ProcessesWithinBoots,
    /// One boot on a side, not shared: the spread between boots is not known from these runs.
    OneBootASide,
}

/// A spread of logarithms, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
pub struct Spread {
    /// Standard deviation of one unit.
    pub sd: f64,
    /// Degrees of freedom behind it.
    pub df: f64,
}

impl Spread {
    /// Of several groups of units, each about its own mean; `None` without a degree of freedom.
    pub fn within(groups: &[Vec<f64>]) -> Option<Self> {
        let df: usize = groups.iter().map(|group| group.len().saturating_sub(1)).sum();
        let squares: f64 = groups
            .iter()
            .map(|group| {
                let mean = mean(group);
                group.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
            })
            .sum();
        (df > 0).then(|| Self { sd: (squares / df as f64).sqrt(), df: df as f64 })
    }

    /// Both together, weighted by their degrees of freedom.
    pub fn pooled(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => {
                let df = a.df + b.df;
                let variance = (a.df * a.sd.powi(2) + b.df * b.sd.powi(2)) / df;
                Some(Self { sd: variance.sqrt(), df })
            }
            (one, other) => one.or(other),
        }
    }
}

/// Two sides of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// ln(B / A).
    pub log_ratio: f64,
    /// What the units are.
    pub design: Design,
    /// Boots of A and of B.
    pub boots: [usize; 2],
    /// Processes of A and of B.
    pub processes: [usize; 2],
    /// Spread of a unit; `None` where these runs can't tell.
    pub spread: Option<Spread>,
    /// Standard error of the log ratio over the spread of a unit.
    pub leverage: f64,
    /// Chance that a process of B has a higher value than one of A, ties counted half.
    pub higher: f64,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

type ByBoot<'a> = BTreeMap<&'a str, Vec<f64>>;

fn by_boot<'a>(side: &[Observation<'a>]) -> ByBoot<'a> {
    let mut boots: ByBoot<'a> = BTreeMap::new();
    for observation in side {
        if let Some(log) = observation.log() {
            boots.entry(observation.boot).or_default().push(log);
        }
    }
    boots
}

impl Estimate {
    /// Compares `b` with `a`; `None` when a side is empty.
    pub fn new(a: &[Observation<'_>], b: &[Observation<'_>]) -> Option<Self> {
        let (a, b) = (by_boot(a), by_boot(b));
        if a.is_empty() || b.is_empty() {
            return None;
        }
        let boots = [a.len(), b.len()];
        let processes = [&a, &b].map(|side| side.values().map(Vec::len).sum());
        let shared: BTreeSet<&str> =
            a.keys().filter(|boot| b.contains_key(*boot)).copied().collect();
        let higher = superiority(&a, &b);
        let common = |log_ratio, design, spread, leverage| {
            Some(Self { log_ratio, design, boots, processes, spread, leverage, higher })
        };
        if !shared.is_empty() {
            let (log_ratio, leverage, groups) = blocked(&a, &b, &shared);
            return common(
                log_ratio,
                Design::ProcessesWithinBoots,
                Spread::within(&groups),
                leverage,
            );
        }
        let means = [&a, &b].map(|side| side.values().map(|boot| mean(boot)).collect::<Vec<f64>>());
        let log_ratio = mean(&means[1]) - mean(&means[0]);
        let leverage = (1.0 / boots[0] as f64 + 1.0 / boots[1] as f64).sqrt();
        let design = if boots.contains(&1) { Design::OneBootASide } else { Design::Boots };
        common(log_ratio, design, Spread::within(&means), leverage)
    }

    /// Adds what is known of this metric's spread from elsewhere: earlier runs of one setting, or the other metrics.
    pub fn learn(&mut self, learned: Option<Spread>) {
        self.spread = Spread::pooled(self.spread, learned);
    }

    /// Half the width of the 95 % interval of the log ratio.
    pub fn half_width(&self) -> Option<f64> {
        let spread = self.spread?;
        let t = student(spread.df)?.inverse_cdf(0.975);
        Some(t * spread.sd * self.leverage)
    }

    /// 95 % interval of the ratio.
    pub fn interval(&self) -> Option<Interval> {
        let half = self.half_width()?;
        Some(Interval { low: (self.log_ratio - half).exp(), high: (self.log_ratio + half).exp() })
    }

    /// Two-sided p-value of no difference.
    pub fn p_value(&self) -> Option<f64> {
        let spread = self.spread?;
        let error = spread.sd * self.leverage;
        if error == 0.0 {
            return Some(if self.log_ratio == 0.0 { 1.0 } else { 0.0 });
        }
        Some(2.0 * student(spread.df)?.cdf(-(self.log_ratio / error).abs()))
    }
}

fn student(df: f64) -> Option<StudentsT> {
    // Beyond this it is the normal distribution to six digits.
    StudentsT::new(0.0, 1.0, df.min(1e6)).ok()
}

/// Difference within each shared boot, weighted by how well the boot knows it; the factor from a process's spread to
/// the standard error; and the processes of each side of each boot.
fn blocked(a: &ByBoot<'_>, b: &ByBoot<'_>, shared: &BTreeSet<&str>) -> (f64, f64, Vec<Vec<f64>>) {
    let (mut sum, mut weights, mut groups) = (0.0, 0.0, Vec::new());
    for boot in shared {
        let (a, b) = (&a[boot], &b[boot]);
        let weight = 1.0 / (1.0 / a.len() as f64 + 1.0 / b.len() as f64);
        sum += weight * (mean(b) - mean(a));
        weights += weight;
        groups.extend([a.clone(), b.clone()]);
    }
    (sum / weights, weights.sqrt().recip(), groups)
}

fn superiority(a: &ByBoot<'_>, b: &ByBoot<'_>) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for a in a.values().flatten() {
        for b in b.values().flatten() {
            wins += if b > a {
                1.0
            } else if b == a {
                0.5
            } else {
                0.0
            };
            pairs += 1.0;
        }
    }
    wins / pairs
}
