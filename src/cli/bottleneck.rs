//! `hostdyno bottleneck`: tokens a second of a model on a host, by part, and what would move them.

mod model;

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::output::{Output, complain};
use crate::bottleneck::experts_check::{ExpertsChecked, check_experts};
use crate::bottleneck::published::{self, Checked};
use crate::bottleneck::sweep::Axis;
use crate::bottleneck::{Analysis, Constants, Host, Policy, Question, Setup, Where};
use crate::number::Format;
use crate::record::store::{Run, Store};
use crate::report::terminal;
use crate::workload::Mix;
use crate::{Error, Result};

/// Which model, on which host, how it is run, and what to vary.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["model", "check"]))]
pub struct Arguments {
    /// Model of the catalogue, or the path of a config.json, of a GGUF file, or of a directory with the model's files
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Host that you don't have: a TOML file such as those in results/reference/hosts
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    host: Option<PathBuf>,
    /// Run whose figures are used: its name, the beginning of it, or its label; default: newest run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Format of the weights: fp8, q4_k_m, 4.5 (bits a weight), mxfp4/bf16 (routed experts/rest) ...; default: that of
    /// the model's files, else q4_k_m
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Format of the cache
    #[arg(long, value_name = "FORMAT", default_value = "bf16")]
    kv: String,
    /// Tokens of each sequence
    #[arg(long, value_name = "TOKENS", default_value_t = 4096)]
    context: usize,
    /// Sequences decoded together
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// GPUs that share every layer
    #[arg(long, value_name = "N", default_value_t = 1)]
    tensor_parallel: usize,
    /// Where the routed experts are
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = Where::Auto)]
    experts: Where,
    /// On several sockets: where the experts are and who reads them
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Policy::Local)]
    policy: Policy,
    /// Tokens a second to reach: what would each part have to do, and which change gets there?
    #[arg(long, value_name = "TOKENS")]
    target: Option<f64>,
    /// Vary it and print a table (again for more; `all` for every axis)
    #[arg(long, value_name = "AXIS", value_parser = axes)]
    sweep: Vec<Axes>,
    /// Instead: project published measurements and print the errors; FILE in the schema of
    /// src/bottleneck/data/published.json, default: those of this repository
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["host", "run"])]
    check: Option<Option<PathBuf>>,
}

/// One axis, or all.
#[derive(Debug, Clone)]
struct Axes(Vec<Axis>);

fn axes(text: &str) -> Result<Axes, String> {
    use clap::ValueEnum;
    if text == "all" {
        return Ok(Axes(Axis::ALL.to_vec()));
    }
    Axis::from_str(text, true)
        .map(|axis| Axes(vec![axis]))
        .map_err(|_| "give format, batch, context, tensor-parallel or all".to_owned())
}

/// Most sequences and GPUs that are asked about.
const MOST: usize = 1 << 16;

/// Projects.
///
/// # Errors
/// The model, the host or the run can't be read, or they don't go together.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    if let Some(file) = &arguments.check {
        return check(file.as_deref(), output);
    }
    let name = arguments.model.as_deref().unwrap_or_default();
    let found = model::find(name)?;
    let mix = match &arguments.format {
        Some(format) => Mix::parse(format, &found.model)?,
        None => found.usual_mix()?,
    };
    let (host, experts) = host(arguments, store)?;
    let kv =
        Format::ALL.into_iter().find(|format| format.name() == arguments.kv).ok_or_else(|| {
            let names = Format::ALL.map(Format::name).join(", ");
            Error::input(
                format!("{:?} is no format of a cache", arguments.kv),
                format!("Give --kv one of {names}"),
            )
        })?;
    for (option, value) in [
        ("--batch", arguments.batch),
        ("--tensor-parallel", arguments.tensor_parallel),
        ("--context", arguments.context),
    ] {
        if value == 0 || (option != "--context" && value > MOST) {
            return Err(Error::input(
                format!("{option} {value}"),
                format!("Give a number from 1 to {MOST}"),
            ));
        }
    }
    let sweeps: Vec<Axis> = arguments.sweep.iter().flat_map(|axes| axes.0.clone()).collect();
    let mut analysis = Analysis::new(&Question {
        name: &found.name,
        model: &found.model,
        mix: &mix,
        host: &host,
        setup: Setup {
            batch: arguments.batch,
            context: arguments.context,
            kv,
            tensor_parallel: arguments.tensor_parallel,
            policy: arguments.policy,
            routed: arguments.experts,
        },
        target: arguments.target,
        sweeps: &sweeps,
    })?;
    analysis.experts = experts;
    output.print("bottleneck", &analysis, terminal::bottleneck::render)
}

/// What decode and prefill of `name` would take on the host of `run`, as it is usually run, and what batch, context,
/// format and GPUs would change.
///
/// # Errors
/// There is no such model, or its files can't be read. The inner one: the run's figures don't tell.
pub fn of_run(name: &str, run: &Run) -> Result<Result<Analysis>> {
    let found = model::find(name)?;
    let mix = found.usual_mix()?;
    Ok(Analysis::new(&Question {
        name: &found.name,
        model: &found.model,
        mix: &mix,
        host: &Host::of_run(run),
        setup: Setup::default(),
        target: None,
        sweeps: &Axis::ALL,
    }))
}

/// The host, and of a run how well it projects its own experts.
fn host(arguments: &Arguments, store: &Store) -> Result<(Host, Vec<ExpertsChecked>)> {
    let Some(path) = &arguments.host else {
        let run = store.read(arguments.run.as_deref()).map_err(|error| {
            match (&arguments.run, error) {
                (None, Error::Input { what, next }) => Error::input(
                    what,
                    format!("{next}; or describe a host in a file and give --host FILE"),
                ),
                (_, error) => error,
            }
        })?;
        for problem in &run.problems {
            complain("warning", problem);
        }
        return Ok((Host::of_run(&run), check_experts(&run)));
    };
    let text = std::fs::read_to_string(path).map_err(|e| Error::path("read", path, e))?;
    Ok((crate::bottleneck::toml::host(&text, &path.display().to_string())?, vec![]))
}

/// Every point with its error, and the mean of them.
#[derive(Serialize)]
pub struct Checks {
    /// By point.
    pub points: Vec<Checked>,
    /// Mean absolute error of the points with one socket.
    pub mean_error_one_socket: Option<f64>,
    /// Constants fitted to all points of this repository.
    pub constants: Constants,
}

fn check(file: Option<&std::path::Path>, output: &Output) -> Result<()> {
    let points = match file {
        None => published::built_in(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Error::path("read", path, e))?;
            published::read(&text, &path.display().to_string())?
        }
    };
    if points.is_empty() {
        return Err(Error::input(
            "there is no decode point in that file",
            "Give points of \"kind\": \"decode\", as in src/bottleneck/data/published.json",
        ));
    }
    let points = published::check(&points)?;
    let mean = published::mean_error(&points);
    let checks = Checks { mean_error_one_socket: mean, constants: *Constants::fitted(), points };
    output.print("bottleneck-check", &checks, |screen, checks| {
        terminal::bottleneck::checks(
            screen,
            &checks.points,
            checks.mean_error_one_socket,
            &checks.constants,
        )
    })
}
