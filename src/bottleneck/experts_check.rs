//! The experts bench against itself: a layer of one model projected from what was learned on another.

use serde::Serialize;

use crate::number::Format;
use crate::record::store::Run;
use crate::record::{MetricRecord, State};
use crate::workload::{Class, Mix, find_model};

/// One metric of the experts bench beside its projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpertsChecked {
    /// The metric.
    pub metric: String,
    /// The metric of another model and the same format that the figures are from.
    pub from: String,
    /// Tokens a second of all layers with experts, nothing else counted.
    pub projected: f64,
    /// The same as measured.
    pub measured: f64,
    /// Projected over measured, less 1.
    pub error: f64,
}

/// Every metric of the experts bench that another one of the same format can project.
pub fn check_experts(run: &Run) -> Vec<ExpertsChecked> {
    let metrics = || run.benches.iter().flat_map(|bench| &bench.metrics);
    let of = |metric| Seen::of(metric);
    let mut checked = Vec::new();
    for seen in metrics().filter_map(of) {
        let other =
            metrics().filter_map(of).rfind(|o| o.format == seen.format && o.model != seen.model);
        let Some(other) = other else { continue };
        let Ok(model) = find_model(seen.model) else { continue };
        let bytes = model.bytes_read(Class::RoutedExperts, &Mix::uniform(seen.format), 1);
        let seconds = model.expert_layers() as f64 * other.t_fix + bytes / other.bytes_per_s;
        let projected = 1.0 / seconds;
        checked.push(ExpertsChecked {
            metric: seen.id.to_owned(),
            from: other.id.to_owned(),
            projected,
            measured: seen.tokens_per_second,
            error: projected / seen.tokens_per_second - 1.0,
        });
    }
    checked
}

/// What a metric of the bench tells.
struct Seen<'a> {
    id: &'a str,
    format: Format,
    model: &'a str,
    /// Seconds.
    t_fix: f64,
    bytes_per_s: f64,
    tokens_per_second: f64,
}

impl<'a> Seen<'a> {
    fn of(metric: &'a MetricRecord) -> Option<Self> {
        let id = metric.id.as_str();
        let [_, _, format, model] =
            id.strip_prefix("experts/").map(|_| id.split('/').collect::<Vec<_>>())?[..]
        else {
            return None;
        };
        let format = Format::ALL.into_iter().find(|known| known.name() == format)?;
        let number = |key: &str| metric.details.get(key)?.as_f64().filter(|v| v.is_finite());
        (!matches!(metric.state, State::Skipped | State::Invalid)).then_some(())?;
        Some(Self {
            id,
            format,
            model,
            t_fix: number("t_fix_us")?.max(0.0) * 1e-6,
            bytes_per_s: number("large_expert_gb_per_second").filter(|v| *v > 0.0)? * 1e9,
            tokens_per_second: number("tokens_per_second").filter(|v| *v > 0.0)?,
        })
    }
}
