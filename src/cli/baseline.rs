//! `hostdyno baseline make RUN...`: what one's own hosts reach, for `hostdyno qualify --baseline`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::{Output, complain};
use super::runs;
use crate::Result;
use crate::qualify::baseline::Baseline;
use crate::record::atomic;
use crate::record::store::Store;
use crate::report::terminal;

/// What to do with baselines.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make one of several runs, of one host or of several of a kind: a centre and a spread that outliers do not move
    Make(Arguments),
}

/// Which runs.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Runs: labels, names, beginnings of names, or directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Keep it for `hostdyno qualify --baseline FILE`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Makes and shows a baseline.
///
/// # Errors
/// A run can't be read, the runs are of different kinds of host, none holds a usable metric, or the file can't be
/// written.
pub fn run(verb: &Verb, store: &Store, output: &Output) -> Result<()> {
    let Verb::Make(arguments) = verb;
    let baseline = Baseline::make(&runs::read(store, &arguments.runs)?)?;
    match &arguments.save {
        Some(file) => atomic::write_json(file, &baseline)?,
        None => complain(
            "note",
            "shown, not kept: add --save FILE for `hostdyno qualify --baseline FILE`",
        ),
    }
    output.print("baseline", &baseline, terminal::qualify::baseline)
}
