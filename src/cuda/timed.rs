//! Work that is queued on a GPU again and again, as a subject: what all such subjects share.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::gate::Gate;
use super::gpu::Gpu;
use crate::Result;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Unit, Work};
use crate::workload::Verified;

/// Something that a GPU can be told to do.
pub trait Task {
    /// Name by role.
    fn metric(&self) -> MetricId;

    /// The part that the metric tells about.
    fn part(&self) -> Part {
        Part::Vram
    }

    /// What the metric is expressed in.
    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// What queueing it once makes the device do.
    fn work(&self) -> Work;

    /// The most that the metric could be.
    fn ceiling(&self, gpu: &Gpu) -> Option<Ceiling>;

    /// Which code really runs.
    fn kernel_path(&self, gpu: &Gpu) -> String {
        format!("cuda/{}/{}", gpu.architecture(), gpu.name())
    }

    /// Further figures for the record, besides the device's own.
    fn details(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    /// Whether the device's clock falls for seconds under this load ([`Subject::settles`]).
    fn settles(&self) -> bool {
        false
    }

    /// Whether it finds its data in a cache; asked after the last run.
    fn cache(&self) -> Cache;

    /// Does it once over poisoned outputs and compares them with the oracle.
    ///
    /// # Errors
    /// [`crate::Error::Wrong`] when an output is wrong; anything else when it could not be run.
    fn verify(&mut self, gpu: &Gpu) -> Result<Verified>;

    /// Queues it once on `gpu`'s stream.
    ///
    /// # Errors
    /// When the driver refuses.
    fn enqueue(&mut self, gpu: &Gpu) -> Result<()>;
}

/// A [`Task`] on one GPU, timed behind a gate.
pub struct Timed<T> {
    gpu: Rc<Gpu>,
    gate: Gate,
    task: T,
}

impl<T: Task> Timed<T> {
    /// `task`, which was prepared on `gpu`.
    ///
    /// # Errors
    /// When the gate can't be made.
    pub fn on(gpu: Rc<Gpu>, task: T) -> Result<Self> {
        Ok(Self { gate: Gate::new(&gpu)?, gpu, task })
    }

    /// What is timed.
    pub fn task(&self) -> &T {
        &self.task
    }
}

impl<T: Task> Subject for Timed<T> {
    fn metric(&self) -> MetricId {
        self.task.metric()
    }

    fn part(&self) -> Part {
        self.task.part()
    }

    fn unit(&self) -> Unit {
        self.task.unit()
    }

    fn work(&self) -> Work {
        self.task.work()
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.task.ceiling(&self.gpu)
    }

    fn kernel_path(&self) -> String {
        self.task.kernel_path(&self.gpu)
    }

    fn cache(&self) -> Cache {
        self.task.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.task.verify(&self.gpu)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, task } = self;
        gate.time(gpu, iterations, || task.enqueue(gpu)).map(Elapsed)
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.gpu.details();
        details.extend(self.task.details());
        details
    }

    fn settles(&self) -> bool {
        self.task.settles()
    }

    fn conditions(&self) -> BTreeMap<String, Value> {
        self.gpu.conditions()
    }

    fn throttled(&self) -> Option<String> {
        self.gpu.throttled()
    }

    fn disqualified(&self) -> Option<String> {
        self.gpu.disqualified()
    }
}
