//! Measurements that others published: the points that the constants are fitted to and checked against.
//!
//! The file's schema: `points`, each of `kind` `decode` (or `load`, which is not decode and is skipped here). What a
//! point does not tell is null or absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Setup;
use super::constants::Constants;
use super::decode::decode;
use super::figure::{Figure, Origin};
use super::fit;
use super::host::{Dram, Gpu, Host};
use super::placement::Where;
use super::projection::{Band, Part, Projection};
use crate::workload::{Mix, Model, find_model};
use crate::{Error, Result};

/// One measurement of decode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Name of the point.
    pub id: String,
    /// `decode`.
    pub kind: String,
    /// CPU sockets.
    #[serde(default)]
    pub sockets: Option<usize>,
    /// All sockets together, GB/s.
    #[serde(default)]
    pub dram_read_gb_s: Option<f64>,
    /// Begins with `theoretical` or `measured`.
    #[serde(default)]
    pub dram_origin: Option<String>,
    /// Name; null where there is none.
    #[serde(default)]
    pub gpu: Option<String>,
    /// How many; 1 where absent.
    #[serde(default)]
    pub gpus: Option<usize>,
    /// GPUs that share every layer; 1 where absent.
    #[serde(default)]
    pub tensor_parallel: Option<usize>,
    /// Nominal, of one GPU, GB/s.
    #[serde(default)]
    pub vram_gb_s: Option<f64>,
    /// Software that was measured.
    #[serde(default)]
    pub engine: Option<String>,
    /// In the catalogue.
    pub model: String,
    /// Name of the mix.
    pub quantisation: String,
    /// Mean of the file.
    #[serde(default)]
    pub bits_per_weight: Option<f64>,
    /// `dram`, `vram` or `nvme`.
    #[serde(default)]
    pub routed_experts_in: Option<Where>,
    /// Sequences.
    #[serde(default)]
    pub batch: Option<usize>,
    /// Tokens.
    #[serde(default)]
    pub context: Option<usize>,
    /// Of all sequences.
    pub measured_tok_s: f64,
    /// Where it was published.
    pub source: String,
    /// What else is known.
    #[serde(default)]
    pub note: String,
}

/// What is projected for a point.
pub struct Case {
    /// The model.
    pub model: Model,
    /// How it is stored.
    pub mix: Mix,
    /// The host.
    pub host: Host,
    /// How it is run.
    pub setup: Setup,
}

impl Point {
    /// The point's host, model and setting.
    ///
    /// # Errors
    /// A model or format that is not known, or a figure that makes no sense; the error names the point.
    pub fn case(&self) -> Result<Case> {
        let refuse = |why: String| {
            Error::input(format!("point {}: {why}", self.id), "Correct it in the file of points")
        };
        let model = find_model(&self.model).map_err(|e| refuse(e.to_string()))?;
        let mix = match self.bits_per_weight {
            Some(bits) if !(0.5..=32.0).contains(&bits) => {
                return Err(refuse(format!("bits_per_weight {bits} is not from 0.5 to 32")));
            }
            Some(bits) => Mix::of_mean(&self.quantisation, bits, &model),
            None => Mix::parse(&self.quantisation, &model).map_err(|e| refuse(e.to_string()))?,
        };
        let positive = |name: &str, value: Option<f64>| match value {
            Some(v) if !(v > 0.0 && v.is_finite()) => {
                Err(refuse(format!("{name} is {v}, not a positive number")))
            }
            other => Ok(other),
        };
        positive("measured_tok_s", Some(self.measured_tok_s))?;
        let theoretical =
            self.dram_origin.as_deref().is_none_or(|o| o.to_ascii_lowercase().starts_with("theor"));
        // Measured by its owner, not by this host's runs: it carries the spread of the published.
        let origin = if theoretical { Origin::Theoretical } else { Origin::Published };
        let figure = |value: f64, origin| Figure::new(value, origin, self.source.clone());
        let read =
            positive("dram_read_gb_s", self.dram_read_gb_s)?.map(|value| figure(value, origin));
        let vram =
            positive("vram_gb_s", self.vram_gb_s)?.map(|value| figure(value, Origin::Theoretical));
        let gpu = match (&self.gpu, vram) {
            (None, None) => None,
            (name, vram_read) => Some(Gpu {
                name: name.clone().unwrap_or_else(|| "GPU".into()),
                count: self.gpus.unwrap_or(1).max(1),
                vram_read,
                ..Gpu::default()
            }),
        };
        let count = |name: &str, value: Option<usize>, default: usize| match value {
            Some(0) => Err(refuse(format!("{name} is 0"))),
            other => Ok(other.unwrap_or(default)),
        };
        let setup = Setup {
            batch: count("batch", self.batch, 1)?,
            context: self.context.unwrap_or(0),
            tensor_parallel: count("tensor_parallel", self.tensor_parallel, 1)?,
            routed: self.routed_experts_in.unwrap_or_default(),
            ..Setup::default()
        };
        let host = Host {
            name: self.gpu.clone().unwrap_or_else(|| "no GPU".into()),
            sockets: count("sockets", self.sockets, 1)?,
            dram: Dram { read, ..Dram::default() },
            gpu,
            ..Host::default()
        };
        Ok(Case { model, mix, host, setup })
    }

