//! `hostdyno runs`: which runs there are; and the runs that names on a command line mean.

use std::path::Path;

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

/// Every run that `names` mean, each once; what could not be read of them is told.
///
/// # Errors
/// One can't be found or read.
pub fn read(store: &Store, names: &[String]) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for name in names {
        for run in store.read_all(name)? {
            for problem in &run.problems {
                complain("warning", problem);
            }
            if !runs.iter().any(|known| same(&known.path, &run.path)) {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(a) == real(b)
}
