//! One bench process from its first line to its exit code.
//!
//! The record is written after every metric, so a bench that is killed loses the metric it was at, nothing else. No
//! failure of one metric stops the others: it is recorded with its cause, and the exit code tells at the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{Arguments, Mode};
use super::criterion_glue;
use super::metric::{Outcome, measure, try_once};
use super::plan::{Plan, Planned};
use super::profile::{Budget, Profile};
use super::progress::Progress;
use crate::host::{HostRecord, bios};
use crate::record::bench::{BenchRecord, SCHEMA, Tool};
use crate::record::run_directory::{RunDirectory, session};
use crate::record::store::{HOST_FILE, Store};
use crate::record::{State, atomic};
use crate::{Error, Result};

/// Environment variable that labels a run.
const LABEL: &str = "HOSTDYNO_LABEL";
/// Environment variable that names the results directory.
const RESULTS: &str = "HOSTDYNO_RESULTS";

/// Exit code when something could not be used or measured as asked.
const BAD_INPUT: u8 = 2;
/// Exit code when a kernel gave a wrong result.
const WRONG_RESULT: u8 = 1;

/// The `main` of the bench executable `name`: lets `plan` say what there is to measure, measures what the command
/// line asks for, records it, and tells how to read it with `binary`, the path of the hostdyno executable.
pub fn bench(name: &str, binary: &str, plan: impl FnOnce(&mut Plan) -> Result<()>) -> ExitCode {
    match run(name, binary, plan) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn run(name: &str, binary: &str, plan: impl FnOnce(&mut Plan) -> Result<()>) -> Result<ExitCode> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let profile = Profile::parse(variable(Profile::VARIABLE).as_deref())?;
    let mut planned = Plan::new(profile);
    plan(&mut planned)?;
    let mut metrics = planned.metrics;
    metrics.retain(|metric| arguments.selects(metric.id.as_str()));
    match arguments.mode {
        Mode::List => {
            for Planned { id, unit, .. } in metrics {
                criterion_glue::delegate(&id, unit, &Default::default(), |_| 0.0);
            }
            Ok(ExitCode::SUCCESS)
        }
        Mode::Test | Mode::Criterion => Ok(try_all(metrics)),
        // An empty run would only hide the one before it.
        Mode::Measure if metrics.is_empty() => Ok(ExitCode::SUCCESS),
        Mode::Measure => {
            let mut recorder = Recorder::open(name, profile)?;
            let budget = arguments.adjust(profile.budget());
            let worst = measure_all(metrics, &budget, &mut recorder);
            Ok(ExitCode::from(worst.max(recorder.finish(binary))))
        }
    }
}

/// Measures and records every metric. Returns the worst exit code.
fn measure_all(metrics: Vec<Planned>, budget: &Budget, recorder: &mut Recorder) -> u8 {
    let mut progress = Progress::start(&recorder.record.bench, metrics.len(), budget);
    let mut worst = 0;
    for planned in metrics {
        progress.next(&planned.id);
        let (id, unit) = (planned.id.clone(), planned.unit);
        let Outcome { record, error } = measure(planned, budget);
        progress.pause();
        worst = worst.max(report(&id, error.as_ref()));
        if !record.samples.is_empty() {
            criterion_glue::show(&id, unit, &record.work, &record.samples, record.batch);
        }
        if record.state != State::Ok {
            let reason = record.reason.as_deref().unwrap_or_default();
            println!("{id}: {}: {reason}", record.state.name());
        }
        recorder.record.metrics.push(record);
        worst = worst.max(recorder.save());
    }
    worst
}

fn try_all(metrics: Vec<Planned>) -> ExitCode {
    let mut worst = 0;
    for planned in metrics {
        let id = planned.id.clone();
        match try_once(planned) {
            Ok(()) => {}
            Err(Error::Unavailable(cause)) => println!("{id}: skipped: {cause}"),
            Err(error) => worst = worst.max(report(&id, Some(&error))),
        }
    }
    ExitCode::from(worst)
}

