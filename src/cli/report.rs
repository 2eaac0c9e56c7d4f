//! `hostdyno report [RUN]`: what a run tells.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Output, complain};
use crate::record::store::Store;
use crate::report::model::Report;
use crate::report::terminal;
use crate::{Error, Result};

/// Which run, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of a run, the beginning of it, its label (newest run with it), or its directory; default: newest run
    run: Option<String>,
    /// How many findings to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    findings: usize,
    /// Also draw its matrices and curves, one SVG file each, into this directory
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

/// Reports on the run.
///
/// # Errors
/// No such run, nothing in it can be read, or the pictures can't be written.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let report = Report::new(&run);
    if let Some(directory) = &arguments.svg {
        draw(&report, directory)?;
    }
    output.print("report", &report, |screen, report| {
        terminal::report(screen, report, arguments.findings)
    })
}

/// Writes every figure of `report` to a file of its own in `directory`.
fn draw(report: &Report, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|e| Error::path("create", directory, e))?;
    let figures: Vec<_> = report.parts.iter().flat_map(|part| &part.figures).collect();
    if figures.is_empty() {
        complain("warning", "this run has no matrix and no curve to draw");
    }
    for figure in figures {
        // A name is outside input: only what is harmless in a file name is kept of it.
        let name: String =
            figure.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let file = directory.join(format!("{}.svg", name.trim_matches('-')));
        std::fs::write(&file, figure.svg()).map_err(|e| Error::path("write", &file, e))?;
        complain("drawn", &file.display().to_string());
    }
    Ok(())
}
