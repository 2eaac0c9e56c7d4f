//! `hostdyno report [RUN]`: what a run tells.

use clap::Args;

use super::output::{Output, complain};
use crate::Result;
use crate::record::store::Store;
use crate::report::model::Report;
use crate::report::terminal;

/// Which run, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of a run, the beginning of it, its label (newest run with it), or its directory; default: newest run
    run: Option<String>,
    /// How many findings to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    findings: usize,
}

/// Reports on the run.
///
/// # Errors
/// No such run, or nothing in it can be read.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let report = Report::new(&run);
    output.print("report", &report, |screen, report| {
        terminal::report(screen, report, arguments.findings)
    })
}
