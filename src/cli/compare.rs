//! `hostdyno compare A... -- B...`: two groups of runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::Output;
use super::{noise_floor, runs};
use crate::compare::group::Group;
use crate::compare::verdict::Verdict;
use crate::compare::{Comparison, Options};
use crate::record::store::Store;
use crate::report::{html, markdown, terminal};
use crate::{Error, Result};

/// Which runs, and what counts as a change.
#[derive(Debug, Args)]
#[command(
    after_help = "A label stands for all runs that have it: `hostdyno compare nps1 -- nps4`. Measure each setting \
                        in two boots at least, better three, and a few times a boot."
)]
pub struct Arguments {
    /// Runs of A: labels, names, beginnings of names, or directories
    #[arg(required = true, value_name = "A")]
    a: Vec<String>,
    /// Runs of B, after --
    #[arg(last = true, value_name = "B")]
    b: Vec<String>,
    /// A smaller change is none, however certain
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    minimum_effect: f64,
    /// SAME means that a change of this size is excluded
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0)]
    margin: f64,
    /// The host's noise, as `hostdyno noise-floor --save FILE` learned it
    #[arg(long, value_name = "FILE")]
    noise_floor: Option<PathBuf>,
    /// Compare runs of different hosts
    #[arg(long)]
    across_hosts: bool,
    /// Exit with 1 when there is such a verdict
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// How to print it (--json for JSON)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    /// A metric is WORSE
    Worse,
    /// A metric is WORSE or BETTER
    Change,
    /// A metric is WORSE, or can't be decided
    Doubt,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For the terminal
    Text,
    /// Tables in Markdown
    Markdown,
    /// A page with interval plots
    Html,
}

/// Compares them.
///
/// # Errors
/// A run can't be found or read, or the groups can't be compared.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<ExitCode> {
    let (a, b) = match (arguments.a.as_slice(), arguments.b.as_slice()) {
        // Two names need no --.
        ([a, b], []) => (std::slice::from_ref(a), std::slice::from_ref(b)),
        (_, []) => {
            return Err(Error::input(
                "the second group is empty",
                "Write `hostdyno compare A1 A2 -- B1 B2`; `hostdyno runs` lists names and labels",
            ));
        }
        sides => sides,
    };
    let options = Options {
        minimum_effect: share("--minimum-effect", arguments.minimum_effect)?,
        margin: share("--margin", arguments.margin)?,
        floor: arguments.noise_floor.as_deref().map(noise_floor::read).transpose()?,
        across_hosts: arguments.across_hosts,
        ..Options::default()
    };
    let comparison = Comparison::new(&group(store, a)?, &group(store, b)?, &options)?;
    output.print("compare", &comparison, |screen, comparison| match arguments.format {
        Format::Text => terminal::compare::render(screen, comparison),
        Format::Markdown => markdown::comparison(comparison),
        Format::Html => html::comparison(comparison),
    })?;
    let count = |verdicts: &[Verdict]| verdicts.iter().map(|v| comparison.count(*v)).sum::<usize>();
    let failed = match arguments.fail_on {
        None => 0,
        Some(FailOn::Worse) => count(&[Verdict::Worse]),
        Some(FailOn::Change) => count(&[Verdict::Worse, Verdict::Better]),
        Some(FailOn::Doubt) => count(&[Verdict::Worse, Verdict::Ambiguous, Verdict::Underpowered]),
    };
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn share(option: &str, percent: f64) -> Result<f64> {
    if (0.0..100.0).contains(&percent) {
        return Ok(percent / 100.0);
    }
    Err(Error::input(
        format!("{option} {percent} is no share"),
        "Give percent, from 0 to below 100",
    ))
}

/// The runs that `names` mean, as one group.
///
/// # Errors
/// One can't be found or read.
pub fn group(store: &Store, names: &[String]) -> Result<Group> {
    Group::new(names.join(", "), runs::read(store, names)?)
}
