//! What differs between the environments of two groups: exact, field by field, of the stable classes only.
//!
//! A field that has more than one value within a group is no setting of that group; it is listed as unsteady. Fields
//! that only follow from another (which CPUs a node has, once there are more nodes) are marked as consequences, so
//! that one changed setting stays one difference.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::group::Group;
use super::knobs;
use crate::host::bios;
use crate::host::environment::{Class, Status};
use crate::host::nps::Mode;
use crate::record::store::Run;

/// What a difference is to the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relevance {
    /// Can move a metric by itself.
    Setting,
    /// Follows from a setting.
    Consequence,
    /// Not known to move any metric here.
    Incidental,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Name of the field.
    pub field: String,
    /// What it tells about.
    pub class: Class,
    /// Value in A.
    pub a: String,
    /// Value in B.
    pub b: String,
    /// Where it was read.
    pub source: String,
    /// The knob that it is, or shows.
    pub knob: Option<&'static str>,
    /// What it is to the comparison.
    pub relevance: Relevance,
}

/// What differs, and what can't be said.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Differences {
    /// Settings first.
    pub differences: Vec<Difference>,
    /// Stable fields with several values within one group.
    pub unsteady: Vec<String>,
    /// Runs without a readable environment.
    pub unknown: Vec<String>,
    /// Whether firmware settings are attached to the runs of one group only, which says nothing about them.
    pub firmware_on_one_side: bool,
}

/// The value of a field that could not be read: it says nothing about whether it differs.
const UNREAD: &str = "could not be read";

/// A field of one run: value, where it was read, class.
struct Reading {
    value: String,
    source: String,
    class: Class,
}

/// A value as a person would write it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Every stable field of a run, with what the topology and the metrics tell about settings on top.
fn readings(run: &Run) -> BTreeMap<String, Reading> {
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: String, source: &str, class| {
        fields.insert(name.to_owned(), Reading { value, source: source.to_owned(), class });
    };
    if let Some(host) = &run.host {
        for (name, field) in &host.environment.0 {
            let value = match field.status {
                _ if field.class == Class::Volatile => continue,
                Status::Ok => shown(&field.value),
                Status::Absent => "absent".into(),
                Status::Denied | Status::Garbled => UNREAD.into(),
            };
            put(name, value, &field.source, field.class);
        }
        let inference = &host.topology.inference;
        if inference.mode != Mode::Unknown {
            put("numa.mode", inference.to_string(), "inferred from the topology", Class::Bios);
        }
        let nodes = host.topology.usable_nodes().count();
        put("numa.nodes", nodes.to_string(), &host.topology.source, Class::Bios);
    }
    let own = "the bench's record";
    for bench in &run.benches {
        put("hostdyno.version", bench.tool.version.clone(), own, Class::Runtime);
        put("hostdyno.profile", bench.profile.clone(), own, Class::Runtime);
    }
    let threads = run.benches.iter().flat_map(|bench| &bench.metrics).filter_map(|metric| {
        let all_cores = !metric.id.as_str().contains("one-core");
        metric.details.get("threads").filter(|_| all_cores)?.as_u64()
    });
    if let Some(threads) = threads.max() {
        put("hostdyno.threads", threads.to_string(), own, Class::Runtime);
    }
    fields
}

/// Values of a field within a group.
type Values = BTreeMap<String, BTreeSet<String>>;

fn values(group: &Group, known: &mut BTreeMap<String, (String, Class)>) -> Values {
    let mut values = Values::new();
    for run in &group.runs {
        for (name, reading) in readings(run) {
            known.entry(name.clone()).or_insert((reading.source, reading.class));
            values.entry(name).or_default().insert(reading.value);
        }
    }
    values
}

impl Differences {
    /// What differs between `a` and `b`.
    pub fn between(a: &Group, b: &Group) -> Self {
        let mut known = BTreeMap::new();
        let (in_a, in_b) = (values(a, &mut known), values(b, &mut known));
        let unknown = [a, b].into_iter().flat_map(|group| &group.runs);
        let mut found = Self {
            unknown: unknown.filter(|run| run.host.is_none()).map(|run| run.name.clone()).collect(),
            ..Self::default()
        };
        let hosts = |group: &Group| group.runs.iter().any(|run| run.host.is_some());
        let both = hosts(a) && hosts(b);
        let attached = |values: &Values| values.keys().any(|name| name.starts_with(bios::PREFIX));
        found.firmware_on_one_side = attached(&in_a) != attached(&in_b);
        let none = BTreeSet::from(["absent".to_owned()]);
        for (field, (source, class)) in known {
            let unknown = found.firmware_on_one_side && field.starts_with(bios::PREFIX);
            if unknown || (!both && !field.starts_with("hostdyno.")) {
                continue;
            }
            let (a, b) = (in_a.get(&field).unwrap_or(&none), in_b.get(&field).unwrap_or(&none));
            if a.contains(UNREAD) || b.contains(UNREAD) {
                continue;
            }
            if a == b {
                if a.len() > 1 && !knobs::incidental(&field) {
                    found.unsteady.push(field);
                }
                continue;
            }
            let join =
                |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" or ");
            let (a, b) = (join(a), join(b));
            let knob = knobs::of(&field);
            let relevance = match knob {
                _ if knobs::incidental(&field) || close(&field, &a, &b) => Relevance::Incidental,
                _ if knobs::consequence(&field) => Relevance::Consequence,
                None if class == Class::Runtime => Relevance::Incidental,
                _ => Relevance::Setting,
            };
            found.differences.push(Difference {
                knob: knob.map(|knob| knob.id),
                field,
                class,
                a,
                b,
                source,
                relevance,
            });
        }
        found.differences.sort_by_key(|d| (d.relevance as u8, d.field.clone()));
        found
    }

    /// Those that can move a metric by themselves; all fields that show one knob together, for they are one setting.
    pub fn settings(&self) -> Vec<Vec<&Difference>> {
        let mut settings: Vec<Vec<&Difference>> = Vec::new();
        for difference in self.differences.iter().filter(|d| d.relevance == Relevance::Setting) {
            let same = |known: &&mut Vec<&Difference>| {
                difference.knob.is_some() && known[0].knob == difference.knob
            };
            match settings.iter_mut().find(same) {
                Some(known) => known.push(difference),
                None => settings.push(vec![difference]),
            }
        }
        settings
    }
}

/// Total memory moves by some pages with every kernel and boot.
fn close(field: &str, a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    field.ends_with("total_kib")
        && matches!((number(a), number(b)), (Some(a), Some(b)) if (a / b - 1.0).abs() < 0.005)
}
