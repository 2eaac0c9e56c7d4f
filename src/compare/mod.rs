//! Two groups of runs: what differs in their environments, which metrics moved beyond noise, and whether the one
//! explains the other.
//!
//! Metrics are joined by their role names, so one node a socket and four compare. The unit of inference is the boot,
//! or the process where both sides share boots ([`estimate`]); metrics lend each other their variances ([`borrow`]);
//! the many verdicts are corrected together ([`verdict`]). Pure: no I/O, no device.

pub mod borrow;
pub mod clock;
pub mod estimate;
pub mod explain;
pub mod group;
pub mod join;
pub mod knobs;
pub mod noise_floor;
pub mod settings;
pub mod shape;
pub mod verdict;

use serde::Serialize;

use crate::record::{Direction, Interval, MetricId, Part, Unit};
use crate::{Error, Result};
use estimate::{Design, Estimate};
use explain::Explanation;
use group::{Group, different_host};
use join::{Joined, NotCompared};
use noise_floor::NoiseFloor;
use settings::Differences;
use verdict::{Evidence, Verdict};

/// What counts as a change.
#[derive(Debug, Clone)]
pub struct Options {
    /// A change below this share is none, however certain (0.01 is 1 %).
    pub minimum_effect: f64,
    /// A metric is called the same when a change of this share is excluded.
    pub margin: f64,
    /// Level of the corrected tests.
    pub alpha: f64,
    /// The host's noise, learned from other runs.
    pub floor: Option<NoiseFloor>,
    /// Compare although the hosts differ.
    pub across_hosts: bool,
}

impl Default for Options {
    fn default() -> Self {
        // Borrowed variances make the tests bolder than they say: at a nominal 3.75 % some 5 % of comparisons in which
        // nothing changed claim something (see the simulations).
        Self { minimum_effect: 0.01, margin: 0.03, alpha: 0.0375, floor: None, across_hosts: false }
    }
}

/// One metric of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name by role.
    pub id: MetricId,
    /// The part it tells about.
    pub part: Part,
    /// Unit of `a` and `b`.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// Geometric mean of A's units.
    pub a: f64,
    /// Of B's.
    pub b: f64,
    /// B over A, boots first averaged.
    pub ratio: f64,
    /// 95 % interval of the ratio; absent where too few units say nothing.
    pub ratio_ci95: Option<Interval>,
    /// Half that interval relative to A: the noise that a change must beat.
    pub noise: Option<f64>,
    /// p-value of no change, alone.
    pub p: Option<f64>,
    /// And corrected over all metrics.
    pub adjusted_p: Option<f64>,
    /// Chance that a process of B does better than one of A.
    pub superiority: f64,
    /// What the units are.
    pub design: Design,
    /// Boots of A and B.
    pub boots: [usize; 2],
    /// Processes of A and B.
    pub processes: [usize; 2],
    /// What happened.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// B's clock over A's, where it was recorded under load.
    pub clock_ratio: Option<f64>,
    /// What to know before reading the ratio.
    pub flags: Vec<String>,
}

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Names of A and B.
    pub groups: [String; 2],
    /// Runs of A and B.
    pub runs: [Vec<String>; 2],
    /// What to know before reading anything.
    pub warnings: Vec<String>,
    /// What differs.
    pub environment: Differences,
    /// What moved, and what did not.
    pub metrics: Vec<Row>,
    /// Metrics without a ratio, and why.
    pub not_compared: Vec<NotCompared>,
    /// What explains it.
    pub explanation: Explanation,
}

impl Comparison {
    /// Compares `b` with `a`.
    ///
    /// # Errors
    /// The groups are of two hosts, share a run, or no metric is on both sides.
    pub fn new(a: &Group, b: &Group, options: &Options) -> Result<Self> {
        check(a, b, options)?;
        let Joined { pairs, not_compared } = join::join(a, b);
        if pairs.is_empty() {
            return Err(Error::input(
                format!(
                    "{} and {} have no metric in common that could be compared",
                    a.name, b.name
                ),
                "Measure the same benches on both sides; `hostdyno report RUN` shows what a run holds",
            ));
        }
        let environment = Differences::between(a, b);
        let metrics = rows(&pairs, options);
        let explanation = Explanation::new([a, b], &environment, &metrics);
        let names = |group: &Group| group.runs.iter().map(|run| run.name.clone()).collect();
        Ok(Self {
            groups: [a.name.clone(), b.name.clone()],
            runs: [names(a), names(b)],
            warnings: warnings(a, b, &environment, &metrics),
            environment,
            metrics,
            not_compared,
            explanation,
        })
    }

    /// How many metrics have `verdict`.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.metrics.iter().filter(|row| row.verdict == verdict).count()
    }
}

