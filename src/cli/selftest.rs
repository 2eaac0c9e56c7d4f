//! `hostdyno selftest`: every GPU kernel against the oracle, on the device that is here.
//!
//! A kernel that crashes takes the process's GPU context with it, and one that hangs never ends. So the checking is done
//! by a process of its own ([`worker`]), which is replaced by the next one when that happens: the kernel is named, and
//! those after it are still checked.

mod supervisor;
mod worker;

use serde::{Deserialize, Serialize};

use super::output::Output;
use crate::{Error, Result};

/// Options of `hostdyno selftest`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which GPU, by the driver's number
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu: usize,
    /// Only subjects whose name contains this
    #[arg(value_name = "NAME")]
    filter: Option<String>,
    /// Check in this process, from the N-th subject (from 0) on, and print a line of JSON for each step
    #[arg(long, value_name = "N", hide = true)]
    worker: Option<usize>,
}

/// What checking a subject gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// The kernel gave what the oracle gives.
    Right,
    /// It gave something else, crashed, or was refused by the driver.
    Wrong,
    /// It could not be checked to the end.
    Failed,
    /// This device can't run it.
    Skipped,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Right, Self::Wrong, Self::Failed, Self::Skipped];

    const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One subject.
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    /// Its metric.
    id: String,
    /// What came of it.
    outcome: Outcome,
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
    if let Some(first) = arguments.worker {
        return worker::run(arguments, first);
    }
    let checked = supervisor::run(arguments)?;
    output.print("selftest", &checked, |_, checked| text(checked))?;
    let count = |outcome| count(&checked, outcome);
    match (count(Outcome::Wrong), count(Outcome::Failed), count(Outcome::Right)) {
        (0, 0, 0) => Err(Error::Unavailable("nothing was checked: see the reasons above".into())),
        (0, 0, _) => Ok(()),
        (0, failed, _) => Err(Error::Unavailable(format!("{failed} subjects could not run"))),
        (wrong, ..) => Err(Error::Wrong(format!("{wrong} of {} subjects", checked.len()))),
    }
}

fn count(checked: &[Checked], outcome: Outcome) -> usize {
    checked.iter().filter(|checked| checked.outcome == outcome).count()
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
        text.push_str(&format!("{:<8} {id:<widest$} {figures}\n", outcome.name()));
    }
    let counts = Outcome::ALL.map(|of| format!("{} {}", count(checked, of), of.name()));
    text.push_str(&format!("\n{}\n", counts.join(", ")));
    text
}
