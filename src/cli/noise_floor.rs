//! `hostdyno noise-floor RUN...`: how far repeated runs of one setting lie apart on this host.

use std::path::{Path, PathBuf};

use clap::Args;

use super::compare::group;
use super::output::Output;
use crate::compare::noise_floor::{NoiseFloor, SCHEMA};
use crate::record::atomic;
use crate::record::store::Store;
use crate::report::terminal;
use crate::{Error, Result};

/// Which runs.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Runs of one setting: labels, names, beginnings of names, or directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Keep it for `hostdyno compare --noise-floor FILE`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Learns and shows the noise.
///
/// # Errors
/// A run can't be read, there is only one process, or the file can't be written.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let floor = NoiseFloor::learn(&group(store, &arguments.runs)?);
    if floor.metrics.is_empty() {
        return Err(Error::input(
            "no metric was measured by two processes",
            "Measure the same setting several times: `for i in 1 2 3; do HOSTDYNO_LABEL=base cargo bench; done`",
        ));
    }
    if let Some(file) = &arguments.save {
        atomic::write_json(file, &floor)?;
    }
    output.print("noise-floor", &floor, terminal::noise_floor)
}

/// Reads what `--save` wrote.
///
/// # Errors
/// It can't be read, or is something else.
pub fn read(file: &Path) -> Result<NoiseFloor> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::path("read", file, e))?;
    let advice = "Name a file written by `hostdyno noise-floor RUN... --save FILE`";
    let floor: NoiseFloor = serde_json::from_str(&text)
        .map_err(|e| Error::input(format!("{} is no noise floor ({e})", file.display()), advice))?;
    let sane = floor.metrics.values().flat_map(|f| [f.boots, f.processes]).flatten();
    if floor.schema != SCHEMA || sane.clone().any(|s| !(s.sd >= 0.0 && s.sd < 10.0 && s.df >= 1.0))
    {
        return Err(Error::input(
            format!("{} is no noise floor of schema {SCHEMA}", file.display()),
            advice,
        ));
    }
    Ok(floor)
}
