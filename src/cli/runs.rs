//! `hostdyno runs`: which runs there are.

use serde::Serialize;

use super::output::{Output, complain};
use crate::record::store::{Run, Store};
use crate::report::model::RunHead;
use crate::report::terminal;
use crate::{Error, Result};

#[derive(Serialize)]
struct Runs {
    /// Oldest first.
    runs: Vec<RunHead>,
    /// Runs that can't be read, and why.
    problems: Vec<String>,
}

/// Lists the runs.
///
/// # Errors
/// There is no run, or none can be read.
pub fn run(store: &Store, output: &Output) -> Result<()> {
    let (mut runs, mut errors) = (Vec::new(), Vec::new());
    for path in store.list()? {
        match Run::read(&path) {
            Ok(run) => runs.push(RunHead::new(&run)),
            Err(error) => errors.push(error),
        }
    }
    if runs.is_empty() {
        return Err(errors.pop().unwrap_or_else(|| {
            Error::input(
                format!("no runs in {}", store.runs_directory().display()),
                "Measure this host with `cargo bench`",
            )
        }));
    }
    let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for problem in &problems {
        complain("warning", problem);
    }
    output
        .print("runs", &Runs { runs, problems }, |screen, list| terminal::runs(screen, &list.runs))
}
