//! One part of the bottleneck: its rows, and the one figure that stands for it.

use serde::Serialize;

use super::figure::Figure;
use crate::record::{
    Cache, Ceiling, Direction, Interval, MetricId, MetricRecord, Part, State, Summary, Unit,
};

/// Everything that a run tells about one part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartReport {
    /// The part.
    pub part: Part,
    /// The figure that stands for the part.
    pub headline: Headline,
    /// Its metrics in the order measured, without the skipped ones.
    pub rows: Vec<Row>,
    /// Its matrices and curves.
    pub figures: Vec<Figure>,
}

/// The figure that stands for a part, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Headline {
    /// The best figure.
    Figure(Box<Row>),
    /// Why there is none.
    None(String),
}

/// One measured metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name by role.
    pub id: MetricId,
    /// Unit of `summary` and `ceiling`.
    pub unit: Unit,
    /// Median, interval, quartiles.
    pub summary: Option<Summary>,
    /// The most it could be.
    pub ceiling: Option<Ceiling>,
    /// Why there is no ceiling, where the bench told.
    pub ceiling_unknown: Option<String>,
    /// Share of the ceiling that the median reaches: 1 is all of it, for rates and times alike.
    pub share: Option<f64>,
    /// Whether the number can be trusted.
    pub state: State,
    /// Why, for every state but ok.
    pub reason: Option<String>,
    /// Whether inputs were cached.
    pub cache: Cache,
    /// Which code ran.
    pub kernel_path: String,
    /// Whether it is one value of a matrix that stands among the part's figures.
    pub in_matrix: bool,
}

/// Detail in which a bench says why a metric has no ceiling.
const CEILING_UNKNOWN: &str = "ceiling_unknown";

impl Row {
    /// The row of a metric.
    pub fn new(metric: &MetricRecord) -> Self {
        Self {
            id: metric.id.clone(),
            unit: metric.unit,
            summary: metric.summary.clone(),
            ceiling: metric.ceiling.clone(),
            ceiling_unknown: metric
                .details
                .get(CEILING_UNKNOWN)
                .and_then(|why| why.as_str())
                .map(Into::into),
            share: share_of_ceiling(metric),
            state: metric.state,
            reason: metric.reason.clone(),
            cache: metric.cache,
            kernel_path: metric.kernel_path.clone(),
            in_matrix: metric.cell().is_some(),
        }
    }

    /// The state, with the word that a reader must not miss when the inputs were not cold.
    pub fn state_text(&self) -> String {
        match self.cache {
            Cache::Cold | Cache::NotApplicable => self.state.name().to_owned(),
            Cache::Hot => format!("{}, hot", self.state.name()),
            Cache::Unknown => format!("{}, warm?", self.state.name()),
        }
    }

    /// Whether the median may be shown and used: measured, and not known to be wrong.
    pub fn usable(&self) -> bool {
        self.summary.is_some() && !matches!(self.state, State::Invalid | State::Skipped)
    }
}

/// Share of its ceiling that a metric's median reaches; for times the ceiling is the shortest time.
/// `None` without a ceiling, without samples, or where the record's figures make no sense.
pub fn share_of_ceiling(metric: &MetricRecord) -> Option<f64> {
    let median = metric.summary.as_ref()?.median;
    let ceiling = metric.ceiling.as_ref()?.value;
    let share = match metric.direction {
        Direction::Higher => median / ceiling,
        Direction::Lower => ceiling / median,
    };
    (share.is_finite() && share > 0.0).then_some(share)
}

impl PartReport {
    /// What `metrics` tell about `part`.
    pub fn new<'a>(part: Part, metrics: impl IntoIterator<Item = &'a MetricRecord>) -> Self {
        let (skipped, measured): (Vec<_>, Vec<_>) =
            metrics.into_iter().filter(|m| m.part == part).partition(|m| m.state == State::Skipped);
        let figures = Figure::all(measured.iter().copied());
        let rows: Vec<Row> = measured.into_iter().map(Row::new).collect();
        let headline = match best(&rows) {
            Some(row) => Headline::Figure(Box::new(row.clone())),
            None => Headline::None(why_none(&rows, &skipped)),
        };
        Self { part, headline, rows, figures }
    }
}

/// The best usable figure, by what is sure of it: the worse end of its interval, so that a noisy figure has to be
/// much better than a steady one. Cold inputs come before unproved and hot ones, real work before a synthetic peak. What does not compare is
/// ranked: floating-point operations, integer operations, bytes, times.
fn best(rows: &[Row]) -> Option<&Row> {
    let doubt = |row: &Row| {
        let cache = match row.cache {
            Cache::Cold | Cache::NotApplicable => 0,
            Cache::Unknown => 1,
            Cache::Hot => 2,
        };
        let peak = row.id.as_str().split('/').any(|segment| segment == "peak");
        let unit = match row.unit {
            Unit::TeraFlops => 0,
            Unit::TeraOps => 1,
            Unit::GigaBytes => 2,
            Unit::Nanoseconds => 3,
            Unit::Seconds => 4,
        };
        (peak, unit, cache)
    };
    let sure = |row: &Row| {
        let Some(summary) = &row.summary else { return f64::NEG_INFINITY };
        let extremes = Interval { low: summary.min, high: summary.max };
        let interval = summary.median_ci95.unwrap_or(extremes);
        if row.unit.direction() == Direction::Lower { -interval.high } else { interval.low }
    };
    rows.iter()
        .filter(|row| row.usable() && !row.in_matrix)
        .min_by(|a, b| doubt(a).cmp(&doubt(b)).then_with(|| sure(b).total_cmp(&sure(a))))
}

