//! Which of the settings that differ could explain which of the metrics that moved.
//!
//! The claim is as strong as the evidence: one setting that differs explains; several are confounded; none recorded
//! leaves what is not recorded. A setting whose visible effect is missing did not take effect, whatever the firmware
//! export says.

use serde::Serialize;

use super::Row;
use super::group::Group;
use super::knobs::{self, Expected, Knob};
use super::settings::{Difference, Differences};
use super::verdict::Verdict;
use crate::host::nps::Mode;
use crate::host::{HostRecord, bios, list};
use crate::record::MetricId;

/// How far the changes can be put down to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribution {
    /// Nothing moved, so there is nothing to explain.
    NothingMoved,
    /// One setting differs.
    OneSetting,
    /// Several settings differ.
    Confounded,
    /// Metrics moved and no recorded setting differs.
    NothingRecorded,
    /// No environment was recorded on a side.
    Unknown,
}

/// One setting that differs, and what the data say about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The field, or those that show the same knob.
    pub field: String,
    /// The knob, where it is a known one.
    pub knob: Option<&'static str>,
    /// `NPS1 -> NPS4`.
    pub change: String,
    /// What it is known to do.
    pub expect: Option<&'static str>,
    /// Metrics that moved and that it could have moved.
    pub could_explain: Vec<MetricId>,
    /// Of these, those that moved against what it is known to do.
    pub against: Vec<MetricId>,
    /// Metrics that it should have moved (and not just might have) and that are the same.
    pub did_not_move: Vec<MetricId>,
}

/// What explains the changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// How far.
    pub attribution: Attribution,
    /// In words.
    pub text: String,
    /// Every setting that differs.
    pub suspects: Vec<Suspect>,
    /// Metrics that moved and that nothing recorded explains.
    pub unexplained: Vec<MetricId>,
    /// Settings that were asked for and whose effect is not there.
    pub not_in_effect: Vec<String>,
}

impl Explanation {
    /// Joins what differs with what moved.
    pub fn new(groups: [&Group; 2], differences: &Differences, rows: &[Row]) -> Self {
        let moved: Vec<&Row> = rows
            .iter()
            .filter(|row| matches!(row.verdict, Verdict::Better | Verdict::Worse))
            .collect();
        let suspects: Vec<Suspect> =
            differences.settings().iter().map(|fields| suspect(fields, rows, &moved)).collect();
        let unexplained: Vec<MetricId> = moved
            .iter()
            .map(|row| &row.id)
            .filter(|id| !suspects.iter().any(|s| s.could_explain.contains(id)))
            .cloned()
            .collect();
        let environments = groups.iter().all(|g| g.runs.iter().any(|run| run.host.is_some()));
        let attribution = match (moved.len(), suspects.len()) {
            (0, _) => Attribution::NothingMoved,
            (_, 0) if !environments => Attribution::Unknown,
            (_, 0) => Attribution::NothingRecorded,
            (_, 1) => Attribution::OneSetting,
            _ => Attribution::Confounded,
        };
        let text = text(attribution, &suspects, moved.len(), unexplained.len());
        let not_in_effect = groups.into_iter().flat_map(not_in_effect).collect();
        Self { attribution, text, suspects, unexplained, not_in_effect }
    }
}

fn suspect(fields: &[&Difference], rows: &[Row], moved: &[&Row]) -> Suspect {
    let knob = fields[0].knob.and_then(knobs::by_id);
    let rise = fields.iter().find_map(|field| rise(field));
    let expected = |row: &Row| expectation(knob, row, rise);
    let ids = |rows: Vec<&Row>| rows.into_iter().map(|row| row.id.clone()).collect();
    let could: Vec<&Row> = moved.iter().copied().filter(|row| expected(row).is_some()).collect();
    let against = could.iter().copied().filter(|row| {
        matches!(
            (expected(row), row.verdict),
            (Some(Expected::Better), Verdict::Worse) | (Some(Expected::Worse), Verdict::Better)
        )
    });
    let still = rows.iter().filter(|row| {
        row.verdict == Verdict::Same
            && matches!(expected(row), Some(Expected::Better | Expected::Worse))
    });
    Suspect {
        field: named(fields, |d| d.field.clone()),
        knob: fields[0].knob,
        change: named(fields, |d| format!("{} -> {}", d.a, d.b)),
        expect: knob.map(|knob| knob.expect),
        against: ids(against.collect()),
        did_not_move: ids(still.collect()),
        could_explain: ids(could),
    }
}

