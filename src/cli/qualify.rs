//! `hostdyno qualify [RUN]`: whether this host is what it should be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::{Output, complain};
use super::runs;
use crate::qualify::baseline::Baseline;
use crate::qualify::floors::Floors;
use crate::qualify::reference::Reference;
use crate::qualify::rules::Verdict;
use crate::qualify::{Qualification, Standards};
use crate::record::store::Store;
use crate::report::{junit, markdown, terminal};
use crate::{Error, Result};

/// Exit code where nothing can be told.
const INCONCLUSIVE: u8 = 3;

/// Which run, and what it is held against.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 pass (perhaps with warnings), 1 fail, 2 bad usage or input, 3 inconclusive."
)]
pub struct Arguments {
    /// Runs of one host: labels, names, beginnings of names, or directories; default: the newest run
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// What your own hosts reach, as `hostdyno baseline make` wrote it
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What must be reached: a TOML file with, for example, ["dram/read/all-cores"] and below it pass = 400
    #[arg(long, value_name = "FILE")]
    floors: Option<PathBuf>,
    /// Exit with 1 when there is such a verdict (FAIL always does)
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum FailOn {
    /// A metric or a finding is a warning
    Warn,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// For the terminal
    Terminal,
    /// One JSON object, as --json
    Json,
    /// XML for build servers
    Junit,
    /// Tables in Markdown
    Markdown,
}

/// Qualifies the host.
///
/// # Errors
/// A run or a file can't be found or read, or the runs are of several hosts.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<ExitCode> {
    let runs = if arguments.runs.is_empty() {
        let run = store.read(None)?;
        for problem in &run.problems {
            complain("warning", problem);
        }
        vec![run]
    } else {
        runs::read(store, &arguments.runs)?
    };
    let baseline = arguments.baseline.as_deref();
    let baseline = baseline
        .map(|file| Baseline::parse(&text(file)?, &file.display().to_string()))
        .transpose()?;
    let floors = arguments.floors.as_deref();
    let floors =
        floors.map(|file| Floors::parse(&text(file)?, &file.display().to_string())).transpose()?;
    let standards = Standards {
        reference: Reference::built_in()?,
        baseline,
        floors: floors.unwrap_or_default(),
    };
    let metrics = runs.iter().flat_map(|run| &run.benches).flat_map(|bench| &bench.metrics);
    for floor in standards.floors.unmet(metrics) {
        complain(
            "warning",
            &format!("no metric of this run is called {floor}, so its floor judges nothing"),
        );
    }
    let qualification = Qualification::new(&runs, &standards)?;
    let fail_on_warn = arguments.fail_on == Some(FailOn::Warn);
    let xml = match arguments.format {
        Format::Junit => junit::qualification(&qualification, fail_on_warn)
            .map_err(|e| Error::os("can't form the XML", e, "Report this as a defect"))?,
        _ => String::new(),
    };
    let json = output.as_json();
    let output = if arguments.format == Format::Json { &json } else { output };
    output.print("qualify", &qualification, |screen, qualification| match arguments.format {
        Format::Terminal | Format::Json => terminal::qualify::render(screen, qualification),
        Format::Junit => xml,
        Format::Markdown => markdown::qualification(qualification),
    })?;
    Ok(code(&qualification, fail_on_warn))
}

fn code(qualification: &Qualification, fail_on_warn: bool) -> ExitCode {
    let warned = qualification.count(Verdict::Warn) > 0
        || qualification.findings.iter().any(|finding| finding.severity == Verdict::Warn);
    match qualification.verdict {
        Verdict::Fail => ExitCode::FAILURE,
        _ if fail_on_warn && warned => ExitCode::FAILURE,
        Verdict::Inconclusive => ExitCode::from(INCONCLUSIVE),
        Verdict::Pass | Verdict::Warn => ExitCode::SUCCESS,
    }
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|e| Error::path("read", file, e))
}
