//! The best of a subject's runs within a short budget: a measured ceiling.

use std::time::{Duration, Instant};

use crate::Result;
use crate::measure::Subject;
use crate::record::{Ceiling, Origin};

/// Time to measure one ceiling: long enough for the clocks of an idle device to rise.
const BUDGET: Duration = Duration::from_millis(500);
/// Iterations timed together.
const ITERATIONS: u64 = 8;

/// Verifies `subject`, then runs it for half a second: a ceiling is what was possible once, not what was usual.
///
/// # Errors
/// When it is wrong or can't run.
pub(super) fn best(subject: &mut impl Subject) -> Result<Ceiling> {
    subject.verify()?;
    let start = Instant::now();
    let mut value = 0.0f64;
    while start.elapsed() < BUDGET {
        let seconds = subject.run(ITERATIONS)?.0.as_secs_f64() / ITERATIONS as f64;
        value = value.max(subject.unit().value(&subject.work(), seconds));
    }
    Ok(Ceiling { value, origin: Origin::Measured, source: subject.metric().to_string() })
}
