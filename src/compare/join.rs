//! Which metrics of two groups can be held against each other.
//!
//! By role name. Before any ratio: a metric that one side lacks is listed, one that means something else on the other
//! side (unit, cache state, another mix of work) is refused, one that other code measured is compared under doubt.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::group::{Group, Observation};
use super::shape::Unsteady;
use crate::record::{MetricId, MetricRecord, State, Work};

/// A metric that has observations on both sides.
pub struct Pair<'a> {
    /// Its name.
    pub id: &'a MetricId,
    /// Observations of A; at least one.
    pub a: Vec<Observation<'a>>,
    /// Of B.
    pub b: Vec<Observation<'a>>,
    /// What forbids a claim, whatever the numbers say.
    pub doubts: Vec<String>,
    /// What to know.
    pub flags: Vec<String>,
    /// The worst series.
    pub unsteady: Option<Unsteady>,
}

/// A metric without a ratio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Its name.
    pub id: MetricId,
    /// Why.
    pub why: String,
}

/// Every metric of two groups.
pub struct Joined<'a> {
    /// Those with a ratio.
    pub pairs: Vec<Pair<'a>>,
    /// The others.
    pub not_compared: Vec<NotCompared>,
}

/// Joins the metrics of `a` and `b` by name.
pub fn join<'a>(a: &'a Group, b: &'a Group) -> Joined<'a> {
    let ((mut in_a, why_a), (mut in_b, why_b)) = (a.observations(), b.observations());
    let ids: BTreeSet<&MetricId> =
        in_a.keys().chain(in_b.keys()).chain(why_a.keys()).chain(why_b.keys()).copied().collect();
    let mut joined = Joined { pairs: Vec::new(), not_compared: Vec::new() };
    let mut refuse =
        |id: &MetricId, why| joined.not_compared.push(NotCompared { id: id.clone(), why });
    for id in ids {
        let lacks = |side: &str, why: &BTreeMap<&MetricId, String>| match why.get(id) {
            Some(why) => format!("no usable value in {side} ({why})"),
            None => format!("not measured in {side}"),
        };
        match (in_a.remove(id), in_b.remove(id)) {
            (Some(of_a), Some(of_b)) => match incomparable(&of_a, &of_b) {
                Some(why) => refuse(id, why),
                None => joined.pairs.push(Pair {
                    id,
                    doubts: doubts(&of_a, &of_b),
                    flags: flags(&of_a, &of_b),
                    unsteady: Unsteady::of(&of_a)
                        .into_iter()
                        .chain(Unsteady::of(&of_b))
                        .max_by(|x, y| x.size().total_cmp(&y.size())),
                    a: of_a,
                    b: of_b,
                }),
            },
            (Some(_), None) => refuse(id, lacks(&b.name, &why_b)),
            (None, Some(_)) => refuse(id, lacks(&a.name, &why_a)),
            // Skipped or invalid everywhere: nothing is lost by not comparing it.
            (None, None) => {}
        }
    }
    joined
}

fn every<'a, T: PartialEq>(
    a: &[Observation<'a>],
    b: &[Observation<'a>],
    of: impl Fn(&'a MetricRecord) -> T,
) -> Option<[T; 2]> {
    let first = of(a[0].metric);
    let other = a.iter().chain(b).map(|o| of(o.metric)).find(|value| *value != first)?;
    Some([first, other])
}

fn incomparable(a: &[Observation<'_>], b: &[Observation<'_>]) -> Option<String> {
    if let Some([x, y]) = every(a, b, |m| m.unit) {
        return Some(format!("in {} on one side, in {} on the other", x.symbol(), y.symbol()));
    }
    if let Some([x, y]) = every(a, b, |m| m.cache) {
        return Some(format!("cache {x:?} on one side, {y:?} on the other").to_lowercase());
    }
    let work = a[0].metric.work;
    let other = a.iter().chain(b).map(|o| o.metric.work).find(|w| !same_mix(&work, w));
    other.map(|_| "different work under one name: another mix of operations and bytes".to_owned())
}

/// Whether one is the other repeated: rates compare over different amounts of the same work.
fn same_mix(a: &Work, b: &Work) -> bool {
    let parts = |w: &Work| [w.flops, w.bytes_read, w.bytes_written, w.accesses].map(|x| x as f64);
    let (a, b) = (parts(a), parts(b));
    let total = |p: &[f64; 4]| p.iter().sum::<f64>().max(1.0);
    let (of_a, of_b) = (total(&a), total(&b));
    a.iter().zip(&b).all(|(x, y)| (x / of_a - y / of_b).abs() < 0.01)
}

fn doubts(a: &[Observation<'_>], b: &[Observation<'_>]) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some([x, y]) = every(a, b, |m| m.kernel_path.as_str()) {
        doubts.push(format!("other code ran: {x} and {y}"));
    }
    if let Some(throttled) = a.iter().chain(b).find(|o| o.metric.state == State::Throttled) {
        let reason = throttled.metric.reason.as_deref().unwrap_or("no reason recorded");
        doubts.push(format!("throttled: {reason}"));
    }
    doubts
}

fn flags(a: &[Observation<'_>], b: &[Observation<'_>]) -> Vec<String> {
    let mut flags = Vec::new();
    let noisy =
        |side: &[Observation<'_>]| side.iter().filter(|o| o.metric.state == State::Noisy).count();
    if noisy(a) + noisy(b) > 0 {
        flags.push(format!("noisy in {} of {} processes", noisy(a) + noisy(b), a.len() + b.len()));
    }
    let versions: BTreeSet<&str> = a.iter().chain(b).map(|o| o.version).collect();
    if versions.len() > 1 {
        flags.push("measured by different versions of hostdyno".to_owned());
    }
    let profiles: BTreeSet<&str> = a.iter().chain(b).map(|o| o.profile).collect();
    if profiles.len() > 1 {
        flags.push("measured with different profiles".to_owned());
    }
    flags
}
