//! One quantity varied, all else as it is.

use serde::{Deserialize, Serialize};

use super::constants::Constants;
use super::decode::decode;
use super::host::Host;
use super::placement::Placement;
use super::projection::{Band, Part};
use super::{Setup, host};
use crate::workload::{Mix, Model};

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Format of the weights.
    Format,
    /// Sequences decoded together.
    Batch,
    /// Tokens of each.
    Context,
    /// GPUs that share every layer.
    TensorParallel,
}

impl Axis {
    /// Every axis.
    pub const ALL: [Self; 4] = [Self::Format, Self::Batch, Self::Context, Self::TensorParallel];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Batch => "batch",
            Self::Context => "context",
            Self::TensorParallel => "tensor parallel",
        }
    }
}

/// Formats that a sweep tries: those of the suite, then GGUF mixes, each from many bits to few.
pub const FORMATS: [&str; 10] = [
    "bf16",
    "fp8",
    "int8",
    "mxfp4",
    "q8_0",
    "q6_k",
    "q4_k_m",
    "ud-q4_k_xl",
    "q3_k_m",
    "ud-q2_k_xl",
];
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const CONTEXTS: [usize; 8] =
    [1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17];
const RANKS: [usize; 4] = [1, 2, 4, 8];

/// One value of the axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The value, for people.
    pub label: String,
    /// The value, for an axis of a plot; bits a weight for formats.
    pub x: f64,
    /// Tokens a second of all sequences.
    pub tokens_per_second: Band,
    /// Of one of them.
    pub per_sequence: f64,
    /// The part that binds.
    pub binding: Option<Part>,
    /// Seconds by part.
    pub parts: Vec<(Part, f64)>,
    /// Shares of the routed experts in VRAM, DRAM and on disk.
    pub experts: [f64; 3],
    /// Why it can't be, where it can't: beyond the out-of-memory boundary.
    pub does_not_fit: Option<String>,
    /// Inputs that are missing.
    pub missing: Vec<String>,
}

/// Every value of one axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// What was varied.
    pub axis: Axis,
    /// By value.
    pub rows: Vec<Row>,
    /// The row of most tokens a second among those that fit.
    pub best: Option<String>,
    /// Where more stops paying: the last row of a batch or of GPUs whose doubling still gave a fifth more.
    pub knee: Option<String>,
    /// The last row that fits, where a later one does not.
    pub boundary: Option<String>,
}

/// A doubling that gives less is not worth it.
const WORTH: f64 = 1.2;

/// `axis` varied around `setup`.
pub fn sweep(
    axis: Axis,
    model: &Model,
    mix: &Mix,
    host: &Host,
    setup: &Setup,
    constants: &Constants,
) -> Sweep {
    let row = |label: String, x: f64, mix: &Mix, setup: Setup| {
        let host = with_gpus(host, setup.tensor_parallel);
        let place = Placement::new(&host, &setup.load(model, mix, &host));
        let step = decode(model, mix, &host, &setup, constants);
        Row {
            label,
            x,
            per_sequence: step.tokens_per_second.likely / setup.batch as f64,
            tokens_per_second: step.tokens_per_second,
            binding: step.binding,
            parts: step.parts.iter().map(|p| (p.part, p.seconds.likely)).collect(),
            experts: [place.vram, place.dram, place.nvme],
            does_not_fit: place.does_not_fit,
            missing: step.missing,
        }
    };
    let number = |n: usize| (n.to_string(), n as f64);
    let rows: Vec<Row> = match axis {
        Axis::Format => {
            let mixes = FORMATS.iter().filter_map(|name| Mix::parse(name, model).ok());
            mixes.map(|mix| row(mix.name.clone(), mean_bits(model, &mix), &mix, *setup)).collect()
        }
        Axis::Batch => BATCHES
            .iter()
            .map(|&batch| row(number(batch).0, number(batch).1, mix, Setup { batch, ..*setup }))
            .collect(),
        Axis::Context => CONTEXTS
            .iter()
            .filter(|context| **context <= model.context)
            .map(|&context| {
                row(number(context).0, number(context).1, mix, Setup { context, ..*setup })
            })
            .collect(),
        Axis::TensorParallel if host.gpu.is_none() => vec![],
        Axis::TensorParallel => RANKS
            .iter()
            .map(|&ranks| {
                row(
                    number(ranks).0,
                    number(ranks).1,
                    mix,
                    Setup { tensor_parallel: ranks, ..*setup },
                )
            })
            .collect(),
    };
    let fits: Vec<&Row> = rows.iter().filter(|row| row.does_not_fit.is_none()).collect();
    let rate = |row: &Row| row.tokens_per_second.likely;
    let best = fits.iter().max_by(|a, b| rate(a).total_cmp(&rate(b))).map(|row| row.label.clone());
    let doubles = matches!(axis, Axis::Batch | Axis::TensorParallel);
    let knee = fits
        .windows(2)
        .take_while(|pair| rate(pair[1]) >= WORTH * rate(pair[0]))
        .last()
        .map(|pair| pair[1]);
    let knee = knee.or(fits.first().copied()).filter(|_| doubles).map(|row| row.label.clone());
    let whole = rows.iter().all(|row| row.does_not_fit.is_none());
    let boundary =
        fits.last().filter(|_| !whole && axis != Axis::Format).map(|row| row.label.clone());
    Sweep { axis, best, knee, boundary, rows }
}

/// `host` with at least `count` of its GPUs.
pub fn with_gpus(host: &Host, count: usize) -> Host {
    let mut host = host.clone();
    if let Some(gpu) = &mut host.gpu {
        let host::Gpu { count: have, .. } = gpu;
        *have = (*have).max(count);
    }
    host
}

/// Bits a weight over all of `model`.
pub fn mean_bits(model: &Model, mix: &Mix) -> f64 {
    model.all_bytes(mix) * 8.0 / model.parameters() as f64
}
