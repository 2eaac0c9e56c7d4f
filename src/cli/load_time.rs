//! `hostdyno load-time DIR`: how long a model will take to load, from its headers and what a run has measured.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{Output, complain};
use crate::record::store::Store;
use crate::storage::layout::ShardSet;
use crate::storage::load::projection::{METRIC, Prediction, Rates};
use crate::{Error, Result};

/// Which model, and which run's figures.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory with the model's safetensors or GGUF files
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Run whose rates are used: its name, the beginning of it, or its label; default: newest run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

#[derive(Serialize)]
struct LoadTime {
    model: String,
    run: String,
    rates: Rates,
    prediction: Prediction,
    /// Seconds that the same files took in the run, if it loaded them.
    measured_s: Option<f64>,
}

/// Predicts the load of the model.
///
/// # Errors
/// The model's headers are malformed, there is no such run, or it has not measured loading.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let set = ShardSet::open(&arguments.model)?;
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let metrics = run.benches.iter().flat_map(|bench| &bench.metrics);
    let found = metrics.filter_map(|m| Some((m, Rates::of(m)?))).next_back();
    let Some((metric, rates)) = found else {
        return Err(Error::input(
            format!("run {} has not measured {METRIC}", run.name),
            "Measure it with `cargo bench --bench storage`, or name another run with --run",
        ));
    };
    let same = metric.details.get("bytes").and_then(|b| b.as_u64()) == Some(set.bytes())
        && metric.details.get("shards").and_then(|s| s.as_u64()) == Some(set.shards.len() as u64);
    let median = metric.summary.as_ref().map(|s| set.bytes() as f64 / 1e9 / s.median);
    let content = LoadTime {
        model: set.description.clone(),
        run: run.name.clone(),
        rates,
        prediction: Prediction::new(&set, &rates),
        measured_s: median.filter(|_| same),
    };
    output.print("load-time", &content, |_, content| text(content))
}

fn text(content: &LoadTime) -> String {
    let LoadTime { prediction: p, rates, .. } = content;
    let mut lines = vec![
        format!(
            "{}: {:.2} GB in {} files, {} tensors",
            content.model,
            p.bytes as f64 / 1e9,
            p.shards,
            p.tensors
        ),
        format!("{:.2} s ± {:.2} s, disk to RAM, limited by {}", p.total_s, p.band_s, p.limited_by),
        format!("  open and parse      {:10.3} s", p.open_parse_s),
        format!(
            "  allocate and touch  {:10.3} s  at {:.2} GB/s",
            p.prefault_s, rates.prefault_gb_per_s
        ),
        format!("  read                {:10.3} s  at {:.2} GB/s", p.read_s, rates.read_gb_per_s),
        format!("Rates: {METRIC} of run {}", content.run),
    ];
    if let Some(measured) = content.measured_s {
        let predicted = p.open_parse_s + p.read_s;
        lines.push(format!(
            "Measured in that run without allocation: {measured:.2} s ({:+.1} % against {predicted:.2} s predicted)",
            (predicted / measured - 1.0) * 100.0
        ));
    }
    lines.join("\n") + "\n"
}