fn check(a: &Group, b: &Group, options: &Options) -> Result<()> {
    if let Some(run) = a.runs.iter().find(|run| b.runs.iter().any(|other| other.path == run.path)) {
        return Err(Error::input(
            format!("{} is on both sides", run.name),
            "Name each run on one side of -- only; `hostdyno runs` lists names and labels",
        ));
    }
    match different_host(a, b) {
        Some(how) if !options.across_hosts => Err(Error::input(
            format!("the runs are of different hosts: {how}"),
            "Compare runs of one host, or say --across-hosts to compare hosts",
        )),
        _ => Ok(()),
    }
}

fn rows(pairs: &[join::Pair<'_>], options: &Options) -> Vec<Row> {
    let mut estimates: Vec<Estimate> =
        pairs.iter().filter_map(|pair| Estimate::new(&pair.a, &pair.b)).collect();
    for (pair, estimate) in pairs.iter().zip(&mut estimates) {
        let floor = options.floor.as_ref().and_then(|floor| floor.metrics.get(pair.id));
        estimate.learn(floor.and_then(|floor| match estimate.design {
            Design::ProcessesWithinBoots => floor.processes,
            Design::Boots | Design::OneBootASide => floor.boots,
        }));
    }
    let known: Vec<estimate::Spread> = estimates.iter().filter_map(|e| e.spread).collect();
    if let Some(prior) = borrow::prior(&known) {
        estimates.iter_mut().filter(|e| e.spread.is_some()).for_each(|e| e.learn(Some(prior)));
    }
    let p: Vec<Option<f64>> = estimates.iter().map(Estimate::p_value).collect();
    let adjusted = verdict::adjust(&p);
    let certain = p.iter().zip(adjusted);
    pairs
        .iter()
        .zip(&estimates)
        .zip(certain)
        .map(|((pair, e), p)| row(pair, e, p, options))
        .collect()
}

fn row(
    pair: &join::Pair<'_>,
    estimate: &Estimate,
    (p, adjusted_p): (&Option<f64>, Option<f64>),
    options: &Options,
) -> Row {
    let metric = pair.a[0].metric;
    let clock_ratio = clock::ratio(&pair.a, &pair.b);
    let (verdict, mut reason) = verdict::judge(
        &Evidence {
            estimate,
            adjusted_p,
            p: *p,
            direction: metric.direction,
            doubts: &pair.doubts,
            unsteady: pair.unsteady,
        },
        options,
    );
    if let (Verdict::Better | Verdict::Worse, Some(clock)) = (verdict, clock_ratio) {
        reason += &clock::confirm(estimate.log_ratio, clock, metric.direction, options);
    }
    let level = |side: &[group::Observation<'_>]| {
        let logs: Vec<f64> = side.iter().filter_map(group::Observation::log).collect();
        (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    };
    Row {
        id: pair.id.clone(),
        part: metric.part,
        unit: metric.unit,
        direction: metric.direction,
        a: level(&pair.a),
        b: level(&pair.b),
        ratio: estimate.log_ratio.exp(),
        ratio_ci95: estimate.interval(),
        noise: estimate.half_width().map(f64::exp_m1),
        p: *p,
        adjusted_p,
        superiority: match metric.direction {
            Direction::Higher => estimate.higher,
            Direction::Lower => 1.0 - estimate.higher,
        },
        design: estimate.design,
        boots: estimate.boots,
        processes: estimate.processes,
        verdict,
        reason,
        clock_ratio,
        flags: pair.flags.clone(),
    }
}

fn warnings(a: &Group, b: &Group, environment: &Differences, rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    let differs = |field: &str| environment.differences.iter().find(|d| d.field == field);
    if let Some(version) = differs("hostdyno.version") {
        warnings.push(format!(
            "different versions of hostdyno measured the two sides ({} and {}): their kernels may differ",
            version.a, version.b
        ));
    }
    if rows.iter().any(|row| row.design == Design::OneBootASide) {
        warnings.push(
            "a side has one boot: what a reboot alone changes can't be told from what the setting changed. Two boots a \
             side at least, three better; or learn the spread with `hostdyno noise-floor`"
                .to_owned(),
        );
    }
    if rows.iter().any(|row| row.design == Design::ProcessesWithinBoots) {
        let starts = |group: &Group| -> Vec<String> {
            group.runs.iter().filter_map(|run| run.started().map(str::to_owned)).collect()
        };
        let (a, b) = (starts(a), starts(b));
        let apart = a.iter().max() < b.iter().min() || b.iter().max() < a.iter().min();
        if apart && !a.is_empty() && !b.is_empty() {
            warnings.push(
                "within the boot, all of one side was measured before the other: what drifts with time looks like a \
                 change. Measure in the order A B B A (`hostdyno order`)"
                    .to_owned(),
            );
        }
    }
    for name in &environment.unknown {
        warnings.push(format!("{name} has no readable host.json: its settings are not compared"));
    }
    if environment.firmware_on_one_side {
        warnings.push(
            "one group has firmware settings attached (HOSTDYNO_BIOS) and the other has none: they are not compared"
                .to_owned(),
        );
    }
    if !environment.unsteady.is_empty() {
        let fields = environment.unsteady.join(", ");
        warnings
            .push(format!("differs within both groups, so neither group is one setting: {fields}"));
    }
    warnings
}

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
