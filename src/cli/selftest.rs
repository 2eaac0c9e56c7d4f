//! `hostdyno selftest`: every GPU kernel against the oracle, on the device that is here.

use std::time::Instant;

use serde::Serialize;

use super::output::Output;
use crate::measure::Planned;
use crate::{Error, Result, selftest};

/// Options of `hostdyno selftest`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which GPU, by the driver's number
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu: usize,
    /// Only subjects whose name contains this
    #[arg(value_name = "NAME")]
    filter: Option<String>,
}

/// One subject.
#[derive(Serialize)]
struct Checked {
    /// Its metric.
    id: String,
    /// `right`, `wrong`, `skipped` or `failed`.
    outcome: &'static str,
    /// Outputs that were compared.
    checked: u64,
    /// Largest error over its tolerance.
    error_over_tolerance: f64,
    /// Seconds that preparing and checking took.
    seconds: f64,
    /// Why, for everything but `right`.
    reason: Option<String>,
}

/// Checks everything and prints a table; exit code 1 when a kernel is wrong or could not run.
///
/// # Errors
/// No device, or a kernel that is wrong or failed.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let planned = selftest::plan(arguments.gpu)?.into_metrics();
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let planned = planned.into_iter().filter(|planned| planned.id.as_str().contains(filter));
    let checked: Vec<Checked> = planned.map(check).collect();
    output.print("selftest", &checked, |_, checked| text(checked))?;
    let count = |outcome| checked.iter().filter(|c| c.outcome == outcome).count();
    match (count("wrong"), count("failed"), count("right")) {
        (0, 0, 0) => Err(Error::Unavailable("nothing was checked: see the reasons above".into())),
        (0, 0, _) => Ok(()),
        (0, failed, _) => Err(Error::Unavailable(format!("{failed} subjects could not run"))),
        (wrong, ..) => Err(Error::Wrong(format!("{wrong} of {} subjects", checked.len()))),
    }
}

fn check(planned: Planned) -> Checked {
    let (id, start) = (planned.id.to_string(), Instant::now());
    let verified = (planned.prepare)().and_then(|mut subject| subject.verify());
    let seconds = start.elapsed().as_secs_f64();
    let (outcome, reason) = match &verified {
        Ok(_) => ("right", None),
        Err(error @ Error::Wrong(_)) => ("wrong", Some(error.to_string())),
        Err(error @ Error::Unavailable(_)) => ("skipped", Some(error.to_string())),
        Err(error) => ("failed", Some(error.to_string())),
    };
    let (checked, error_over_tolerance) =
        verified.map_or((0, 0.0), |v| (v.checked, v.error_over_tolerance));
    Checked { id, outcome, checked, error_over_tolerance, seconds, reason }
}

fn text(checked: &[Checked]) -> String {
    let widest = checked.iter().map(|c| c.id.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:<8} {:<widest$} {:>12} {:>15} {:>8}\n",
        "", "subject", "compared", "error/tolerance", "seconds"
    );
    for Checked { id, outcome, checked, error_over_tolerance, seconds, reason } in checked {
        let figures = match reason {
            None => format!("{checked:>12} {error_over_tolerance:>15.3} {seconds:>8.2}"),
            // A compiler's log has many lines; `--json` has them all.
            Some(reason) => reason.lines().next().unwrap_or_default().to_owned(),
        };
        text.push_str(&format!("{outcome:<8} {id:<widest$} {figures}\n"));
    }
    let count = |outcome| checked.iter().filter(|c| c.outcome == outcome).count();
    let outcomes = ["right", "wrong", "failed", "skipped"].map(|o| format!("{} {o}", count(o)));
    text.push_str(&format!("\n{}\n", outcomes.join(", ")));
    text
}
