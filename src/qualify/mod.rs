//! Whether a host's parts are what they should be: every metric against a reference, a baseline of one's own, or a
//! floor written by hand; and what numbers alone do not show.
//!
//! Never PASS from a measurement that is not valid or for a device that is not known, and nothing is decided on a
//! figure of low confidence. A floor comes before a baseline, a baseline before the published reference. Pure: no I/O,
//! no device.

pub mod baseline;
pub mod findings;
pub mod floors;
pub mod identity;
pub mod physics;
pub mod platform;
pub mod reference;
pub mod rules;
pub mod seen;
pub mod yardstick;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::host::HostRecord;
use crate::record::store::Run;
use crate::record::{MetricId, MetricRecord, State};
use crate::{Error, Result};
use baseline::Baseline;
use findings::Finding;
use floors::Floors;
use reference::{Confidence, Reference};
use rules::{Judgement, Verdict};
use yardstick::Expectation;

/// What a host is held against.
#[derive(Debug, Clone)]
pub struct Standards {
    /// What others published.
    pub reference: Reference,
    /// What one's own hosts reached.
    pub baseline: Option<Baseline>,
    /// What must be reached.
    pub floors: Floors,
}

/// A metric that is shown, not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotJudged {
    /// The metric.
    pub id: MetricId,
    /// Why.
    pub why: String,
}

/// A host's qualification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Qualification {
    /// Runs that it rests on.
    pub runs: Vec<String>,
    /// What the host's parts were taken to be.
    pub identified: Vec<String>,
    /// The worst of all verdicts and findings; inconclusive where nothing could be judged.
    pub verdict: Verdict,
    /// One a metric that there is something to hold against.
    pub judgements: Vec<Judgement>,
    /// What numbers alone do not show.
    pub findings: Vec<Finding>,
    /// The other metrics, and why.
    pub not_judged: Vec<NotJudged>,
}

/// What tells machines apart.
const MACHINE: [&str; 3] = ["machine.id_hash", "dmi.product_name", "cpu.model_name"];

impl Qualification {
    /// Qualifies the host that `runs` measured; of a metric that several have, the newest counts.
    ///
    /// # Errors
    /// The runs are of several hosts, or hold no metric.
    pub fn new(runs: &[Run], standards: &Standards) -> Result<Self> {
        one_host(runs)?;
        let mut newest: BTreeMap<&MetricId, (&str, &MetricRecord, &Run)> = BTreeMap::new();
        for run in runs {
            for bench in &run.benches {
                for metric in &bench.metrics {
                    let entry = (bench.started.as_str(), metric, run);
                    let known = newest.entry(&metric.id).or_insert(entry);
                    if entry.0 >= known.0 {
                        *known = entry;
                    }
                }
            }
        }
        if newest.is_empty() {
            return Err(Error::input(
                "there is no metric to judge",
                "Measure this host with `cargo bench`; `hostdyno runs` shows which runs hold what",
            ));
        }
        let (mut judgements, mut not_judged) = (Vec::new(), Vec::new());
        for (id, (_, metric, run)) in &newest {
            let expectation = expect(standards, run.host.as_ref(), metric);
            match rules::judge(metric, &expectation, &run.name) {
                Some(judgement) => judgements.push(judgement),
                None => {
                    let Expectation::None(why) = expectation else { continue };
                    not_judged.push(NotJudged { id: (*id).clone(), why });
                }
            }
        }
        let host = runs.iter().rev().find_map(|run| run.host.as_ref());
        let metrics: Vec<&MetricRecord> = newest.values().map(|(_, metric, _)| *metric).collect();
        let findings = findings::findings(host, &metrics, &judgements, &standards.reference);
        let worst = judgements.iter().map(|j| j.verdict).max().unwrap_or(Verdict::Inconclusive);
        let verdict = findings.iter().map(|finding| finding.severity).fold(worst, Ord::max);
        Ok(Self {
            runs: runs.iter().map(|run| run.name.clone()).collect(),
            identified: host.map_or_else(Vec::new, |host| identified(host, &standards.reference)),
            verdict,
            judgements,
            findings,
            not_judged,
        })
    }

    /// How many metrics have `verdict`.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.judgements.iter().filter(|judgement| judgement.verdict == verdict).count()
    }
}

fn one_host(runs: &[Run]) -> Result<()> {
    let environments = || runs.iter().filter_map(|run| Some(&run.host.as_ref()?.environment));
    for name in MACHINE {
        let values: BTreeSet<&str> = environments().filter_map(|env| env.text(name)).collect();
        if values.len() > 1 {
            let values = values.into_iter().collect::<Vec<_>>().join(" and ");
            return Err(Error::input(
                format!("the runs are of different hosts: {name} is {values}"),
                "Qualify one host at a time: name one of its runs",
            ));
        }
    }
    Ok(())
}

fn expect(standards: &Standards, host: Option<&HostRecord>, metric: &MetricRecord) -> Expectation {
    if let Some(floor) = standards.floors.expect(metric) {
        return floor;
    }
    let own = standards.baseline.as_ref().and_then(|b| b.expect(host, metric));
    match own {
        // A baseline of too few runs decides nothing, so what others published goes before it.
        Some(Expectation::Known(own)) if own.confidence == Confidence::Low => {
            match published(standards, host, metric) {
                published @ Expectation::Known(_) => published,
                _ => Expectation::Known(own),
            }
        }
        Some(own) => own,
        None => published(standards, host, metric),
    }
}

fn published(
    standards: &Standards,
    host: Option<&HostRecord>,
    metric: &MetricRecord,
) -> Expectation {
    // What a host can't run (no GPU) is no fault of it, unless the part is there.
    let gpu_there = host.is_some_and(|host| !identity::gpus(host).is_empty());
    if metric.state == State::Skipped && !(identity::on_gpu(metric) && gpu_there) {
        let cause = metric.reason.as_deref().unwrap_or("no cause recorded");
        return Expectation::None(format!("skipped: {cause}"));
    }
    yardstick::expect(&standards.reference, host, metric)
}

fn identified(host: &HostRecord, reference: &Reference) -> Vec<String> {
    let env = &host.environment;
    let model = env.text("cpu.model_name").unwrap_or("of unknown model");
    let cpu = identity::cpu(reference, env).map_or_else(
        || format!("CPU {model}: not in the reference"),
        |cpu| format!("CPU {}", cpu.name),
    );
    let gpus = identity::gpus(host).into_iter().map(|device| match reference.gpu(&device.id) {
        Some(gpu) => format!("GPU {} ({}) at {}", gpu.name, device.id, device.bdf),
        None => format!("GPU {} at {}: not in the reference", device.id, device.bdf),
    });
    let guest = (env.flag("vm.cpu_flag") == Some(true))
        .then(|| "a guest: what its hypervisor hides is not judged".to_owned());
    std::iter::once(cpu).chain(gpus).chain(guest).collect()
}

#[cfg(test)]
mod tests;
