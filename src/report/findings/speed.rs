//! Numbers that can be trusted and are lower than they should be.

use std::collections::BTreeMap;

use super::{Facts, Found, again, ids};
use crate::number::Format;
use crate::record::{Direction, MetricRecord, Origin, Part, State};
use crate::report::model::{Headline, PartReport, share_of_ceiling};
use crate::report::quantity::{self, percent};

/// Below this share of its ceiling, something holds a kernel back that is worth finding. Well-tuned hosts
/// reach 75 to 90 % of theoretical DRAM bandwidth and more of a measured ceiling.
const FAR_BELOW: f64 = 0.6;

/// A narrower format has to lose by more than this before it is called slower.
const SLOWER_BY: f64 = 1.1;

fn usable<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a MetricRecord> + use<'a> {
    facts.metrics().filter(|m| {
        m.summary.is_some() && matches!(m.state, State::Ok | State::Noisy | State::Throttled)
    })
}

/// The best share of each family of metrics (same name up to the last segment): one badly shaped problem
/// is not a finding, a family of which none comes near its ceiling is.
fn best_of_families<'a>(facts: &Facts<'a>) -> Vec<(f64, &'a MetricRecord, usize)> {
    let mut families: BTreeMap<&str, (f64, &MetricRecord, usize)> = BTreeMap::new();
    for metric in usable(facts).filter(|m| m.direction == Direction::Higher) {
        let Some(share) = share_of_ceiling(metric) else { continue };
        let name = metric.id.as_str();
        let family = name.rsplit_once('/').map_or(name, |(family, _)| family);
        families
            .entry(family)
            .and_modify(|(best, best_metric, count)| {
                *count += 1;
                if share > *best {
                    (*best, *best_metric) = (share, metric);
                }
            })
            .or_insert((share, metric, 1));
    }
    let mut families: Vec<_> = families.into_values().collect();
    families.sort_by(|a, b| a.0.total_cmp(&b.0));
    families
}

fn against_ceiling(metric: &MetricRecord, share: f64) -> Option<String> {
    let ceiling = metric.ceiling.as_ref()?;
    let origin = match ceiling.origin {
        Origin::Theoretical => "theoretical",
        Origin::Measured => "measured",
    };
    Some(format!(
        "{} reaches {}, {} of its {origin} ceiling of {} ({})",
        metric.id,
        quantity::metric(metric)?.value,
        percent(share),
        quantity::plain(metric.unit, ceiling.value),
        ceiling.source
    ))
}

/// Where to look when a part stays far below its ceiling.
fn where_to_look(part: Part, metrics: &str) -> String {
    match part {
        Part::Dram => "Check that every memory channel has a module (`sudo dmidecode -t memory`) and the NUMA \
                       mode (NPS/SNC), then compare two runs by label"
            .to_owned(),
        Part::Storage => "Check the device's link (`lspci -vv`: LnkSta against LnkCap), its file system and RAID \
                          layer, and what else reads from it (`iostat -x 1`)"
            .to_owned(),
        Part::Pcie => "Check the link under load (`nvidia-smi -q -d PERFORMANCE`, `lspci -vv`) and the NUMA node of \
                       the buffers"
            .to_owned(),
        Part::Compute | Part::Vram | Part::Network => format!(
            "Look at the kernel path in its table and run {metrics} alone on an idle host: if it stays, this \
             is what the kernel can do here, not what the silicon can"
        ),
    }
}

pub(super) fn below_ceiling(facts: &Facts<'_>) -> Option<Found> {
    let families = best_of_families(facts);
    let far: Vec<_> = families.iter().filter(|(share, ..)| *share < FAR_BELOW).collect();
    let (share, worst, count) = **far.first()?;
    let best_of = if count > 1 { format!(", the best of its {count} kin") } else { String::new() };
    let others = match far.len() - 1 {
        0 => String::new(),
        1 => "; 1 more family stays below 60 %".to_owned(),
        n => format!("; {n} more families stay below 60 %"),
    };
    let metrics: Vec<_> = far.iter().map(|(_, metric, _)| *metric).collect();
    Some(Found {
        what: format!("{}{best_of}{others}", against_ceiling(worst, share)?),
        next: where_to_look(worst.part, &again(std::slice::from_ref(&worst.id))),
        metrics: ids(&metrics),
    })
}

