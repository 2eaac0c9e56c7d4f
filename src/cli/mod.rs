//! The command line: one file a verb, and here what they share: options, exit codes, warnings.
//!
//! Exit codes: 0 done (perhaps with warnings on standard error), 1 internal error or what `--fail-on` asked to fail on,
//! 2 bad usage or input; `qualify` adds 3, inconclusive.

mod baseline;
mod bottleneck;
mod clean;
mod compare;
mod env;
mod ladder;
mod load_time;
mod noise_floor;
mod order;
mod output;
mod peers;
mod qualify;
mod report;
mod runs;
mod selftest;
mod topology;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::record::store::Store;
use crate::{Error, Result};
use output::Output;

/// What this host can do, part by part, and what to look at.
#[derive(Debug, Parser)]
#[command(name = "hostdyno", version, about, propagate_version = true)]
#[command(after_help = "Measure a host with `cargo bench`; every run is kept in results/runs/.")]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
struct Common {
    /// Print one JSON object instead of text (its shape: results/README.md)
    #[arg(long, global = true)]
    json: bool,
    /// Directory that holds runs/
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HOSTDYNO_RESULTS",
        default_value = "results"
    )]
    results: PathBuf,
    /// No colour, on a terminal too (also: NO_COLOR=1)
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report on a run: host, a number for each part, tables, what was skipped, what to look at
    Report(report::Arguments),
    /// List the runs
    Runs,
    /// Show this host's environment as it is now
    Env(env::Arguments),
    /// Show this host's sockets, NUMA nodes, caches and devices as a tree
    Topology(topology::Arguments),
    /// Predict how long a model takes to load, from its headers and a run
    LoadTime(load_time::Arguments),
    /// Try every way of reading a file, best first, and say why this host refuses it
    Ladder(ladder::Arguments),
    /// Compare two groups of runs: what differs, what moved, what explains it
    Compare(compare::Arguments),
    /// Judge this host: every metric against sourced references, a baseline of one's own, or floors
    Qualify(qualify::Arguments),
    /// Make a baseline of runs of hosts that are known to be good, for qualify
    #[command(subcommand)]
    Baseline(baseline::Verb),
    /// Learn this host's noise from runs of one setting, for compare
    NoiseFloor(noise_floor::Arguments),
    /// Print the order in which to measure two settings
    Order(order::Arguments),
    /// Show our products beside others', from a run that measured both
    Peers(peers::Arguments),
    /// Project tokens a second of a model: time by part, what binds, what would move it
    Bottleneck(bottleneck::Arguments),
    /// Check every GPU kernel against the oracle, on the GPU that is here
    Selftest(selftest::Arguments),
    /// Remove the synthetic models that benches made
    Clean,
}

/// Runs the verb that the command line names.
pub fn run() -> ExitCode {
    let CommandLine { common, verb } = CommandLine::parse();
    let output = Output::new(&common);
    let store = Store::new(&common.results);
    let done = |outcome: Result<()>| outcome.map(|()| ExitCode::SUCCESS);
    let outcome = match verb {
        Verb::Report(arguments) => done(report::run(&arguments, &store, &output)),
        Verb::Runs => done(runs::run(&store, &output)),
        Verb::Env(arguments) => done(env::run(&arguments, &output)),
        Verb::Topology(arguments) => done(topology::run(&arguments, &output)),
        Verb::LoadTime(arguments) => done(load_time::run(&arguments, &store, &output)),
        Verb::Bottleneck(arguments) => done(bottleneck::run(&arguments, &store, &output)),
        Verb::Ladder(arguments) => done(ladder::run(&arguments, &output)),
        Verb::Compare(arguments) => compare::run(&arguments, &store, &output),
        Verb::Qualify(arguments) => qualify::run(&arguments, &store, &output),
        Verb::Baseline(verb) => done(baseline::run(&verb, &store, &output)),
        Verb::NoiseFloor(arguments) => done(noise_floor::run(&arguments, &store, &output)),
        Verb::Order(arguments) => done(order::run(&arguments, &output)),
        Verb::Peers(arguments) => done(peers::run(&arguments, &store, &output)),
        Verb::Selftest(arguments) => done(selftest::run(&arguments, &output)),
        Verb::Clean => done(clean::run(&output)),
    };
    exit_code(outcome)
}

fn exit_code(outcome: Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain("error", &error.to_string());
            match error {
                Error::Input { .. } | Error::Os { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
