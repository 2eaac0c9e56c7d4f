//! What the run lacks: benches that did not finish, files that can't be read, parts nobody measured.

use super::{Facts, Found};
use crate::record::Part;

pub(super) fn incomplete(facts: &Facts<'_>) -> Option<Found> {
    let cut: Vec<_> = facts.benches.iter().filter(|bench| !bench.complete).collect();
    if let Some(first) = cut.first() {
        let names: Vec<_> = cut.iter().map(|bench| bench.bench.as_str()).collect();
        let saved: usize = cut.iter().map(|bench| bench.metrics.len()).sum();
        let benches: Vec<_> = names.iter().map(|name| format!("--bench {name}")).collect();
        return Some(Found {
            what: format!(
                "the run is incomplete: {} did not reach the end (killed, or still running); last saved {}, with {}",
                names.join(" and "),
                first.updated,
                match saved {
                    1 => "1 metric".to_owned(),
                    n => format!("{n} metrics"),
                }
            ),
            next: format!("Run `cargo bench {}` again", benches.join(" ")),
            metrics: Vec::new(),
        });
    }
    let first = facts.problems.first()?;
    Some(Found {
        what: match facts.problems.len() {
            1 => format!("a file of the run can't be read: {first}"),
            n => format!("{n} files of the run can't be read, first {first}"),
        },
        next: "What it held is missing here; measure again".to_owned(),
        metrics: Vec::new(),
    })
}

pub(super) fn missing_part(facts: &Facts<'_>) -> Option<Found> {
    // Nothing measures the network: its absence is no news.
    let missing: Vec<_> = Part::ALL
        .into_iter()
        .filter(|part| *part != Part::Network && facts.metrics().all(|m| m.part != *part))
        .map(Part::name)
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(Found {
        what: format!("the run says nothing about {}", missing.join(", ")),
        next: "Run `cargo bench` without a filter to cover every part".to_owned(),
        metrics: Vec::new(),
    })
}

pub(super) fn quick_profile(facts: &Facts<'_>) -> Option<Found> {
    facts.benches.iter().find(|bench| bench.profile == "quick")?;
    Some(Found {
        what: "the run was measured with the quick profile: fewer samples and shapes".to_owned(),
        next: "Run `HOSTDYNO_PROFILE=standard cargo bench` before you compare or decide".to_owned(),
        metrics: Vec::new(),
    })
}