/// Largest gap that is not far below: so that a good run still says where its next gain is.
pub(super) fn largest_gap(facts: &Facts<'_>) -> Option<Found> {
    let (share, worst, _) = *best_of_families(facts).first()?;
    if share < FAR_BELOW {
        return None;
    }
    Some(Found {
        what: format!("the largest gap to a ceiling: {}", against_ceiling(worst, share)?),
        next: "Nothing is far below its ceiling; change one setting at a time, label the runs \
               (HOSTDYNO_LABEL) and compare them"
            .to_owned(),
        metrics: vec![worst.id.clone()],
    })
}

/// The name with its format left out, and the format.
fn without_format(metric: &MetricRecord) -> Option<(String, Format)> {
    let segments: Vec<&str> = metric.id.as_str().split('/').collect();
    let (index, format) = segments.iter().enumerate().find_map(|(index, segment)| {
        Some((index, Format::ALL.into_iter().find(|format| format.name() == *segment)?))
    })?;
    let mut rest = segments.clone();
    rest[index] = "*";
    Some((rest.join("/"), format))
}

/// Median seconds of one iteration.
fn seconds(metric: &MetricRecord) -> Option<f64> {
    let mut samples = metric.samples.clone();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().filter(|s| *s > 0.0)
}

pub(super) fn narrow_format_slower(facts: &Facts<'_>) -> Option<Found> {
    let mut problems: BTreeMap<String, Vec<(Format, f64, &MetricRecord)>> = BTreeMap::new();
    for metric in usable(facts) {
        if let (Some((problem, format)), Some(time)) = (without_format(metric), seconds(metric)) {
            problems.entry(problem).or_default().push((format, time, metric));
        }
    }
    let mut slower = Vec::new();
    for group in problems.values() {
        for &(format, time, metric) in group {
            let wider = group.iter().filter(|other| other.0.element_bits() > format.element_bits());
            let fastest = wider.min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some(&(wide, wide_time, _)) = fastest
                && time > wide_time * SLOWER_BY
            {
                slower.push((time / wide_time, format, wide, metric, time, wide_time));
            }
        }
    }
    slower.sort_by(|a, b| b.0.total_cmp(&a.0));
    let &(ratio, format, wide, worst, time, wide_time) = slower.first()?;
    let show = |t| quantity::plain(crate::record::Unit::Seconds, t);
    let metrics: Vec<_> = slower.iter().map(|s| s.3).collect();
    Some(Found {
        what: format!(
            "{format} takes {ratio:.1} times as long as the wider {wide}: {} in {} against {}{}",
            worst.id,
            show(time),
            show(wide_time),
            match metrics.len() - 1 {
                0 => String::new(),
                n => format!("; slower than a wider format in {n} more"),
            }
        ),
        next: format!(
            "Its kernel path is {}: where decoding costs more than the bytes it saves, {format} buys memory, \
             not time; prefer {wide} for such shapes on this host",
            if worst.kernel_path.is_empty() { "unknown" } else { &worst.kernel_path }
        ),
        metrics: ids(&metrics),
    })
}

pub(super) fn no_ceiling(facts: &Facts<'_>) -> Option<Found> {
    let without: Vec<(Part, &MetricRecord)> = Part::ALL
        .into_iter()
        .filter_map(|part| {
            let Headline::Figure(row) = PartReport::new(part, facts.metrics()).headline else {
                return None;
            };
            let metric = facts.metrics().find(|m| m.id == row.id)?;
            row.share.is_none().then_some((part, metric))
        })
        .collect();
    let (part, metric) = *without.first()?;
    let names: Vec<_> = without.iter().map(|(part, _)| part.name()).collect();
    Some(Found {
        what: format!(
            "no ceiling is known for {}: {} at {} can't be judged",
            names.join(" and "),
            metric.id,
            quantity::metric(metric)?.value
        ),
        next: match part {
            Part::Dram => {
                "Memory speed and channels are not readable here (usual in a VM): look them up \
                           and compare with channels x 8 B x MT/s"
                    .to_owned()
            }
            _ => "Look up the part's data sheet and compare by hand".to_owned(),
        },
        metrics: without.iter().map(|(_, m)| m.id.clone()).collect(),
    })
}
