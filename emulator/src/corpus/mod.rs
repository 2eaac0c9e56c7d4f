//! Runs a directory of compiled kernels (`manifest.json`, `NAME.ptx`, `NAME.safetensors`) and compares their outputs.

mod case;
mod compare;
mod manifest;

use crate::machine::Counters;
use crate::tensor::Rules;
use rayon::prelude::*;
use std::path::Path;

pub use manifest::{Case, CorpusError, Manifest};

/// How a corpus is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Warp schedule, see [`crate::machine::LaunchConfig::seed`].
    pub seed: u64,
    /// Run only cases whose name contains this.
    pub filter: String,
    /// Layout rules: the ISA's, or with one broken on purpose.
    pub rules: Rules,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What the launch did, or why the case failed.
    pub outcome: Result<Counters, String>,
}

/// Runs every case of a corpus, in parallel; results come in the manifest's order.
///
/// # Errors
/// [`CorpusError`] where the directory is no corpus or the filter matches no case. A case that fails is a result.
pub fn run(directory: &Path, options: &Options) -> Result<Vec<CaseResult>, CorpusError> {
    let manifest = Manifest::load(directory)?;
    let chosen: Vec<&Case> =
        manifest.cases.iter().filter(|c| c.name.contains(&options.filter)).collect();
    if chosen.is_empty() {
        return Err(CorpusError::new(
            directory,
            format!("no case has {:?} in its name", options.filter),
        ));
    }
    let results = chosen.into_par_iter().map(|case| CaseResult {
        name: case.name.clone(),
        outcome: guarded(|| case::run(directory, case, options)),
    });
    Ok(results.collect())
}

/// A panic of one case is that case's failure: the others still run.
fn guarded(run: impl FnOnce() -> Result<Counters, String>) -> Result<Counters, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err("the emulator panicked: a defect of its own, please report it".to_owned())
    })
}
