//! `hostdyno report [RUN]`: what a run tells, on the terminal or as a page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::bottleneck;
use super::output::{Output, complain};
use crate::record::atomic;
use crate::record::store::Store;
use crate::report::model::Report;
use crate::report::{html, terminal};
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
    /// Write the report as one page for a browser, with its figures, instead of printing it
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// On that page: the model whose time a token is projected, as `hostdyno bottleneck` takes it
    #[arg(long, value_name = "MODEL", default_value = "deepseek-r1", requires = "html")]
    model: String,
}

/// Reports on the run.
///
/// # Errors
/// No such run or model, or nothing in it can be read; or the page or the pictures can't be written.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let report = Report::new(&run);
    if let Some(directory) = &arguments.svg {
        draw(&report, directory)?;
    }
    if let Some(file) = &arguments.html {
        refuse_to_lose(file)?;
        let projection = bottleneck::of_run(&arguments.model, &run)?.map_err(|e| e.to_string());
        let projection = projection.as_ref().map_err(String::as_str);
        atomic::write(file, html::run(&run, projection).as_bytes())?;
        return output.print("report", &report, |screen, _| {
            screen.paragraph("", &format!("{}: written to {}", run.name, file.display()))
        });
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

/// How every page begins.
const PAGE: &[u8] = b"<!DOCTYPE html>";

/// Refuses to write a page over what is no page: a record would be lost by a slip of the hand.
fn refuse_to_lose(file: &Path) -> Result<()> {
    use std::io::Read;
    let why = match std::fs::metadata(file) {
        Err(_) => return Ok(()), // It can be made, or the attempt says why not.
        Ok(data) if data.is_dir() => "is a directory",
        Ok(data) if !data.is_file() => "is no ordinary file",
        Ok(data) if data.len() == 0 => return Ok(()),
        Ok(_) => "exists and is no HTML page",
    };
    let mut start = [0; PAGE.len()];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && start.eq_ignore_ascii_case(PAGE) {
        return Ok(());
    }
    Err(Error::input(format!("{} {why}", file.display()), "Name another file, such as report.html"))
}
