//! The results directory: which runs there are, and reading one.
//!
//! A run that is damaged in part is still worth reading: what can't be read is listed in [`Run::problems`], the rest
//! is returned. Only a run of which nothing can be read is an error.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::bench::{BenchRecord, SCHEMA};
use crate::host::HostRecord;
use crate::{Error, Result};

/// Name of the environment's file in a run's directory.
pub const HOST_FILE: &str = "host.json";

/// A results directory (`results/` by default, `HOSTDYNO_RESULTS`), whose `runs/` holds a directory a run.
#[derive(Debug, Clone)]
pub struct Store {
    runs: PathBuf,
}

/// One run as read from its directory.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name of its directory.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Environment and topology; absent when it was not written or can't be read.
    pub host: Option<HostRecord>,
    /// One record a bench process, by start time.
    pub benches: Vec<BenchRecord>,
    /// Files that could not be read, with the reason and what to do.
    pub problems: Vec<String>,
}

impl Run {
    /// The label that the user gave.
    pub fn label(&self) -> Option<&str> {
        self.benches.iter().find_map(|b| b.label.as_deref())
    }

    /// When its first bench started, RFC 3339.
    pub fn started(&self) -> Option<&str> {
        self.benches.first().map(|b| b.started.as_str())
    }

    /// Reads the run in `path`.
    ///
    /// # Errors
    /// `path` can't be listed, a file has a newer schema, or nothing in it can be read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut run = Self {
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            path: path.to_owned(),
            host: None,
            benches: Vec::new(),
            problems: Vec::new(),
        };
        for file in json_files(path)? {
            let outcome = if file.file_name().is_some_and(|n| n == HOST_FILE) {
                parse(&file).map(|host| run.host = Some(host))
            } else {
                parse(&file).map(|bench| run.benches.push(bench))
            };
            match outcome {
                Ok(()) => {}
                Err(Unreadable::NewerSchema(error)) => return Err(error),
                Err(Unreadable::Damaged(problem)) => run.problems.push(problem),
            }
        }
        if run.benches.is_empty() && run.host.is_none() {
            let why = match run.problems.as_slice() {
                [] => "it holds no record".to_owned(),
                problems => problems.join("; "),
            };
            return Err(Error::input(
                format!("{} is not a readable run: {why}", path.display()),
                "Name another run (`hostdyno runs` lists them) or measure one with `cargo bench`",
            ));
        }
        run.benches.sort_by(|a, b| (&a.started, &a.bench).cmp(&(&b.started, &b.bench)));
        Ok(run)
    }
}

impl Store {
    /// The results directory at `results`. Nothing is read or created yet.
    pub fn new(results: &Path) -> Self {
        Self { runs: results.join("runs") }
    }

    /// The directory that holds the runs.
    pub fn runs_directory(&self) -> &Path {
        &self.runs
    }