/// Prints an error and returns its exit code.
fn report(id: &crate::record::MetricId, error: Option<&Error>) -> u8 {
    match error {
        None | Some(Error::Unavailable(_)) => 0,
        Some(error) => {
            eprintln!("error: {id}: {error}");
            if matches!(error, Error::Wrong(_)) { WRONG_RESULT } else { BAD_INPUT }
        }
    }
}

/// The file that this process writes.
struct Recorder {
    record: BenchRecord,
    file: PathBuf,
}

impl Recorder {
    fn open(bench: &str, profile: Profile) -> Result<Self> {
        // Read first: what can't be used must not cost an hour of measuring.
        let bios = bios::attached()?;
        let store = Store::new(Path::new(&variable(RESULTS).unwrap_or_else(|| "results".into())));
        let (label, now) = (variable(LABEL), now());
        let boot_id = crate::host::boot_id();
        let session = session(
            Path::new("/proc"),
            boot_id.as_deref().unwrap_or_default(),
            std::process::id(),
            std::os::unix::process::parent_id(),
        );
        let run = RunDirectory::open(&store, &session, label.as_deref(), &now)?;
        if run.created {
            let mut host = HostRecord::collect();
            host.environment.attach(bios);
            atomic::write_json(&run.path.join(HOST_FILE), &host)?;
        }
        let run_name = run.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut recorder = Self {
            file: run.path.join(format!("{bench}.json")),
            record: BenchRecord {
                schema: SCHEMA,
                tool: Tool::current(),
                bench: bench.into(),
                run: run_name,
                label,
                profile: profile.name().into(),
                boot_id,
                pid: std::process::id(),
                started: now.clone(),
                updated: now,
                complete: false,
                metrics: Vec::new(),
                unknown: Default::default(),
            },
        };
        // Better to learn that nothing can be written before an hour of measuring than after.
        atomic::write_json(&recorder.file, &recorder.record)?;
        recorder.record.updated = self::now();
        Ok(recorder)
    }

    /// Writes what there is; where the results directory fails (a full disk), to the temporary directory instead.
    /// Returns an exit code.
    fn save(&mut self) -> u8 {
        self.record.updated = now();
        let Err(error) = atomic::write_json(&self.file, &self.record) else { return 0 };
        eprintln!("error: {error}");
        let name = format!("hostdyno-{}-{}.json", self.record.run, self.record.bench);
        let rescue = std::env::temp_dir().join(name);
        match atomic::write_json(&rescue, &self.record) {
            Ok(()) => eprintln!("What was measured so far is saved in {}", rescue.display()),
            Err(error) => eprintln!("error: {error}"),
        }
        BAD_INPUT
    }

    /// Writes the end of the record and tells how to read it. Returns an exit code.
    fn finish(mut self, binary: &str) -> u8 {
        self.record.complete = true;
        let code = self.save();
        let count = |state| self.record.metrics.iter().filter(|m| m.state == state).count();
        let states = [State::Ok, State::Noisy, State::Throttled, State::Skipped, State::Invalid];
        let counts: Vec<String> = states
            .into_iter()
            .filter(|&state| count(state) > 0)
            .map(|state| format!("{} {}", count(state), state.name()))
            .collect();
        let outcome = if code == 0 { "Saved" } else { "Not saved in full:" };
        println!("\n{outcome} {} ({}).", self.file.display(), counts.join(", "));
        // The newest run of the default directory needs no name.
        let run = self.file.parent().filter(|_| variable(RESULTS).is_some());
        let run = run.map_or(String::new(), |path| format!(" {}", path.display()));
        println!("Read the run with: {} report{run}\n", relative(Path::new(binary)).display());
        code
    }
}

/// `path` as one would type it here.
fn relative(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// An environment variable's text; `None` when it is unset or empty.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)
        .map(|value| value.to_string_lossy().into_owned())
        .filter(|value| !value.is_empty())
}

/// RFC 3339 in UTC, to the second.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
