//! Whether a number can be trusted: from what was seen while it was taken to its state and the reason.

use super::statistics::relative_half_width;
use crate::record::{Ceiling, Direction, Origin, State, Stop, Summary};

/// How far a value may lie above a theoretical ceiling: clocks are read, not guaranteed.
const THEORETICAL_SLACK: f64 = 1.02;
/// How far a value may lie above a measured ceiling, which has noise of its own.
const MEASURED_SLACK: f64 = 1.10;

/// State and reason of a metric that was verified, sampled and verified again.
///
/// A value is held to beat its ceiling only when the whole interval of its median does, so that noise alone can't
/// invalidate it.
pub fn judge(
    summary: &Summary,
    direction: Direction,
    ceiling: Option<&Ceiling>,
    stop: Stop,
    noise_target: f64,
) -> (State, Option<String>) {
    if let Some(reason) = ceiling.and_then(|c| beats(summary, direction, c)) {
        return (State::Invalid, Some(reason));
    }
    let noise = relative_half_width(summary);
    if noise.is_infinite() {
        let reason = format!("only {} samples: too slow for the time budget", summary.samples);
        return (State::Noisy, Some(reason));
    }
    if stop != Stop::NoiseTarget && noise > noise_target {
        let reason = format!(
            "the median is known to ±{:.1} % only, the target is ±{:.1} %",
            noise * 100.0,
            noise_target * 100.0
        );
        return (State::Noisy, Some(reason));
    }
    (State::Ok, None)
}

fn beats(summary: &Summary, direction: Direction, ceiling: &Ceiling) -> Option<String> {
    let slack = match ceiling.origin {
        Origin::Theoretical => THEORETICAL_SLACK,
        Origin::Measured => MEASURED_SLACK,
    };
    let interval = summary.median_ci95;
    let (worst, ratio) = match direction {
        Direction::Higher => {
            let worst = interval.map_or(summary.median, |ci| ci.low);
            (worst, worst / ceiling.value)
        }
        Direction::Lower => {
            let worst = interval.map_or(summary.median, |ci| ci.high);
            (worst, ceiling.value / worst)
        }
    };
    (ratio > slack).then(|| {
        format!(
            "{worst:.4} beats the ceiling of {:.4} ({}): one of them is wrong",
            ceiling.value, ceiling.source
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::statistics::summarise;

    fn around(median: f64, spread: f64) -> Summary {
        let values: Vec<f64> = (-10..=10).map(|i| median * (1.0 + spread * f64::from(i))).collect();
        summarise(&values).expect("finite")
    }

    fn ceiling(value: f64, origin: Origin) -> Ceiling {
        Ceiling { value, origin, source: "test".into() }
    }

    fn state(summary: &Summary, direction: Direction, ceiling: &Ceiling) -> State {
        judge(summary, direction, Some(ceiling), Stop::NoiseTarget, 0.02).0
    }

    #[test]
    fn steady_and_below_the_ceiling_is_ok() {
        let judged = judge(&around(90.0, 1e-3), Direction::Higher, None, Stop::NoiseTarget, 0.02);
        assert_eq!(judged, (State::Ok, None));
    }

    #[test]
    fn a_rate_above_physics_is_invalid() {
        let theory = ceiling(100.0, Origin::Theoretical);
        assert_eq!(state(&around(101.0, 1e-5), Direction::Higher, &theory), State::Ok);
        assert_eq!(state(&around(103.0, 1e-5), Direction::Higher, &theory), State::Invalid);
        // Noise alone does not: the interval reaches below the ceiling.
        assert_eq!(state(&around(103.0, 1e-2), Direction::Higher, &theory), State::Ok);
    }

    #[test]
    fn a_measured_ceiling_has_noise_of_its_own() {
        let measured = ceiling(100.0, Origin::Measured);
        assert_eq!(state(&around(105.0, 1e-5), Direction::Higher, &measured), State::Ok);
        assert_eq!(state(&around(115.0, 1e-5), Direction::Higher, &measured), State::Invalid);
    }

    #[test]
    fn a_latency_below_its_floor_is_invalid() {
        let floor = ceiling(100.0, Origin::Theoretical);
        assert_eq!(state(&around(99.0, 1e-5), Direction::Lower, &floor), State::Ok);
        assert_eq!(state(&around(90.0, 1e-5), Direction::Lower, &floor), State::Invalid);
    }

    #[test]
    fn a_wide_interval_is_noisy_with_the_figures_in_the_reason() {
        let (state, reason) =
            judge(&around(1.0, 0.05), Direction::Higher, None, Stop::TimeBudget, 0.02);
        assert_eq!(state, State::Noisy);
        assert!(reason.expect("a reason").contains("±2.0 %"));
    }

    #[test]
    fn too_few_samples_are_noisy() {
        let few = summarise(&[1.0; 4]).expect("finite");
        let (state, reason) = judge(&few, Direction::Higher, None, Stop::TimeBudget, 0.02);
        assert_eq!(state, State::Noisy);
        assert!(reason.expect("a reason").contains("4 samples"));
    }
}