    /// Directories of all runs, oldest first: a run's name begins with its start time.
    ///
    /// # Errors
    /// The directory is missing or can't be listed.
    pub fn list(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.runs).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::input(
                format!("there is no {}", self.runs.display()),
                "Measure this host with `cargo bench`, or point --results (HOSTDYNO_RESULTS) at saved results",
            ),
            _ => Error::path("list", &self.runs, e),
        })?;
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// Reads the run that `name` means: a path, a run's name or an unambiguous prefix of it, or the newest run
    /// with that label. Without a name: the newest run.
    ///
    /// # Errors
    /// No run, or several, match; or the one that does can't be read.
    pub fn read(&self, name: Option<&str>) -> Result<Run> {
        let Some(name) = name else {
            let newest = self.list()?.pop().ok_or_else(|| {
                Error::input(
                    format!("no runs in {}", self.runs.display()),
                    "Measure this host with `cargo bench`",
                )
            })?;
            return Run::read(&newest);
        };
        if name.contains(std::path::MAIN_SEPARATOR) || Path::new(name).join(HOST_FILE).is_file() {
            return Run::read(Path::new(name));
        }
        let runs = self.list()?;
        let file_name =
            |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(exact) = runs.iter().find(|path| file_name(path) == name) {
            return Run::read(exact);
        }
        let by_prefix: Vec<&PathBuf> =
            runs.iter().filter(|path| file_name(path).starts_with(name)).collect();
        match by_prefix.as_slice() {
            [] => self.newest_with_label(&runs, name),
            [one] => Run::read(one),
            several => Err(Error::input(
                format!("{name:?} begins the names of {} runs", several.len()),
                format!(
                    "Type more of one: {}",
                    several.iter().map(|p| file_name(p)).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    /// Reads every run that `name` means: as [`Self::read`], but a label or a prefix means all runs that have it,
    /// oldest first.
    ///
    /// # Errors
    /// No run matches, or one that does can't be read.
    pub fn read_all(&self, name: &str) -> Result<Vec<Run>> {
        if name.contains(std::path::MAIN_SEPARATOR) || Path::new(name).join(HOST_FILE).is_file() {
            return Ok(vec![Run::read(Path::new(name))?]);
        }
        let runs = self.list()?;
        let file_name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(exact) = runs.iter().find(|path| file_name(path) == name) {
            return Ok(vec![Run::read(exact)?]);
        }
        let readable = runs.iter().filter_map(|path| Run::read(path).ok());
        let labelled: Vec<Run> = readable.filter(|run| run.label() == Some(name)).collect();
        if !labelled.is_empty() {
            return Ok(labelled);
        }
        let begun =
            runs.iter().filter(|path| !name.is_empty() && file_name(path).starts_with(name));
        let begun = begun.map(|path| Run::read(path)).collect::<Result<Vec<Run>>>()?;
        if begun.is_empty() {
            self.newest_with_label(&runs, name).map(|run| vec![run])
        } else {
            Ok(begun)
        }
    }

    fn newest_with_label(&self, runs: &[PathBuf], label: &str) -> Result<Run> {
        let mut names = Vec::new();
        for path in runs.iter().rev() {
            let Ok(run) = Run::read(path) else { continue };
            if run.label() == Some(label) {
                return Ok(run);
            }
            names.extend(run.label().map(str::to_owned));
            names.push(run.name);
        }
        let list = "`hostdyno runs` lists names and labels";
        Err(Error::input(
            format!("no run in {} has the name, prefix or label {label:?}", self.runs.display()),
            match nearest(label, names) {
                Some(near) => format!("Did you mean {near}? {list}"),
                None => list.to_owned(),
            },
        ))
    }
}

/// Names as similar as this to what was typed are worth suggesting (Jaro-Winkler, 1 is equal).
const SIMILAR: f64 = 0.8;
/// More suggestions than this are a list, and `hostdyno runs` is a better one.
const SUGGESTIONS: usize = 3;

/// The names most similar to `typed`, best first, as `a or b`.
fn nearest(typed: &str, names: Vec<String>) -> Option<String> {
    let mut near: Vec<(f64, String)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(typed, &name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.dedup_by(|a, b| a.1 == b.1);
    let near: Vec<String> = near.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect();
    (!near.is_empty()).then(|| near.join(" or "))
}

/// Why a file gave no record.
enum Unreadable {
    /// Written by a newer hostdyno: reading on would misread it.
    NewerSchema(Error),
    /// Half-written or not ours.
    Damaged(String),
}

fn json_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(directory).map_err(|e| Error::path("read the run", directory, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')))
        .collect();
    files.sort();
    Ok(files)
}

fn parse<T: DeserializeOwned>(file: &Path) -> Result<T, Unreadable> {
    let damaged = |why: String| Unreadable::Damaged(format!("{}: {why}", file.display()));
    let text =
        std::fs::read_to_string(file).map_err(|e| damaged(format!("can't be read ({e})")))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| damaged(format!("not whole JSON ({e}); measure again")))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) if schema > u64::from(SCHEMA) => {
            return Err(Unreadable::NewerSchema(Error::input(
                format!(
                    "{} has schema {schema}, this hostdyno reads schema {SCHEMA}",
                    file.display()
                ),
                "Update hostdyno to the version that wrote it",
            )));
        }
        Some(schema) => {
            return Err(damaged(format!("schema {schema} is older than {SCHEMA}; measure again")));
        }
        None => return Err(damaged("no schema number: not a hostdyno record".into())),
    }
    serde_json::from_value(value)
        .map_err(|e| damaged(format!("not a record of schema {SCHEMA} ({e})")))
}

#[cfg(test)]
mod tests;
