//! What could not run on this host, grouped by the cause.

use serde::Serialize;

use super::part::cause;
use crate::record::{MetricId, MetricRecord, Part, State};

/// Metrics that were skipped for one cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Skipped {
    /// Why.
    pub cause: String,
    /// Parts that they belong to, each once.
    pub parts: Vec<Part>,
    /// What was skipped.
    pub metrics: Vec<MetricId>,
}

impl Skipped {
    /// Groups the skipped ones of `metrics` by cause, in order of first appearance.
    pub fn group<'a>(metrics: impl IntoIterator<Item = &'a MetricRecord>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for metric in metrics.into_iter().filter(|m| m.state == State::Skipped) {
            let cause = cause(metric);
            let group = match groups.iter_mut().position(|g| g.cause == cause) {
                Some(found) => &mut groups[found],
                None => {
                    let (parts, metrics) = (Vec::new(), Vec::new());
                    groups.push(Self { cause: cause.to_owned(), parts, metrics });
                    let last = groups.len() - 1;
                    &mut groups[last]
                }
            };
            group.metrics.push(metric.id.clone());
            if !group.parts.contains(&metric.part) {
                group.parts.push(metric.part);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{ok, skipped};

    #[test]
    fn metrics_are_grouped_by_cause_in_order_of_appearance() {
        let metrics = [
            skipped("pcie/h2d", "no NVIDIA GPU"),
            ok("dram/read", 31.0),
            skipped("dram/read/remote", "one NUMA node"),
            skipped("vram/read", "no NVIDIA GPU"),
            skipped("pcie/d2h", "no NVIDIA GPU"),
        ];
        let groups = Skipped::group(&metrics);
        let shown: Vec<_> =
            groups.iter().map(|g| (g.cause.as_str(), g.metrics.len(), g.parts.clone())).collect();
        assert_eq!(
            shown,
            [
                ("no NVIDIA GPU", 3, vec![Part::Pcie, Part::Vram]),
                ("one NUMA node", 1, vec![Part::Dram])
            ]
        );
    }
}
