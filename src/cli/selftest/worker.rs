//! The process that checks: subject after subject, each step told in a line of JSON, until all are checked or a kernel
//! has taken the GPU's context with it.

use std::io::Write;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Arguments, Checked, Outcome};
use crate::measure::{Planned, underway};
use crate::{Error, Result, cuda, selftest};

/// A step, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Step {
    /// Nothing can be checked, for this reason.
    Refused(String),
    /// The subject of this name is next.
    Begins(String),
    /// It was checked.
    Checked(Checked),
    /// The context is lost: the rest needs another process.
    Lost,
    /// All are checked.
    Done,
}

/// Checks the subjects that `arguments` ask for, from number `first` on.
///
/// # Errors
/// Standard output can't be written.
pub fn run(arguments: &Arguments, first: usize) -> Result<()> {
    let planned = match selftest::plan(arguments.gpu) {
        Ok(plan) => plan.into_metrics(),
        Err(error) => return tell(&Step::Refused(error.to_string())),
    };
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let planned = planned.into_iter().filter(|planned| planned.id.as_str().contains(filter));
    for planned in planned.skip(first) {
        tell(&Step::Begins(planned.id.to_string()))?;
        tell(&Step::Checked(check(planned)))?;
        if cuda::lost() {
            return tell(&Step::Lost);
        }
    }
    tell(&Step::Done)
}

fn tell(step: &Step) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, step)
        .map_err(Into::into)
        .and_then(|()| writeln!(stdout))
        .and_then(|()| stdout.flush())
        .map_err(|e| Error::os("can't tell what was checked", e, "Run `hostdyno selftest` again"))
}

fn check(planned: Planned) -> Checked {
    let (id, start) = (planned.id.to_string(), Instant::now());
    underway::begin(&planned.id);
    let verified = (planned.prepare)().and_then(|mut subject| subject.verify());
    let seconds = start.elapsed().as_secs_f64();
    let (outcome, reason) = match &verified {
        Ok(_) => (Outcome::Right, None),
        Err(error @ Error::Wrong(_)) => (Outcome::Wrong, Some(error.to_string())),
        // A device that fails at work is not one that lacks something.
        Err(error @ Error::Unavailable(_)) if !cuda::lost() => {
            (Outcome::Skipped, Some(error.to_string()))
        }
        Err(error) => (Outcome::Failed, Some(error.to_string())),
    };
    let (checked, error_over_tolerance) =
        verified.map_or((0, 0.0), |v| (v.checked, v.error_over_tolerance));
    Checked { id, outcome, checked, error_over_tolerance, seconds, reason }
}