/// Fields of one knob that are named before the rest is only counted: a host has a dozen DIMMs.
const NAMED: usize = 2;

fn named(fields: &[&Difference], what: impl Fn(&Difference) -> String) -> String {
    let mut named: Vec<String> = Vec::new();
    for text in fields.iter().map(|field| what(field)) {
        if !named.contains(&text) {
            named.push(text);
        }
    }
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &rest
}

/// What the change should do to the row's metric: the knob's signature, turned round where the knob fell.
fn expectation(knob: Option<&Knob>, row: &Row, rise: Option<bool>) -> Option<Expected> {
    // Of a setting that is not known here, anything may come.
    let Some(knob) = knob else { return Some(Expected::Either) };
    Some(match (knob.expects(row.id.as_str())?, rise) {
        (Expected::Better, Some(false)) => Expected::Worse,
        (Expected::Worse, Some(false)) => Expected::Better,
        (what, Some(_)) => what,
        (_, None) => Expected::Either,
    })
}

/// Whether there is more of the setting in B; `None` where its values have no order.
fn rise(difference: &Difference) -> Option<bool> {
    let (a, b) =
        (amount(&difference.field, &difference.a)?, amount(&difference.field, &difference.b)?);
    (a != b).then_some(b > a)
}

fn amount(field: &str, value: &str) -> Option<f64> {
    let lower = value.trim().to_ascii_lowercase();
    match lower.as_str() {
        "true" | "enabled" | "on" | "yes" => return Some(1.0),
        "false" | "disabled" | "off" | "no" => return Some(0.0),
        _ => {}
    }
    if field.contains("cpus") || field == "cpu.online" {
        return list::parse(value).map(|cpus| cpus.len() as f64);
    }
    let digits: String = lower
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    digits.trim_end_matches('.').parse().ok()
}

fn text(
    attribution: Attribution,
    suspects: &[Suspect],
    moved: usize,
    unexplained: usize,
) -> String {
    let metrics = |n: usize| if n == 1 { "1 metric".to_owned() } else { format!("{n} metrics") };
    let names = || suspects.iter().map(|s| s.field.as_str()).collect::<Vec<_>>().join(", ");
    match attribution {
        Attribution::NothingMoved if suspects.is_empty() => {
            "No metric is shown to have moved, and no recorded setting differs.".to_owned()
        }
        Attribution::NothingMoved => {
            format!("No metric is shown to have moved, although {} differs.", names())
        }
        Attribution::OneSetting => {
            let suspect = &suspects[0];
            let fit = match (suspect.against.len(), unexplained, suspect.did_not_move.len()) {
                (0, 0, 0) => "The changes are of the kind that it is known to make.".to_owned(),
                (0, 0, still) => {
                    format!("The changes fit, but {} that it should move did not.", metrics(still))
                }
                (against, 0, _) if against > 0 => {
                    format!("{} moved against what it is known to do.", metrics(against))
                }
                (_, unexplained, _) => {
                    format!("{} moved that it is not known to touch.", metrics(unexplained))
                }
            };
            format!(
                "Exactly one recorded setting differs: {} ({}); {} moved. {fit}",
                suspect.field,
                suspect.change,
                metrics(moved)
            )
        }
        Attribution::Confounded => format!(
            "{} settings differ ({}), so no change can be put down to one of them: change one at a time.",
            suspects.len(),
            names()
        ),
        Attribution::NothingRecorded => format!(
            "{} moved and no recorded setting differs: something that is not recorded did it. Attach the firmware's \
             settings with HOSTDYNO_BIOS=FILE when you measure, and see what else ran.",
            metrics(moved)
        ),
        Attribution::Unknown => format!(
            "{} moved; a side has no readable host.json, so nothing can be said about settings.",
            metrics(moved)
        ),
    }
}

