//! Whether a change of speed is more than a change of clock.

use super::Options;
use super::group::Observation;
use crate::record::Direction;
use crate::record::clock::under_load;

/// B's clock over A's, medians over the processes.
pub fn ratio(a: &[Observation<'_>], b: &[Observation<'_>]) -> Option<f64> {
    let median = |side: &[Observation<'_>]| {
        let mut clocks: Vec<f64> = side.iter().filter_map(|o| under_load(o.metric)).collect();
        clocks.sort_by(f64::total_cmp);
        (clocks.len() == side.len()).then(|| clocks.get(clocks.len() / 2).copied())?
    };
    Some(median(b)? / median(a)?)
}

/// What the clock says about a change, as the end of a sentence: a change that is gone once time is counted in cycles
/// is one of clocks.
pub fn confirm(log_ratio: f64, clock: f64, direction: Direction, options: &Options) -> String {
    let sign = if direction == Direction::Higher { 1.0 } else { -1.0 };
    let in_cycles = log_ratio - sign * clock.ln();
    let moved = format!("{:+.1} %", (clock - 1.0) * 100.0);
    // Half of the change gone with the clock is the clock's.
    if in_cycles.abs() < options.minimum_effect.ln_1p().max(log_ratio.abs() / 2.0) {
        format!("; it is the clock's ({moved}): in cycles little or nothing changed")
    } else if clock.ln().abs() >= options.minimum_effect.ln_1p() {
        format!("; confirmed in cycles, although the clock moved too ({moved})")
    } else {
        "; confirmed in cycles".to_owned()
    }
}
