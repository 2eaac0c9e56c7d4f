//! What a bench executable intends to measure: names first, so that filters, progress and `--list` work before
//! anything is prepared.

use super::profile::Profile;
use super::subject::Subject;
use crate::Result;
use crate::record::{MetricId, Part, Unit};
use crate::workload::Extent;

/// Prepares a subject: allocates and fills its inputs.
pub type Prepare = Box<dyn FnOnce() -> Result<Box<dyn Subject>>>;

/// One metric to come.
pub struct Planned {
    /// Name by role.
    pub id: MetricId,
    /// The part that it tells about.
    pub part: Part,
    /// What it will be expressed in.
    pub unit: Unit,
    /// Called when its turn comes, if it is asked for.
    pub prepare: Prepare,
}

/// The metrics of one bench executable, in order.
pub struct Plan {
    profile: Profile,
    pub(super) metrics: Vec<Planned>,
}

impl Plan {
    /// Nothing is planned yet.
    pub const fn new(profile: Profile) -> Self {
        Self { profile, metrics: Vec::new() }
    }

    /// What was planned, in order.
    pub fn into_metrics(self) -> Vec<Planned> {
        self.metrics
    }

    /// The profile that the user chose: how many shapes, how large.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// How many default problems the profile measures.
    pub const fn extent(&self) -> Extent {
        self.profile.extent()
    }

    /// Adds a metric. `prepare` is called only if the metric is asked for, when its turn comes; what it returns is
    /// dropped before the next one is prepared. It answers [`crate::Error::Unavailable`] where this host can't run
    /// the metric, which is then recorded as skipped with that cause.
    pub fn add<S: Subject + 'static>(
        &mut self,
        id: MetricId,
        part: Part,
        unit: Unit,
        prepare: impl FnOnce() -> Result<S> + 'static,
    ) {
        let prepare = Box::new(move || Ok(Box::new(prepare()?) as Box<dyn Subject>));
        self.metrics.push(Planned { id, part, unit, prepare });
    }

    /// Adds a metric that is known not to run here: it is recorded as skipped for `cause`.
    pub fn skip(&mut self, id: MetricId, part: Part, unit: Unit, cause: impl Into<String>) {
        let cause = cause.into();
        let prepare = Box::new(move || Err(crate::Error::Unavailable(cause)));
        self.metrics.push(Planned { id, part, unit, prepare });
    }
}
