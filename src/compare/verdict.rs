//! What may be said of one metric: a change, none, or why neither.

use serde::Serialize;

use super::Options;
use super::estimate::{Design, Estimate};
use super::shape::Unsteady;
use crate::record::Direction;

/// What happened to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// B is better, beyond noise and by more than the minimum effect.
    Better,
    /// B is worse, likewise.
    Worse,
    /// A difference that would matter is excluded.
    Same,
    /// The data contradict themselves, or more than the setting changed.
    Ambiguous,
    /// Too few or too noisy units to tell.
    Underpowered,
}

impl Verdict {
    /// Every verdict, in the order in which they are reported.
    pub const ALL: [Self; 5] =
        [Self::Worse, Self::Better, Self::Ambiguous, Self::Underpowered, Self::Same];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Better => "BETTER",
            Self::Worse => "WORSE",
            Self::Same => "SAME",
            Self::Ambiguous => "AMBIGUOUS",
            Self::Underpowered => "UNDERPOWERED",
        }
    }
}

/// What a metric is judged by.
pub struct Evidence<'a> {
    /// The ratio and its certainty.
    pub estimate: &'a Estimate,
    /// p-value after correction over all metrics.
    pub adjusted_p: Option<f64>,
    /// p-value alone.
    pub p: Option<f64>,
    /// Which way is better.
    pub direction: Direction,
    /// What besides the setting changed, and so forbids a claim.
    pub doubts: &'a [String],
    /// The worst series of both sides.
    pub unsteady: Option<Unsteady>,
}

/// The verdict, and why.
pub fn judge(evidence: &Evidence<'_>, options: &Options) -> (Verdict, String) {
    let Evidence { estimate, adjusted_p, p, direction, doubts, unsteady } = evidence;
    if let Some(doubt) = doubts.first() {
        return (Verdict::Ambiguous, doubt.clone());
    }
    let effect = estimate.log_ratio.abs();
    if let Some(unsteady) = unsteady.filter(|u| u.size() > effect / 2.0) {
        return (
            Verdict::Ambiguous,
            format!("{}, which no ratio of medians outlives", unsteady.describe()),
        );
    }
    let (Some(half), Some(adjusted), Some(p)) = (estimate.half_width(), *adjusted_p, *p) else {
        return (Verdict::Underpowered, too_few(estimate));
    };
    let (minimum, margin) = (options.minimum_effect.ln_1p(), options.margin.ln_1p());
    let farthest = effect + half;
    if adjusted < options.alpha && effect >= minimum {
        let better = (estimate.log_ratio > 0.0) == (*direction == Direction::Higher);
        let verdict = if better { Verdict::Better } else { Verdict::Worse };
        return (verdict, format!("beyond noise of ±{}", percent(half)));
    }
    if farthest <= margin {
        return (Verdict::Same, format!("a change of more than {} is excluded", percent(farthest)));
    }
    if p < options.alpha && effect >= minimum {
        let reason = format!(
            "unusual alone (p = {p:.3}), not among all metrics of this comparison (p = {adjusted:.2})"
        );
        return (Verdict::Ambiguous, reason);
    }
    (Verdict::Underpowered, resolution(estimate, half, margin))
}

/// `3.1 %` of a difference of logarithms.
pub fn percent(log: f64) -> String {
    format!("{:.1} %", log.exp_m1() * 100.0)
}

fn too_few(estimate: &Estimate) -> String {
    let [a, b] = estimate.boots;
    match estimate.design {
        Design::OneBootASide => format!(
            "{a} boot against {b}: whether boots alone differ by as much can't be told; reboot and measure again, \
             twice a side at least, or learn the spread with `hostdyno noise-floor`"
        ),
        Design::ProcessesWithinBoots | Design::Boots => {
            "one process a side says nothing about the spread between processes; measure again, three times a side, \
             or learn the spread with `hostdyno noise-floor`"
                .to_owned()
        }
    }
}

/// That the interval is too wide, and how many units would narrow it enough.
fn resolution(estimate: &Estimate, half: f64, margin: f64) -> String {
    let (unit, now) = match estimate.design {
        Design::ProcessesWithinBoots => ("process", estimate.processes),
        Design::Boots | Design::OneBootASide => ("boot", estimate.boots),
    };
    let fewest = now[0].min(now[1]) as f64;
    let needed = (fewest * (half / margin).powi(2)).ceil().max(fewest + 1.0);
    let plural = if unit == "process" { "processes" } else { "boots" };
    let advice = if needed > 30.0 {
        "find what makes it so noisy first".to_owned()
    } else {
        format!("about {needed:.0} {plural} a side would narrow it")
    };
    format!(
        "anything from {} to {} is possible; {advice}",
        signed(estimate.log_ratio - half),
        signed(estimate.log_ratio + half)
    )
}

/// `+3.1 %` of a difference of logarithms.
pub fn signed(log: f64) -> String {
    format!("{:+.1} %", log.exp_m1() * 100.0)
}

/// Benjamini and Hochberg's correction: the share of false ones among the changes reported stays below the level, and
/// where nothing changed, so does the chance to report anything (J. R. Statist. Soc. B 57 (1995)).
pub fn adjust(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut known: Vec<(usize, f64)> =
        p_values.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    known.sort_by(|a, b| b.1.total_cmp(&a.1));
    let count = known.len();
    let mut adjusted = vec![None; p_values.len()];
    let mut least = 1.0f64;
    for (below, (index, p)) in known.into_iter().enumerate() {
        least = least.min(p * count as f64 / (count - below) as f64);
        adjusted[index] = Some(least);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::adjust;

    /// The example of R's `p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "BH")`, and one with unequal steps.
    #[test]
    fn correction_is_that_of_benjamini_and_hochberg() {
        let adjusted = |p: &[f64]| -> Vec<f64> {
            let p: Vec<_> = p.iter().map(|p| Some(*p)).collect();
            adjust(&p).into_iter().map(|p| (p.unwrap() * 1e6).round() / 1e6).collect()
        };
        assert_eq!(adjusted(&[0.01, 0.02, 0.03, 0.04, 0.05]), [0.05; 5]);
        assert_eq!(adjusted(&[0.001, 0.9, 0.02]), [0.003, 0.9, 0.03]);
        assert_eq!(adjust(&[None, Some(0.04)]), [None, Some(0.04)]);
    }
}
