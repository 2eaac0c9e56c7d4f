//! Numbers that can't be trusted: wrong, throttled, noisy, not cold.

use super::busy;
use super::{Facts, Found, again, ids, metrics_are};
use crate::record::{Cache, MetricRecord, Part, State};
use crate::report::model::share_of_ceiling;
use crate::report::quantity::{self, percent};

fn in_state<'a>(facts: &Facts<'a>, state: State) -> Option<Vec<&'a MetricRecord>> {
    let found: Vec<_> = facts.metrics().filter(|m| m.state == state).collect();
    (!found.is_empty()).then_some(found)
}

fn reason(metric: &MetricRecord) -> &str {
    metric.reason.as_deref().unwrap_or("no reason recorded")
}

pub(super) fn invalid(facts: &Facts<'_>) -> Option<Found> {
    let invalid = in_state(facts, State::Invalid)?;
    let (first, count) = (invalid[0], invalid.len());
    let next = if invalid.iter().all(|m| m.kernel_path.contains("(emulated)")) {
        "The emulated GPU of the tests was in use: unset LD_LIBRARY_PATH and measure on hardware"
            .to_owned()
    } else if invalid.iter().any(|m| share_of_ceiling(m).is_some_and(|share| share > 1.0)) {
        "A figure above its ceiling means that the ceiling or the clock is wrong: check the ceiling's \
         source below its table before using any other figure of that part"
            .to_owned()
    } else {
        format!(
            "Run {} again; if it repeats on idle hardware, the kernel or the hardware computes wrongly: \
             run a memory test, then report it with the run's directory",
            again(&ids(&invalid))
        )
    };
    Some(Found {
        what: format!(
            "{} invalid and must not be used, first {}: {}",
            metrics_are(count),
            first.id,
            reason(first)
        ),
        next,
        metrics: ids(&invalid),
    })
}

pub(super) fn throttled(facts: &Facts<'_>) -> Option<Found> {
    let throttled = in_state(facts, State::Throttled)?;
    let first = throttled[0];
    Some(Found {
        what: format!(
            "{} throttled, first {}: {}",
            metrics_are(throttled.len()),
            first.id,
            reason(first)
        ),
        next: format!(
            "The figures are below what the part can do. Check cooling, power limit and fan profile, then run {}",
            again(&ids(&throttled))
        ),
        metrics: ids(&throttled),
    })
}

/// Half the interval of the median over the median.
fn relative_noise(metric: &MetricRecord) -> Option<f64> {
    quantity::noise(metric.summary.as_ref()?)
}

pub(super) fn noisy(facts: &Facts<'_>) -> Option<Found> {
    let mut noisy = in_state(facts, State::Noisy)?;
    let measured = facts.metrics().filter(|m| m.state != State::Skipped).count();
    let noise = |m: &MetricRecord| relative_noise(m).unwrap_or(0.0);
    noisy.sort_by(|a, b| noise(b).total_cmp(&noise(a)));
    let widest = noisy[0];
    let figure = match (quantity::metric(widest), relative_noise(widest)) {
        (Some(printed), Some(noise)) => {
            format!("{} at {} ±{}", widest.id, printed.value, percent(noise))
        }
        _ => format!("{}: {}", widest.id, reason(widest)),
    };
    let load = busy::others(facts);
    let during = load.as_ref().map(|load| format!("; {load}")).unwrap_or_default();
    let quiet = if load.is_some() {
        "Stop what else runs (`top` shows it)"
    } else {
        "Take more samples (HOSTDYNO_PROFILE=thorough)"
    };
    Some(Found {
        what: format!(
            "{} of {measured} metrics are noisy, the widest {figure}{during}",
            noisy.len()
        ),
        next: format!("{quiet} and run {}", again(&ids(&noisy))),
        metrics: ids(&noisy),
    })
}

pub(super) fn not_cold(facts: &Facts<'_>) -> Option<Found> {
    let warm: Vec<_> = facts
        .metrics()
        .filter(|m| m.part == Part::Storage && m.cache == Cache::Unknown && m.summary.is_some())
        .collect();
    let first = *warm.first()?;
    let value = quantity::metric(first)?.value;
    Some(Found {
        what: format!(
            "{} at {value} is not proved to be cold: some of it may have come from the page cache",
            first.id
        ),
        next: "Read it as an upper bound. Keep the shards on a local disk (HOSTDYNO_MODEL_DIR) so that \
               /proc/diskstats can prove what the device delivered"
            .to_owned(),
        metrics: ids(&warm),
    })
}
