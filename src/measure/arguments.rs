//! The command line of a bench executable, as far as it decides what is measured.
//!
//! Criterion owns this command line and parses it too; but it tells nobody whether a benchmark passes the filter, and
//! preparing one (gigabytes of weights) must not happen for those that do not. So the same arguments are read here,
//! by the rules of criterion 0.8's `configure_from_args`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use regex::Regex;

use super::profile::{Budget, MIN_SAMPLES};
use crate::{Error, Result};

/// Criterion's options that take a value, besides those that are named in [`command`].
const VALUES: [&str; 14] = [
    "color",
    "save-baseline",
    "baseline",
    "baseline-lenient",
    "load-baseline",
    "format",
    "nresamples",
    "noise-threshold",
    "confidence-level",
    "significance-level",
    "plotting-backend",
    "output-format",
    "colour",
    "profile-time",
];
/// Criterion's switches, besides those that are named in [`command`].
const SWITCHES: [&str; 8] = [
    "verbose",
    "quiet",
    "noplot",
    "discard-baseline",
    "quick",
    "nocapture",
    "show-output",
    "include-ignored",
];
/// Criterion's short options and what they stand for.
const SHORT: [(&str, char); 5] =
    [("color", 'c'), ("save-baseline", 's'), ("baseline", 'b'), ("verbose", 'v'), ("noplot", 'n')];

/// What this process is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Measure and record.
    Measure,
    /// Verify each subject and run it once; record nothing.
    Test,
    /// Print the names of the metrics.
    List,
    /// Leave it to Criterion: it profiles, or shows a saved baseline.
    Criterion,
}

#[derive(Debug, Clone)]
enum Filter {
    All,
    None,
    Exact(String),
    Pattern(Regex),
}

/// The parsed command line.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// What to do.
    pub mode: Mode,
    filter: Filter,
    sample_size: Option<usize>,
    measurement_time: Option<f64>,
    warm_up_time: Option<f64>,
}

impl Arguments {
    /// Parses the arguments of a bench executable, without its name.
    ///
    /// # Errors
    /// An unknown option, a filter that is not a regular expression, a number that is not positive.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let refused = |e: &dyn std::fmt::Display| {
            Error::input(
                format!("the arguments after `--` can't be used: {e}"),
                "See `cargo bench --bench gemm -- --help` for Criterion's options",
            )
        };
        let matches = command().try_get_matches_from(arguments).map_err(|e| refused(&e))?;
        let seconds = |name: &str| match matches.get_one::<f64>(name) {
            Some(&s) if !(s.is_finite() && s > 0.0) => {
                Err(refused(&format!("--{name} takes positive seconds")))
            }
            other => Ok(other.copied()),
        };
        let sample_size = matches.get_one::<usize>("sample-size").copied();
        if sample_size.is_some_and(|n| n < MIN_SAMPLES) {
            return Err(refused(&format!("--sample-size takes at least {MIN_SAMPLES}")));
        }
        Ok(Self {
            mode: mode(&matches),
            filter: filter(&matches).map_err(|e| refused(&e))?,
            sample_size,
            measurement_time: seconds("measurement-time")?,
            warm_up_time: seconds("warm-up-time")?,
        })
    }

    /// Whether the metric named `id` is asked for.
    pub fn selects(&self, id: &str) -> bool {
        match &self.filter {
            Filter::All => true,
            Filter::None => false,
            Filter::Exact(name) => name == id,
            Filter::Pattern(pattern) => pattern.is_match(id),
        }
    }

    /// `budget` with what the command line says instead.
    pub fn adjust(&self, budget: Budget) -> Budget {
        let seconds = |s: f64| std::time::Duration::from_secs_f64(s.min(1e6));
        Budget {
            warm_up: self.warm_up_time.map_or(budget.warm_up, seconds),
            settle: self.warm_up_time.map_or(budget.settle, seconds),
            sampling: self.measurement_time.map_or(budget.sampling, seconds),
            noise_target: budget.noise_target,
            samples: self.sample_size.map_or(budget.samples, |n| n..=n),
        }
    }
}