fn why_none(rows: &[Row], skipped: &[&MetricRecord]) -> String {
    if let Some(row) = rows.iter().find(|row| row.state == State::Invalid) {
        let reason = row.reason.as_deref().unwrap_or("no reason recorded");
        return format!("no usable figure: {} is invalid ({reason})", row.id);
    }
    if let Some(first) = skipped.first() {
        return format!("skipped: {}", cause(first));
    }
    if rows.is_empty() { "not measured in this run" } else { "no samples" }.to_owned()
}

/// Why a metric was skipped.
pub fn cause(metric: &MetricRecord) -> &str {
    metric.reason.as_deref().filter(|r| !r.trim().is_empty()).unwrap_or("no cause recorded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BenchRecord, Origin};
    use crate::report::fixture::{below, bench, in_state, ok, skipped};

    fn figure(part: Part, metrics: Vec<MetricRecord>) -> String {
        let BenchRecord { metrics, .. } = bench("x", metrics);
        match PartReport::new(part, &metrics).headline {
            Headline::Figure(row) => row.id.to_string(),
            Headline::None(why) => why,
        }
    }

    fn widened(mut metric: MetricRecord, half: f64) -> MetricRecord {
        let summary = metric.summary.as_mut().expect("measured");
        let (low, high) = (summary.median - half, summary.median + half);
        summary.median_ci95 = Some(Interval { low, high });
        metric
    }

    #[test]
    fn the_share_of_a_time_is_the_shortest_time_over_it() {
        let rate = below(ok("dram/read", 30.0), 40.0, Origin::Theoretical, "x");
        let time = below(ok("dram/latency", 100.0), 80.0, Origin::Theoretical, "x");
        assert_eq!(share_of_ceiling(&rate), Some(0.75));
        assert_eq!(share_of_ceiling(&time), Some(0.8));
        let absurd = below(ok("dram/read", 30.0), 0.0, Origin::Theoretical, "x");
        assert_eq!(share_of_ceiling(&absurd), None);
    }

    #[test]
    fn the_best_figure_is_the_fastest_that_can_be_trusted() {
        let metrics = vec![
            ok("dram/copy", 28.0),
            ok("dram/read", 31.0),
            in_state(ok("dram/triad", 99.0), State::Invalid, "wrong"),
            widened(in_state(ok("dram/write", 40.0), State::Noisy, "noisy"), 20.0),
            MetricRecord { cache: Cache::Hot, ..ok("dram/read/l2", 200.0) },
            ok("dram/latency", 100.0),
        ];
        assert_eq!(figure(Part::Dram, metrics.clone()), "dram/read");
        let noisy = widened(in_state(ok("dram/write", 60.0), State::Noisy, "noisy"), 20.0);
        let surely_faster = [metrics, vec![noisy]].concat();
        assert_eq!(figure(Part::Dram, surely_faster), "dram/write", "even its lower end is");
    }

    #[test]
    fn real_work_stands_for_compute_before_a_synthetic_peak() {
        let peak = || ok("compute/peak/f32", 0.2);
        assert_eq!(
            figure(Part::Compute, vec![peak(), ok("gemm/cpu/bf16/m1", 0.1)]),
            "gemm/cpu/bf16/m1"
        );
        assert_eq!(figure(Part::Compute, vec![peak()]), "compute/peak/f32");
        let streaming = MetricRecord { unit: Unit::GigaBytes, ..ok("gemm/cpu/bf16/m1n8", 30.0) };
        assert_eq!(figure(Part::Compute, vec![peak(), streaming.clone()]), "gemm/cpu/bf16/m1n8");
        assert_eq!(
            figure(Part::Compute, vec![streaming, ok("gemm/cpu/bf16/m64", 0.1)]),
            "gemm/cpu/bf16/m64"
        );
        let both = vec![ok("gemm/cpu/int8/m1", 0.4), ok("gemm/cpu/bf16/m1", 0.1)];
        assert_eq!(figure(Part::Compute, both), "gemm/cpu/bf16/m1");
    }

    #[test]
    fn a_cold_figure_comes_before_a_faster_unproved_one() {
        let warm = MetricRecord { cache: Cache::Unknown, ..ok("storage/load/mmap", 9.0) };
        let cold = || ok("storage/load/direct", 2.0);
        assert_eq!(figure(Part::Storage, vec![warm.clone(), cold()]), "storage/load/direct");
        assert_eq!(figure(Part::Storage, vec![warm]), "storage/load/mmap");
    }

    #[test]
    fn a_part_without_a_figure_says_why() {
        let wrong = in_state(ok("vram/read", 1.0), State::Invalid, "differs at 7");
        assert_eq!(
            figure(Part::Vram, vec![wrong]),
            "no usable figure: vram/read is invalid (differs at 7)"
        );
        let none = vec![skipped("pcie/h2d", "no NVIDIA GPU"), skipped("pcie/d2h", "no NVIDIA GPU")];
        assert_eq!(figure(Part::Pcie, none), "skipped: no NVIDIA GPU");
        assert_eq!(figure(Part::Network, vec![]), "not measured in this run");
        let untold = skipped("pcie/h2d", "  ");
        assert_eq!(figure(Part::Pcie, vec![untold]), "skipped: no cause recorded");
    }

    #[test]
    fn skipped_metrics_have_no_row() {
        let report = PartReport::new(Part::Pcie, &[skipped("pcie/h2d", "no GPU")]);
        assert!(report.rows.is_empty());
    }
}
