//! Where the time of a model load goes: the stages that the storage bench keeps in `details`.

use crate::record::{MetricRecord, State};
use crate::report::model::Row;

/// Stages in the order in which they begin: detail and name.
const STAGES: [(&str, &str); 3] = [
    ("stage_open_parse_s", "open and parse headers"),
    ("stage_read_s", "read"),
    ("stage_copy_s", "copy into place"),
];

/// One way of loading.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Its row in the tables.
    pub row: Row,
    /// Seconds from the first open to the last byte: the median of the samples.
    pub seconds: f64,
    /// Bytes loaded.
    pub bytes: u64,
    /// Its stages; stages that run side by side add up to more than `seconds`.
    pub stages: Vec<Stage>,
    /// Share of the copy that was hidden behind reading.
    pub overlap: Option<f64>,
}

/// A part of a load.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What was done.
    pub name: &'static str,
    /// Seconds: the median over the loads.
    pub seconds: f64,
}

impl Load {
    /// The loads among `metrics`, in the order measured.
    pub fn all(metrics: &[&MetricRecord]) -> Vec<Self> {
        metrics.iter().filter_map(|metric| Self::of(metric)).collect()
    }

    fn of(metric: &MetricRecord) -> Option<Self> {
        let detail = |name: &str| metric.details.get(name)?.as_f64().filter(|s| s.is_finite());
        let stages: Vec<Stage> = STAGES
            .iter()
            .filter_map(|(field, name)| Some(Stage { name, seconds: detail(field)?.max(0.0) }))
            .collect();
        let mut samples: Vec<f64> =
            metric.samples.iter().copied().filter(|s| s.is_finite() && *s > 0.0).collect();
        samples.sort_by(f64::total_cmp);
        let usable = !matches!(metric.state, State::Invalid | State::Skipped);
        (usable && !stages.is_empty() && !samples.is_empty()).then(|| Self {
            row: Row::new(metric),
            seconds: crate::measure::statistics::quantile(&samples, 0.5),
            bytes: metric.work.counted_bytes(),
            stages,
            overlap: detail("overlap_efficiency"),
        })
    }
}
