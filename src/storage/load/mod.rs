//! Loading a model, disk to RAM: the metrics `storage/load/<method>`.
//!
//! One iteration opens every shard of the set, parses its header and brings every byte into memory that is there
//! already; the page cache is emptied before, outside the timed part, and the device's own count tells afterwards
//! whether the bytes came from it. Memory is allocated, touched and registered once, as a serving process would, and
//! what that costs is kept as a figure of its own.

mod calibrate;
mod experts;
mod history;
mod method;
mod observe;
mod options;
mod prepared;
pub mod projection;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use calibrate::knee;
use experts::ExpertReads;
use history::History;
use method::Loaded;
pub use method::Method;
use observe::{note_cpu, observe};
pub use options::{MODEL_VARIABLE, Options, default_cache};
use prepared::Prepared;

use crate::measure::{Elapsed, Plan, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Adds the load metrics to `plan`; the set is found or made when the first of them is prepared.
pub fn plan(plan: &mut Plan, options: &Options) {
    let shared = Shared { options: options.clone(), prepared: Rc::default() };
    for method in Method::ALL {
        let shared = shared.clone();
        plan.add(Load::id(method), Part::Storage, Unit::GigaBytes, move || {
            Load::new(method, shared.prepare()?)
        });
    }
    plan.add(ExpertReads::id(), Part::Storage, Unit::GigaBytes, move || {
        ExpertReads::new(shared.prepare()?)
    });
}

/// The set that every metric of one process uses.
#[derive(Clone)]
struct Shared {
    options: Options,
    prepared: Rc<RefCell<Option<Rc<Prepared>>>>,
}

impl Shared {
    /// The set, prepared by the first who asks.
    fn prepare(&self) -> Result<Rc<Prepared>> {
        let mut prepared = self.prepared.borrow_mut();
        let ready = match &*prepared {
            Some(ready) => Rc::clone(ready),
            None => Prepared::new(&self.options)?,
        };
        *prepared = Some(Rc::clone(&ready));
        Ok(ready)
    }
}

/// One method of loading the set.
pub struct Load {
    method: Method,
    prepared: Rc<Prepared>,
    history: History,
    /// What the last load left; dropped before the next, since mapped pages can't leave the page cache.
    loaded: Option<Loaded>,
    cpus: Vec<usize>,
}

impl Load {
    fn id(method: Method) -> MetricId {
        MetricId::new(["storage", "load", method.name()])
    }

    fn new(method: Method, prepared: Rc<Prepared>) -> Result<Self> {
        if let (true, Err(why)) = (method.is_direct(), &prepared.direct) {
            return Err(Error::Unavailable(why.clone()));
        }
        if method == Method::Pipelined {
            prepared.make_pipeline()?;
        }
        let history = History { bytes: prepared.set.bytes(), loads: Vec::new() };
        Ok(Self { method, prepared, history, loaded: None, cpus: Vec::new() })
    }

    /// Empties the page cache of the set, loads it, and notes what was seen.
    fn load(&mut self) -> Result<Duration> {
        self.loaded = None;
        let prepared = &self.prepared;
        let (elapsed, observation, loaded) = observe(prepared, || self.method.load(prepared))?;
        self.loaded = Some(loaded);
        self.history.loads.push(observation);
        note_cpu(&mut self.cpus);
        Ok(elapsed)
    }
}

impl Subject for Load {
    fn metric(&self) -> MetricId {
        Self::id(self.method)
    }

    fn part(&self) -> Part {
        Part::Storage
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    fn work(&self) -> Work {
        Work { bytes_read: self.prepared.set.bytes(), ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.prepared.ceiling()
    }

    fn kernel_path(&self) -> String {
        self.method.path(&self.prepared)
    }

    fn cache(&self) -> Cache {
        self.history.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.loaded = None;
        method::poison(&self.prepared);
        self.load()?;
        let prepared = &self.prepared;
        let hashes = prepared.hashes()?;
        for (index, (shard, &expected)) in prepared.set.shards.iter().zip(hashes).enumerate() {
            let Some(loaded) = &self.loaded else { break };
            if loaded.shard(prepared, index, xxh3_64)? != expected {
                return Err(Error::Wrong(format!(
                    "{} was loaded with another content than it was written with; remove its directory if it is \
                     synthetic, check the device (dmesg) if it is not",
                    shard.path.display()
                )));
            }
        }
        Ok(Verified { checked: prepared.set.bytes(), error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            total += self.load()?;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        match self.method {
            Method::Mapped => Placement {
                cpus: self.cpus.clone(),
                unproved: Some("pages are the kernel's page cache".into()),
                ..Placement::default()
            },
            _ => Placement::new(self.cpus.clone(), &self.prepared.memory.borrow().census()),
        }
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let prepared = &self.prepared;
        let mut details = self.history.details();
        details.extend(BTreeMap::from([
            ("model".to_owned(), json!(prepared.set.description)),
            ("bytes".to_owned(), json!(prepared.set.bytes())),
            ("shards".to_owned(), json!(prepared.set.shards.len())),
            ("shards_left_out".to_owned(), json!(prepared.set.left_out)),
            ("tensors".to_owned(), json!(prepared.set.tensors())),
            ("device".to_owned(), json!(prepared.device.describe())),
            ("block_bytes".to_owned(), json!(prepared.block_bytes)),
            ("stage_allocate_prefault_s".to_owned(), json!(prepared.prefault_s)),
        ]));
        let reader = prepared.reader.borrow();
        let ladder: Vec<String> = prepared.ladder.iter().map(ToString::to_string).collect();
        if self.method.is_direct() {
            details.extend(BTreeMap::from([
                ("queue_depth".to_owned(), json!(prepared.depth)),
                ("threads".to_owned(), json!(1)),
                ("alignment".to_owned(), json!(prepared.cut.align)),
                ("stage_register_s".to_owned(), json!(prepared.register_s)),
                ("ring_flags".to_owned(), json!(reader.flags())),
                ("refused".to_owned(), json!(reader.refusals())),
                ("calibration".to_owned(), json!(prepared.trials)),
                ("knee".to_owned(), json!(knee(&prepared.trials))),
                ("ladder".to_owned(), json!(ladder)),
            ]));
        }
        details
    }
}
