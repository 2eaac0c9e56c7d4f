//! The metrics of the DRAM bench.

use std::sync::Arc;

use super::ceiling::DramCeiling;
use super::latency::Latency;
use super::stream::{Loop, Stream};
use crate::Result;
use crate::host::{Pages, Root, Workers};
use crate::measure::Plan;
use crate::record::{Part, Unit};

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
    Ok(())
}
