//! Loading whole shards by one of the methods: the metrics `storage/load/<method>`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::history::History;
use super::method::{self, Loaded, Method};
use super::observe::{note_cpu, observe};
use super::prepared::Prepared;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// One method of loading the set.
pub struct Load {
    method: Method,
    id: MetricId,
    prepared: Rc<Prepared>,
    pub(super) history: History,
    /// What the last load left; dropped before the next, since mapped pages can't leave the page cache.
    pub(super) loaded: Option<Loaded>,
    cpus: Vec<usize>,
}

impl Load {
    /// Prepares loads by `method`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when files can't be read that way.
    pub fn new(id: MetricId, method: Method, prepared: Rc<Prepared>) -> Result<Self> {
        if let (Method::Direct, Err(why)) = (method, &prepared.direct) {
            return Err(Error::Unavailable(why.clone()));
        }
        let history = History { bytes: prepared.set.bytes(), loads: Vec::new() };
        Ok(Self { id, method, prepared, history, loaded: None, cpus: Vec::new() })
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
        self.id.clone()
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
            Method::Buffered => {
                Placement::new(self.cpus.clone(), &self.prepared.memory.borrow().census())
            }
            Method::Direct => self.prepared.placement(),
        }
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let prepared = &self.prepared;
        let mut details = self.history.details();
        details.extend(prepared.facts());
        details.extend(BTreeMap::from([
            ("stage_parse_s".to_owned(), json!(prepared.parse_s)),
            ("stage_allocate_prefault_s".to_owned(), json!(prepared.prefault_s)),
        ]));
        if self.method == Method::Direct {
            details.extend(prepared.reader_facts());
        }
        details
    }
}
