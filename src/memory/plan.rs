//! The metrics of the DRAM bench.

use std::sync::Arc;

use super::ceiling::DramCeiling;
use super::latency::{Latency, Level};
use super::loaded::LoadedLatency;
use super::roles::{Role, pairs};
use super::stream::{Loop, Stream};
use crate::Result;
use crate::host::cpus::affinity;
use crate::host::{Pages, Root, Topology, Workers};
use crate::measure::{Plan, Profile};
use crate::record::{MetricId, Part, Unit};

/// Adds every DRAM metric of the plan's profile.
///
/// # Errors
/// When the workers can't be started: `HOSTDYNO_THREADS` is unusable, or pinning is denied.
pub fn plan(plan: &mut Plan) -> Result<()> {
    let workers = Arc::new(Workers::new()?);
    let ceiling = DramCeiling::of(&Root::host());
    for kind in Loop::ALL {
        let (workers, ceiling) = (workers.clone(), ceiling.clone());
        plan.add(kind.metric(), Part::Dram, Unit::GigaBytes, move || {
            Stream::new(workers, kind, ceiling)
        });
    }
    for pages in [Pages::Transparent, Pages::Small, Pages::Huge, Pages::Giant] {
        plan.add(Latency::id(pages), Part::Dram, Unit::Nanoseconds, move || Latency::new(pages));
    }
    if plan.profile() == Profile::Quick {
        return Ok(());
    }
    plan.add(LoadedLatency::id(), Part::Dram, Unit::Nanoseconds, move || {
        LoadedLatency::new(workers)
    });
    for level in Level::ALL {
        plan.add(level.metric(), Part::Dram, Unit::Nanoseconds, move || Latency::cached(level));
    }
    by_role(plan)
}

/// Adds reads and latency for each role that two nodes can have; the first pair stands for its role.
fn by_role(plan: &mut Plan) -> Result<()> {
    let topology = Topology::discover();
    let pairs = pairs(&topology, &affinity()?);
    for role in Role::ALL {
        let read = MetricId::new(["dram", Loop::Read.name(), role.name()]);
        let latency = MetricId::new(["dram", "latency", role.name()]);
        let Some(pair) = pairs.iter().find(|pair| pair.role == role).cloned() else {
            let cause = role.missing(topology.nodes.len());
            plan.skip(read, Part::Dram, Unit::GigaBytes, cause.clone());
            plan.skip(latency, Part::Dram, Unit::Nanoseconds, cause);
            continue;
        };
        let same = pair.clone();
        plan.add(read, Part::Dram, Unit::GigaBytes, move || Stream::on_pair(&pair, Loop::Read));
        plan.add(latency, Part::Dram, Unit::Nanoseconds, move || Latency::on_pair(&same));
    }
    Ok(())
}
