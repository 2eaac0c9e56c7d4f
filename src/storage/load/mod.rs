//! Loading a model, disk to RAM: the metrics `storage/load/<method>`.
//!
//! One iteration opens every shard of the set, parses its header and brings every byte into memory that is there
//! already; the page cache is emptied before, outside the timed part, and the device's own count tells afterwards
//! whether the bytes came from it. Memory is allocated, touched and registered once, as a serving process would, and
//! what that costs is kept as a figure of its own.

mod calibrate;
mod history;
mod method;
mod options;
mod prepared;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use history::{History, Observation};
use method::Loaded;
pub use method::Method;
pub use options::{MODEL_VARIABLE, Options};
use prepared::Prepared;

use super::cold::{Residency, drop_cache};
use crate::measure::{Elapsed, Plan, Subject};
use crate::record::{Cache, Ceiling, MetricId, Origin, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Adds the load metrics to `plan`; the set is found or made when the first of them is prepared.
pub fn plan(plan: &mut Plan, options: &Options) {
    let shared: Rc<RefCell<Option<Rc<Prepared>>>> = Rc::default();
    for method in Method::ALL {
        let (shared, options) = (Rc::clone(&shared), options.clone());
        plan.add(Load::id(method), Part::Storage, Unit::GigaBytes, move || {
            let known = shared.borrow().clone();
            let prepared = match known {
                Some(prepared) => prepared,
                None => Prepared::new(&options)?,
            };
            *shared.borrow_mut() = Some(Rc::clone(&prepared));
            Load::new(method, prepared)
        });
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
        if let (Method::Direct, Err(why)) = (method, &prepared.direct) {
            return Err(Error::Unavailable(why.clone()));
        }
        let history = History { bytes: prepared.set.bytes(), loads: Vec::new() };
        Ok(Self { method, prepared, history, loaded: None, cpus: Vec::new() })
    }

    /// Empties the page cache of the set, loads it, and notes what was seen.
    fn load(&mut self) -> Result<Duration> {
        self.loaded = None;
        let clock = Instant::now();
        let resident = self.empty_cache();
        let drop_s = clock.elapsed().as_secs_f64();
        let device = &self.prepared.device;
        let (bytes_before, cpu_before) = (device.bytes_read(), cpu_seconds());
        let clock = Instant::now();
        let (stages, loaded) = self.method.load(&self.prepared)?;
        let elapsed = clock.elapsed();
        let cpu_s = cpu_seconds() - cpu_before;
        let device_bytes = match (&device.number, bytes_before, device.bytes_read()) {
            (_, Some(before), Some(after)) => Ok(after.saturating_sub(before)),
            (Err(why), ..) => Err(why.clone()),
            _ => Err("the kernel keeps no statistics of it".into()),
        };
        self.loaded = Some(loaded);
        self.history.loads.push(Observation { stages, resident, device_bytes, cpu_s, drop_s });
        self.note_cpu();
        Ok(elapsed)
    }

    fn empty_cache(&self) -> Result<f64, String> {
        let mut left = Residency::default();
        for shard in &self.prepared.set.shards {
            left.add(drop_cache(&shard.path).map_err(|e| e.to_string())?);
        }
        Ok(left.share())
    }

    fn note_cpu(&mut self) {
        // SAFETY: plain query of the calling thread.
        let cpu = usize::try_from(unsafe { libc::sched_getcpu() }).ok();
        if let Some(cpu) = cpu.filter(|cpu| !self.cpus.contains(cpu)) {
            self.cpus.push(cpu);
            self.cpus.sort_unstable();
        }
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
        self.prepared.trials.first().map(|best| Ceiling {
            value: best.gb_per_s,
            origin: Origin::Measured,
            source: format!(
                "best raw sequential direct read of the same files: {} with blocks of {} KiB, {} in flight",
                self.prepared.reader.borrow().path(),
                best.block_bytes >> 10,
                best.depth
            ),
        })
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
        if self.method == Method::Direct {
            details.extend(BTreeMap::from([
                ("queue_depth".to_owned(), json!(prepared.depth)),
                ("threads".to_owned(), json!(1)),
                ("alignment".to_owned(), json!(prepared.cut.align)),
                ("stage_register_s".to_owned(), json!(prepared.register_s)),
                ("ring_flags".to_owned(), json!(reader.flags())),
                ("refused".to_owned(), json!(reader.refusals())),
                ("calibration".to_owned(), json!(prepared.trials)),
            ]));
        }
        details
    }
}

/// User and system time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is large enough for the call to fill; it stays zero, which is valid too, if the call fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
