//! The spine: a problem prepared on a device by one kernel path.

use std::time::Duration;

use crate::Result;
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;

/// How long `iterations` took, by the clock of the device that did the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elapsed(pub Duration);

/// One problem, prepared on one device by one kernel path: the thing that is timed.
pub trait Subject {
    /// Name by role.
    fn metric(&self) -> MetricId;

    /// The part that the metric tells about.
    fn part(&self) -> Part;

    /// What the metric is expressed in.
    fn unit(&self) -> Unit;

    /// What one iteration does.
    fn work(&self) -> Work;

    /// The most that the metric could be on this host, if that is known. Asked right after the last run.
    fn ceiling(&self) -> Option<Ceiling>;

    /// Measures again what bounds it, and tells whether that is more now: asked when the value beat a measured ceiling. On
    /// a shared host memory is faster in one minute than in another; a kernel that is really too fast stays so.
    ///
    /// # Errors
    /// When it can't be measured.
    fn raise_ceiling(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Which code really runs.
    fn kernel_path(&self) -> String;

    /// Whether an iteration finds its inputs in a cache. Asked after the last run, so that a subject can answer
    /// from what it proved (rotation covered every copy, the page cache was empty).
    fn cache(&self) -> Cache;

    /// Poisons the output, runs once, compares with the oracle.
    ///
    /// # Errors
    /// [`crate::Error::Wrong`] when an output is wrong; anything else when it could not be run.
    fn verify(&mut self) -> Result<Verified>;

    /// Runs `iterations` times, each on the next copy of the inputs.
    ///
    /// # Errors
    /// When the work could not be done.
    fn run(&mut self, iterations: u64) -> Result<Elapsed>;

    /// Where threads ran and pages were, asked after the last run.
    fn placement(&self) -> Placement {
        Placement::default()
    }

    /// Further figures for the record, asked after the last run.
    fn details(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        Default::default()
    }

    /// Whether the device's clock falls for seconds under this load, since it heats up or reaches its power limit: then
    /// it works for [`super::Budget::settle`] before the first sample.
    fn settles(&self) -> bool {
        false
    }

    /// Whether it is one of so many of its kind that each may cost only a fraction of the usual time.
    fn brief(&self) -> bool {
        false
    }

    /// State of the device that does the work, for the record's conditions: asked before the first run and after the last.
    fn conditions(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        Default::default()
    }

    /// Why the device could not do what it can while it was timed: heat, a failing power supply. Asked after the last run.
    fn throttled(&self) -> Option<String> {
        None
    }

    /// Why the figure must not be used, however well it was taken: the device is emulated.
    fn disqualified(&self) -> Option<String> {
        None
    }
}