fn command() -> Command {
    let short = |name: &str| SHORT.iter().find(|(long, _)| *long == name).map(|(_, c)| *c);
    let named = |name: &'static str| {
        let arg = Arg::new(name).long(name);
        match short(name) {
            Some(c) => arg.short(c),
            None => arg,
        }
    };
    let switch = |name| named(name).action(ArgAction::SetTrue);
    Command::new("bench")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(Arg::new("FILTER"))
        .args(VALUES.map(named))
        .args(SWITCHES.map(switch))
        .args(["list", "ignored", "exact", "test", "bench", "help"].map(switch))
        .arg(named("sample-size").value_parser(clap::value_parser!(usize)))
        .args(
            ["warm-up-time", "measurement-time"]
                .map(|n| named(n).value_parser(clap::value_parser!(f64))),
        )
}

/// `cargo test` runs a bench without `--bench`: that is a test, as it is to Criterion.
fn mode(matches: &ArgMatches) -> Mode {
    if matches.get_flag("list") {
        Mode::List
    } else if matches.get_flag("test") || !matches.get_flag("bench") {
        Mode::Test
    } else if matches.contains_id("profile-time")
        || matches.contains_id("load-baseline")
        || matches.get_flag("help")
    {
        Mode::Criterion
    } else {
        Mode::Measure
    }
}

fn filter(matches: &ArgMatches) -> Result<Filter, regex::Error> {
    Ok(match matches.get_one::<String>("FILTER") {
        _ if matches.get_flag("ignored") => Filter::None,
        None => Filter::All,
        Some(name) if matches.get_flag("exact") => Filter::Exact(name.clone()),
        Some(pattern) => Filter::Pattern(Regex::new(pattern)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Profile;

    fn parse(line: &str) -> Result<Arguments> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn modes() {
        for (line, mode) in [
            ("--bench", Mode::Measure),
            ("", Mode::Test),
            ("--bench --test", Mode::Test),
            ("--bench --list --format terse", Mode::List),
            ("--bench --profile-time 3", Mode::Criterion),
            ("--bench --load-baseline nps1", Mode::Criterion),
            ("--bench -s nps1 -n", Mode::Measure),
        ] {
            assert_eq!(parse(line).expect(line).mode, mode, "{line}");
        }
    }

    #[test]
    fn a_value_is_not_a_filter() {
        let arguments = parse("--save-baseline gold cpu/(bf16|int8) --bench").expect("parsed");
        assert!(arguments.selects("gemm/cpu/bf16/m1n2k3"));
        assert!(!arguments.selects("gemm/cpu/fp8/m1n2k3"));
        assert!(!arguments.selects("gold"));
    }

    #[test]
    fn exact_and_ignored() {
        let exact = parse("--exact a/b --bench").expect("parsed");
        assert!(exact.selects("a/b") && !exact.selects("a/b/c"));
        assert!(!parse("--ignored --bench").expect("parsed").selects("a/b"));
    }

    #[test]
    fn the_command_line_beats_the_profile() {
        let budget = Profile::Quick.budget();
        let adjusted = parse("--bench --sample-size 12 --measurement-time 7 --warm-up-time 0.5")
            .expect("parsed")
            .adjust(budget.clone());
        assert_eq!(adjusted.samples, 12..=12);
        assert_eq!((adjusted.sampling.as_secs(), adjusted.warm_up.as_millis()), (7, 500));
        assert_eq!(parse("--bench").expect("parsed").adjust(budget.clone()), budget);
    }

    #[test]
    fn bad_arguments_are_refused_with_advice() {
        for line in [
            "--frobnicate",
            "(",
            "--sample-size 3",
            "--measurement-time -1",
            "--measurement-time nan",
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.to_string().contains("--help"), "{line}: {error}");
        }
    }
}
