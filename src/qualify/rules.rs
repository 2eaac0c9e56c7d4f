//! From a metric and what it is held against to a verdict. Never PASS from a measurement that is not valid.

use serde::Serialize;

use super::reference::Confidence;
use super::yardstick::{Expectation, Yardstick, scaled};
use crate::record::{Cache, Direction, MetricId, MetricRecord, Part, State, Summary, Unit};

/// The outcome for a metric or a host. The order is that of badness: a host is as bad as its worst part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As good as the reference, nearly.
    Pass,
    /// Clearly below it.
    Warn,
    /// Can't be told, and why.
    Inconclusive,
    /// Far below it.
    Fail,
}

impl Verdict {
    /// Every verdict, the worst first.
    pub const ALL: [Self; 4] = [Self::Fail, Self::Inconclusive, Self::Warn, Self::Pass];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        }
    }
}

/// One metric's verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The metric.
    pub id: MetricId,
    /// The part it tells about.
    pub part: Part,
    /// Unit of `value`.
    pub unit: Unit,
    /// The measured median; absent where nothing was measured.
    pub value: Option<f64>,
    /// What it is held against; absent where that is unknown.
    pub yardstick: Option<Yardstick>,
    /// Share of the yardstick, above 1 when better.
    pub share: Option<f64>,
    /// The share at the yardstick's clock, where both clocks are known: it explains.
    pub share_at_clock: Option<f64>,
    /// The outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The command that shows it.
    pub next: String,
}

/// Fewer samples have no interval of their median.
const FEWEST_SAMPLES: usize = 6;
/// How far above a roof a value may lie: clocks are rounded to a MHz.
const SLACK: f64 = 1.02;
/// A share below this is no slow part but a broken measurement.
const ABSURD: f64 = 0.01;
/// Nor is one above this a fast part: a floor or a reference is in another unit.
const TOO_GOOD: f64 = 10.0;

/// Judges `metric` of the run called `run`; `None` where there is nothing to hold it against.
pub fn judge(metric: &MetricRecord, expectation: &Expectation, run: &str) -> Option<Judgement> {
    let (yardstick, unknown) = match expectation {
        Expectation::Known(yardstick) => (Some(yardstick.as_ref()), None),
        Expectation::Unknown(why) => (None, Some(why)),
        Expectation::None(_) => return None,
    };
    let summary = metric.summary.as_ref();
    let share = yardstick.zip(summary).map(|(y, summary)| share(metric, y.value, summary.median));
    let (verdict, reason) = match (invalid(metric), unknown, yardstick, summary) {
        (Some(why), ..) => (Verdict::Inconclusive, why),
        (_, Some(why), ..) => (Verdict::Inconclusive, why.clone()),
        (_, _, Some(yardstick), Some(summary)) => decide(metric, yardstick, summary),
        _ => (Verdict::Inconclusive, "nothing was measured".to_owned()),
    };
    let share_at_clock = yardstick.zip(share).and_then(|(y, share)| scaled(share, y, metric));
    Some(Judgement {
        id: metric.id.clone(),
        part: metric.part,
        unit: metric.unit,
        value: summary.map(|summary| summary.median),
        yardstick: yardstick.cloned(),
        share,
        share_at_clock,
        verdict,
        reason,
        next: format!("hostdyno report {run}"),
    })
}

/// Why the measurement itself allows no verdict.
fn invalid(metric: &MetricRecord) -> Option<String> {
    let why = metric.reason.as_deref().unwrap_or("no reason recorded");
    if metric.state != State::Ok {
        return Some(format!("{}: {why}", metric.state.name()));
    }
    if metric.error_over_tolerance.is_some_and(|error| error.is_nan() || error > 1.0) {
        return Some("the output was wrong".into());
    }
    if metric.cache == Cache::Unknown {
        return Some(
            "the cache may have been warm: what was measured is not what is judged".into(),
        );
    }
    let samples = metric.summary.as_ref().map_or(0, |summary| summary.samples);
    (samples < FEWEST_SAMPLES)
        .then(|| format!("only {samples} samples: their median has no interval"))
}

fn share(metric: &MetricRecord, reference: f64, value: f64) -> f64 {
    match metric.direction {
        Direction::Higher => value / reference,
        Direction::Lower => reference / value,
    }
}

fn decide(metric: &MetricRecord, yardstick: &Yardstick, summary: &Summary) -> (Verdict, String) {
    let value = summary.median;
    let inconclusive = |reason: String| (Verdict::Inconclusive, reason);
    if let Some(roof) = yardstick.roof
        && share(metric, roof, value) > SLACK
    {
        return inconclusive(format!(
            "{} is more than the {} that physics allows: the measurement or the reference is wrong",
            plain(metric.unit, value),
            plain(metric.unit, roof)
        ));
    }
    let at = |reference: f64| {
        let share = share(metric, reference, value);
        match () {
            () if share.is_nan() || share < ABSURD => None,
            () if share < yardstick.fail => Some(Verdict::Fail),
            () if share < yardstick.warn => Some(Verdict::Warn),
            () => Some(Verdict::Pass),
        }
    };
    let Some(verdict) = at(yardstick.value) else {
        return inconclusive(
            "less than 1 % of the reference: the measurement is broken, or in another unit".into(),
        );
    };
    let share = share(metric, yardstick.value, value);
    if share > TOO_GOOD {
        return inconclusive(format!(
            "{share:.0} times the {}: the measurement is broken, or that is in another unit",
            yardstick.source
        ));
    }
    let shown = percent(share);
    if yardstick.confidence == Confidence::Low {
        return inconclusive(format!(
            "{shown} of a reference of low confidence, which decides nothing: {}",
            yardstick.source
        ));
    }
    // Where sources disagree, only what all of them would say is said.
    if yardstick.between.is_some_and(|ends| ends.iter().any(|end| at(*end) != Some(verdict))) {
        let how = yardstick.disputed.as_deref().unwrap_or("sources disagree");
        return inconclusive(format!("{shown} of a disputed reference: {how}"));
    }
    match (verdict, &yardstick.excuse) {
        (Verdict::Warn | Verdict::Fail, Some(excuse)) => {
            inconclusive(format!("{shown} of the reference, but {excuse}"))
        }
        (Verdict::Fail, None) => {
            (verdict, format!("{shown} of the reference, below {}", percent(yardstick.fail)))
        }
        (Verdict::Warn, None) => {
            (verdict, format!("{shown} of the reference, below {}", percent(yardstick.warn)))
        }
        _ => (verdict, format!("{shown} of the reference")),
    }
}

fn plain(unit: Unit, value: f64) -> String {
    let decimals = if value.abs() < 10.0 { 2 } else { usize::from(value.abs() < 100.0) };
    format!("{value:.decimals$} {}", unit.symbol())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
