//! `hostdyno load-time DIR`: how long a model will take to load, from its headers and what a run has measured.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{Output, complain};
use crate::record::store::Store;
use crate::storage::layout::ModelSize;
use crate::storage::load::projection::{METRIC, Measured, Prediction};
use crate::{Error, Result};

/// Which model, and which run's figures.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory with the model's safetensors or GGUF files, one such file, or a hub's index (*.json) alone
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Run whose rates are used: its name, the beginning of it, or its label; default: newest run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

#[derive(Serialize)]
struct LoadTime {
    run: String,
    model: ModelSize,
    prediction: Prediction,
    /// Into each device that the run has loaded into.
    into: Vec<(String, Prediction)>,
    /// Seconds that the same files took in the run, if it loaded them, memory not counted.
    measured_s: Option<f64>,
    /// The rates, what they were taken from, and what predictions from them are worth.
    basis: Measured,
}

/// Predicts the load of the model.
///
/// # Errors
/// The model's headers are malformed, there is no such run, or it has not measured loading.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let model = ModelSize::of(&arguments.model)?;
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let Some(basis) = Measured::of(run.benches.iter().flat_map(|bench| &bench.metrics)) else {
        return Err(Error::input(
            format!("run {} has not measured {METRIC}", run.name),
            "Measure it with `cargo bench --bench storage`, or name another run with --run",
        ));
    };
    let prediction = Prediction::new(&model, &basis.rates);
    let into = |(name, rate): &(String, f64)| {
        (name.clone(), prediction.into_device(&model, &basis.rates, *rate))
    };
    let content = LoadTime {
        into: basis.destinations.iter().map(into).collect(),
        measured_s: basis.of_model(&model),
        run: run.name.clone(),
        model,
        prediction,
        basis,
    };
    output.print("load-time", &content, |_, content| text(content))
}

fn text(content: &LoadTime) -> String {
    let LoadTime { model, prediction: p, basis, .. } = content;
    let rates = &basis.rates;
    let mut lines = vec![
        format!(
            "{}: {:.2} GB in {} files, {} tensors{}",
            model.description,
            model.bytes as f64 / 1e9,
            model.shards,
            model.tensors,
            if model.index_only { " (by its index alone)" } else { "" }
        ),
        format!("{:.2} s ± {:.2} s, disk to RAM, limited by {}", p.total_s, p.band_s, p.limited_by),
    ];
    let stage =
        |name: &str, seconds: f64, rate: String| format!("  {name:19} {seconds:10.3} s  {rate}");
    lines.extend([
        stage("open", p.open_s, format!("{:.3} ms a file", rates.open_s_per_shard * 1e3)),
        stage("parse", p.parse_s, format!("{:.3} us a tensor", rates.parse_s_per_tensor * 1e6)),
        stage("allocate and touch", p.prefault_s, format!("{:.2} GB/s", rates.prefault_gb_per_s)),
        stage("register", p.register_s, format!("{:.3} s a GB", rates.register_s_per_gb)),
        stage("read", p.read_s, format!("{:.2} GB/s", rates.read_gb_per_s)),
    ]);
    for (name, p) in &content.into {
        lines.push(format!(
            "{:.2} s ± {:.2} s, disk to {name}, limited by {} ({:.3} s to copy while reading)",
            p.total_s, p.band_s, p.limited_by, p.copy_s
        ));
    }
    lines.push(format!("Rates: {METRIC} of run {}", content.run));
    if let Some(measured) = content.measured_s {
        let predicted = p.without_memory_s();
        lines.push(format!(
            "Measured in that run without allocation: {measured:.3} s ({:+.1} % against {predicted:.3} s predicted)",
            (predicted / measured - 1.0) * 100.0
        ));
    }
    let how = match basis.sets.len() {
        1 => "from raw reads of the device",
        _ => "from the other sets of the run",
    };
    lines.extend(basis.checks.iter().map(|check| {
        format!(
            "Own error {:+.1} %: {:.3} s predicted {how}, {:.3} s measured: {}",
            check.error() * 100.0,
            check.predicted_s,
            check.measured_s,
            check.model
        )
    }));
    if basis.checks.is_empty() {
        lines.push(
            "Own error unknown: the run has nothing that a load could be predicted from".into(),
        );
    }
    lines.join("\n") + "\n"
}
