//! What else ran on the host and its GPUs while they were measured.

use super::{Facts, Found, again, ids};
use crate::record::MetricRecord;
use crate::report::model::online_cpus;
use crate::report::quantity::percent;

/// Load average over CPUs from which on somebody else must be running: a bench of its own keeps every CPU busy at
/// most once.
const BUSY: f64 = 1.25;
/// Share of CPU time taken by other guests from which on it shows in a median.
const STOLEN: f64 = 0.02;

/// The median of `figure` over the metrics that have it.
fn median(facts: &Facts<'_>, figure: impl Fn(&MetricRecord) -> Option<f64>) -> Option<f64> {
    let mut figures: Vec<f64> = facts.metrics().filter_map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// Who else used the CPUs while the run was measured, with the figures; `None` when nobody is seen.
pub(super) fn others(facts: &Facts<'_>) -> Option<String> {
    let cpus = online_cpus(&facts.host?.environment)?;
    let load = median(facts, |m| m.conditions.get("before")?.get("load_average_1min")?.as_f64());
    let stolen = median(facts, |m| m.conditions.get("stolen_fraction")?.as_f64());
    let mut seen = Vec::new();
    if let Some(load) = load.filter(|load| *load > BUSY * cpus as f64) {
        seen.push(format!("the load average was {load:.1} on {cpus} CPUs"));
    }
    if let Some(stolen) = stolen.filter(|stolen| *stolen > STOLEN) {
        seen.push(format!(
            "the hypervisor gave {} of the CPU time to other guests",
            percent(stolen)
        ));
    }
    (!seen.is_empty()).then(|| seen.join(" and "))
}

/// Only where no metric is noisy: [`super::trust::noisy`] names the load as a cause otherwise.
pub(super) fn busy(facts: &Facts<'_>) -> Option<Found> {
    if facts.metrics().any(|m| m.state == crate::record::State::Noisy) {
        return None;
    }
    Some(Found {
        what: format!("others used this host while it was measured: {}", others(facts)?),
        next: "Figures may be too low although they are steady: stop what else runs (`top`; the provider, for a guest) and run `cargo bench` again"
            .to_owned(),
        metrics: Vec::new(),
    })
}

/// Most other processes that NVML saw on the device of `metric`, before or after it.
fn sharing(metric: &MetricRecord) -> Option<u64> {
    let seen = |moment| metric.conditions.get(moment)?.get("gpu")?.get("other_processes")?.as_u64();
    ["before", "after"].into_iter().filter_map(seen).max().filter(|&count| count > 0)
}

/// GPUs that others used too: what they ran took its share of clocks, power and memory.
pub(super) fn gpu(facts: &Facts<'_>) -> Option<Found> {
    let shared: Vec<&MetricRecord> = facts.metrics().filter(|m| sharing(m).is_some()).collect();
    let most = shared.iter().filter_map(|m| sharing(m)).max()?;
    let processes = if most == 1 { "process was" } else { "processes were" };
    Some(Found {
        what: format!(
            "{most} other {processes} on the GPU while it was measured ({} affected, {} first)",
            shared.len(),
            shared[0].id
        ),
        next: format!(
            "Figures may be too low although they are steady: see who it is (`nvidia-smi`), stop it and run {} again",
            again(&ids(&shared))
        ),
        metrics: ids(&shared),
    })
}
