//! What numbers alone do not show: links, errors, modules and places that are not as they should be, each with what
//! was seen, how bad it is, the command that shows it, and what to do.

mod gpu;
mod links;
mod memory;

use serde::Serialize;

use super::identity;
use super::reference::Reference;
use super::rules::{Judgement, Verdict};
use crate::host::HostRecord;
use crate::record::{MetricRecord, Part};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule; stable, for scripts.
    pub rule: &'static str,
    /// What it does to the host's verdict.
    pub severity: Verdict,
    /// What was seen.
    pub what: String,
    /// The command that shows it.
    pub command: String,
    /// What to do.
    pub next: String,
}

/// What rules look at.
struct Facts<'a> {
    host: &'a HostRecord,
    metrics: &'a [&'a MetricRecord],
    reference: &'a Reference,
}

/// What a rule says: severity, what was seen, the command that shows it, what to do.
type Said = (Verdict, String, String, &'static str);
type Rule = fn(&Facts<'_>) -> Vec<Said>;

const RULES: &[(&str, Rule)] = &[
    ("gpu-throttled", gpu::throttled),
    ("gpu-busy-at-low-power", gpu::busy_at_low_power),
    ("gpu-memory-errors", gpu::memory_errors),
    ("gpu-rows-remapped", gpu::rows_remapped),
    ("gpu-small-bar", gpu::small_bar),
    ("memory-errors", memory::errors),
    ("memory-modules-missing", memory::modules_missing),
    ("memory-below-rated-speed", memory::below_rated_speed),
    ("link-below-maximum", links::below_maximum),
    ("device-on-remote-package", links::on_remote_package),
];

/// Everything found on `host`, of which `metrics` were measured and `judgements` made.
pub fn findings(
    host: Option<&HostRecord>,
    metrics: &[&MetricRecord],
    judgements: &[Judgement],
    reference: &Reference,
) -> Vec<Finding> {
    let Some(host) = host else { return Vec::new() };
    let facts = Facts { host, metrics, reference };
    let said =
        RULES.iter().flat_map(|(rule, look)| look(&facts).into_iter().map(move |s| (*rule, s)));
    let said =
        said.chain(not_judged(&facts, judgements).into_iter().map(|s| ("part-not-judged", s)));
    said.map(|(rule, (severity, what, command, next))| Finding {
        rule,
        severity,
        what,
        command,
        next: next.to_owned(),
    })
    .collect()
}

/// Parts that every qualification is about and of which no metric was judged: their silence is no PASS.
fn not_judged(facts: &Facts<'_>, judgements: &[Judgement]) -> Vec<Said> {
    let judged = |part: Part, gpu: bool| {
        judgements.iter().any(|j| j.part == part && (!gpu || j.id.as_str().contains("gpu")))
    };
    let gpu = !identity::gpus(facts.host).is_empty();
    let parts = [
        (Part::Dram, false, "memory of the host", "cargo bench --bench dram"),
        (Part::Compute, true, "arithmetic of the GPU", "cargo bench --bench peak"),
        (Part::Vram, true, "memory of the GPU", "cargo bench --bench vram"),
        (Part::Pcie, true, "link of the GPU", "cargo bench --bench pcie"),
    ];
    let missing =
        parts.into_iter().filter(|(part, of_gpu, ..)| (!of_gpu || gpu) && !judged(*part, *of_gpu));
    missing
        .map(|(_, _, what, bench)| {
            (
                Verdict::Inconclusive,
                format!("nothing was judged of the {what}"),
                bench.to_owned(),
                "Measure it, and where no reference has a figure give a baseline or a floor",
            )
        })
        .collect()
}