/// A resizable BAR that is not resized shows 256 MiB.
const SMALL_BAR: u64 = 256 << 20;

/// Settings that the label or the firmware export names and whose effect is not there.
fn not_in_effect(group: &Group) -> Vec<String> {
    let mut found = Vec::new();
    for run in &group.runs {
        let Some(host) = &run.host else { continue };
        let asked = [
            imported(host, "nodes-per-socket")
                .map(|(name, value)| (format!("{name} is {value}"), value)),
            run.label().filter(|l| l.to_ascii_lowercase().contains("nps")).map(|label| {
                let lower = label.to_ascii_lowercase();
                let digits = lower.split("nps").nth(1).unwrap_or_default().chars();
                let digits = digits.take_while(char::is_ascii_digit).collect();
                (format!("the label is {label}"), digits)
            }),
        ];
        for (what, value) in asked.into_iter().flatten() {
            found.extend(nodes_contradict(host, &what, amount("", &value)));
        }
        if let Some((name, value)) = imported(host, "resizable-bar")
            && amount("", &value) == Some(1.0)
            && let Some(largest) = largest_gpu_bar(host)
            && largest <= SMALL_BAR
        {
            let mib = largest >> 20;
            found.push(format!(
                "{name} is {value}, but the GPU's largest BAR has {mib} MiB: it did not take effect"
            ));
        }
        if let (Some((name, value)), Some(active)) =
            (imported(host, "smt"), host.environment.flag("cpu.smt.active"))
            && amount("", &value).is_some_and(|on| (on == 1.0) != active)
        {
            let is = if active { "on" } else { "off" };
            found.push(format!(
                "{name} is {value}, but the kernel runs with SMT {is}: it did not take effect"
            ));
        }
        for text in &mut found {
            if !text.starts_with(&run.name) && !text.contains(": run ") {
                *text = format!("{}: {text}", run.name);
            }
        }
    }
    found.dedup();
    found
}

/// Name and value of the firmware setting of `knob` in an attached export.
fn imported(host: &HostRecord, knob: &str) -> Option<(String, String)> {
    host.environment.0.iter().find_map(|(name, field)| {
        let short = name.strip_prefix(bios::PREFIX)?;
        let is = knobs::of(name).is_some_and(|found| found.id == knob);
        is.then(|| (short.to_owned(), super::settings::shown(&field.value)))
    })
}

fn nodes_contradict(host: &HostRecord, what: &str, asked: Option<f64>) -> Option<String> {
    let asked = asked?;
    let nodes = host.topology.usable_nodes().count();
    let seen = match host.topology.inference.mode {
        Mode::Nps(n) if f64::from(n) != asked => {
            format!("the topology is {}", host.topology.inference)
        }
        Mode::Unknown if asked > 1.0 && nodes == 1 => "there is one node".to_owned(),
        _ => return None,
    };
    Some(format!("{what}, but {seen}: it did not take effect"))
}

fn largest_gpu_bar(host: &HostRecord) -> Option<u64> {
    let env = &host.environment;
    let gpus = env.0.keys().filter_map(|name| name.strip_prefix("pci.")?.strip_suffix(".class"));
    gpus.filter(|bdf| env.text(&format!("pci.{bdf}.class")).is_some_and(|c| c.starts_with("0x03")))
        .filter(|bdf| env.text(&format!("pci.{bdf}.vendor")) == Some("0x10de"))
        .filter_map(|bdf| {
            env.get(&format!("pci.{bdf}.bar_bytes"))?
                .value
                .as_array()?
                .iter()
                .filter_map(|b| b.as_u64())
                .max()
        })
        .max()
}