    /// The projection of the point.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub fn project(&self, constants: &Constants) -> Result<Projection> {
        let Case { model, mix, host, setup } = self.case()?;
        Ok(decode(&model, &mix, &host, &setup, constants))
    }
}

/// The decode points of `text`, a file in the schema of `data/published.json`; `path` is for messages.
///
/// # Errors
/// It is not JSON, or a decode point lacks a field.
pub fn read(text: &str, path: &str) -> Result<Vec<Point>> {
    #[derive(Deserialize)]
    struct File {
        points: Vec<serde_json::Value>,
    }
    let refuse = |why: String| {
        Error::input(
            format!("{path} is no file of points: {why}"),
            "Write it like src/bottleneck/data/published.json",
        )
    };
    let file: File = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
    let mut points = Vec::new();
    for value in file.points {
        if value.get("kind").and_then(|kind| kind.as_str()) != Some("decode") {
            continue;
        }
        let id = value.get("id").map_or("without id".into(), ToString::to_string);
        points.push(serde_json::from_value(value).map_err(|e| refuse(format!("point {id}: {e}")))?);
    }
    Ok(points)
}

/// The points in this repository.
///
/// # Panics
/// Never: a test reads them.
pub fn built_in() -> Vec<Point> {
    [
        ("published.json", include_str!("data/published.json")),
        ("vram.json", include_str!("data/vram.json")),
    ]
    .into_iter()
    .flat_map(|(name, text)| read(text, name).expect("a test reads it"))
    .collect()
}

/// A point beside its projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The point.
    pub point: Point,
    /// Tokens a second as projected.
    pub projected: Band,
    /// Projected over measured, less 1.
    pub error: f64,
    /// Whether the measurement is in the band.
    pub inside: bool,
    /// The part that binds.
    pub binding: Option<Part>,
    /// Tokens a second that can't be exceeded.
    pub bound: Option<f64>,
    /// Whether the constants were fitted without the point.
    pub left_out: bool,
}

/// Every point beside its projection, from constants that were fitted without it.
///
/// # Errors
/// As [`Point::case`].
pub fn check(points: &[Point]) -> Result<Vec<Checked>> {
    let known = built_in();
    let mut without: BTreeMap<&str, Constants> = BTreeMap::new();
    points
        .iter()
        .map(|point| {
            let same = known.iter().any(|other| other.id == point.id);
            let constants = if same {
                *without.entry(&point.id).or_insert_with(|| {
                    let others: Vec<Point> =
                        known.iter().filter(|other| other.id != point.id).cloned().collect();
                    fit::fit(&others).constants
                })
            } else {
                *Constants::fitted()
            };
            let projection = point.project(&constants)?;
            Ok(Checked {
                projected: projection.tokens_per_second,
                error: projection.tokens_per_second.likely / point.measured_tok_s - 1.0,
                inside: projection.tokens_per_second.contains(point.measured_tok_s),
                binding: projection.binding,
                bound: projection.bound_tokens_per_second,
                left_out: same,
                point: point.clone(),
            })
        })
        .collect()
}

/// Mean of the absolute errors of the points with one socket.
pub fn mean_error(checked: &[Checked]) -> Option<f64> {
    let one: Vec<f64> =
        checked.iter().filter(|c| c.point.sockets == Some(1)).map(|c| c.error.abs()).collect();
    (!one.is_empty()).then(|| one.iter().sum::<f64>() / one.len() as f64)
}
