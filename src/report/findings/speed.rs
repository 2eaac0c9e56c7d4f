//! Numbers that can be trusted and are lower than they should be.

use std::collections::BTreeMap;

use super::{Facts, Found, again, ids};
use crate::number::Format;
use crate::record::{Direction, MetricRecord, Origin, Part, State};
use crate::report::model::{Headline, PartReport, Row, share_of_ceiling};
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

/// The metric of a family (same name up to the last segment) that may come closest to its ceiling.
struct Best<'a> {
    metric: &'a MetricRecord,
    /// Share of the ceiling that it reaches at most: by the median, or the better end of a noisy interval.
    at_most: f64,
    /// Members of the family that have a ceiling.
    members: usize,
}

/// The best of each family, worst first: one badly shaped problem is not a finding, a family of which none comes
/// near its ceiling is.
fn best_of_families<'a>(facts: &Facts<'a>) -> Vec<Best<'a>> {
    let mut families: BTreeMap<&str, Best<'_>> = BTreeMap::new();
    for metric in usable(facts).filter(|m| m.direction == Direction::Higher) {
        let Some(at_most) = share_at_most(metric) else { continue };
        let name = metric.id.as_str();
        let family = name.rsplit_once('/').map_or(name, |(family, _)| family);
        let best = families.entry(family).or_insert(Best { metric, at_most, members: 0 });
        best.members += 1;
        if at_most > best.at_most {
            (best.metric, best.at_most) = (metric, at_most);
        }
    }
    let mut families: Vec<_> = families.into_values().collect();
    families.sort_by(|a, b| a.at_most.total_cmp(&b.at_most));
    families
}

fn share_at_most(metric: &MetricRecord) -> Option<f64> {
    let share = share_of_ceiling(metric)?;
    let summary = metric.summary.as_ref()?;
    match (metric.state, summary.median_ci95) {
        (State::Ok, _) => Some(share),
        (_, Some(interval)) => Some(share * interval.high / summary.median),
        (_, None) => Some(share * summary.max / summary.median),
    }
}

/// `gemm/cpu/bf16/m64 reaches 118 GFLOP/s, 51 % of its measured ceiling of 231 GFLOP/s`.
fn against_ceiling(metric: &MetricRecord) -> Option<String> {
    let ceiling = metric.ceiling.as_ref()?;
    let origin = match ceiling.origin {
        Origin::Theoretical => "theoretical",
        Origin::Measured => "measured",
    };
    Some(format!(
        "{} reaches {}, {} of its {origin} ceiling of {}",
        metric.id,
        quantity::metric(metric)?.value,
        percent(share_of_ceiling(metric)?),
        quantity::plain(metric.unit, ceiling.value),
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
    let far: Vec<_> = families.iter().filter(|best| best.at_most < FAR_BELOW).collect();
    let worst = *far.first()?;
    let best_of = match worst.members {
        1 => String::new(),
        members => format!("the best of {members}, "),
    };
    let others = match far.len() - 1 {
        0 => String::new(),
        1 => format!("; 1 more group of metrics stays below {}", percent(FAR_BELOW)),
        n => format!("; {n} more groups of metrics stay below {}", percent(FAR_BELOW)),
    };
    let metrics: Vec<_> = far.iter().map(|best| best.metric).collect();
    let id = &worst.metric.id;
    Some(Found {
        what: format!("{best_of}{}{others}", against_ceiling(worst.metric)?),
        next: where_to_look(worst.metric.part, &again(std::slice::from_ref(id))),
        metrics: ids(&metrics),
    })
}

/// Largest gap that is not far below: so that a good run still says where its next gain is.
pub(super) fn largest_gap(facts: &Facts<'_>) -> Option<Found> {
    let families = best_of_families(facts);
    let worst = families.first().filter(|best| best.at_most >= FAR_BELOW)?;
    Some(Found {
        what: format!("the largest gap to a ceiling: {}", against_ceiling(worst.metric)?),
        next: "Nothing is far below its ceiling; change one setting at a time, label the runs \
               (HOSTDYNO_LABEL) and compare them"
            .to_owned(),
        metrics: vec![worst.metric.id.clone()],
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

/// A metric with its format and the seconds of an iteration.
type Timed<'a> = (Format, f64, &'a MetricRecord);

pub(super) fn narrow_format_slower(facts: &Facts<'_>) -> Option<Found> {
    // Of one name and as many operations: loops that measure a peak do as many as suit each instruction.
    let mut problems: BTreeMap<(String, u64), Vec<Timed<'_>>> = BTreeMap::new();
    for metric in facts.metrics().filter(|m| m.state == State::Ok) {
        if let (Some((problem, format)), Some(time)) = (without_format(metric), seconds(metric)) {
            problems.entry((problem, metric.work.flops)).or_default().push((format, time, metric));
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
    let without: Vec<(Part, Row)> = Part::ALL
        .into_iter()
        .filter_map(|part| match PartReport::new(part, facts.metrics()).headline {
            Headline::Figure(row) if row.share.is_none() => Some((part, *row)),
            _ => None,
        })
        .collect();
    let (part, row) = without.first()?;
    let names: Vec<_> = without.iter().map(|(part, _)| part.name()).collect();
    let why = row.ceiling_unknown.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    Some(Found {
        what: format!(
            "no ceiling is known for {}{why}: {} at {} can't be judged",
            names.join(" and "),
            row.id,
            quantity::of_summary(row.unit, row.summary.as_ref()?).value
        ),
        next: match part {
            Part::Dram => {
                "Look up the memory's channels and speed, and compare with channels x 8 B x MT/s"
            }
            _ => "Look up the data sheet and compare by hand",
        }
        .to_owned(),
        metrics: without.iter().map(|(_, row)| row.id.clone()).collect(),
    })
}
