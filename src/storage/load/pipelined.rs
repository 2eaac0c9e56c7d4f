//! Loading through slots into a destination that can't be read into: the metrics `storage/load/pipelined`, with RAM in
//! the place of a device, and `storage/load/pipelined/<device>`.

use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::history::{History, median};
use super::method::{Stages, open_and_parse};
use super::observe::{note_cpu, observe};
use super::place::Memory;
use super::prepared::{POISON, Prepared};
use crate::host::{Buffer, Destination, Piece};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::storage::pipeline::{Failure, Pipeline, Times};
use crate::storage::read::Reader;
use crate::workload::Verified;
use crate::{Error, Result};

/// Slots in queues full of blocks: one that is read into, one that is moved on, one on its way between.
const QUEUES: usize = 3;

/// Fewest bytes of all slots.
const FEWEST_BYTES: usize = 64 << 20;

/// Bytes that are compared at a time.
const CHECKED_AT_ONCE: usize = 16 << 20;

/// Loads of the set into one destination.
pub struct Pipelined {
    id: MetricId,
    prepared: Rc<Prepared>,
    pipeline: Pipeline,
    destination: Box<dyn Destination>,
    history: History,
    slots: usize,
    /// Seconds that the destination was busy, of each load.
    busy: Vec<f64>,
    /// Seconds to read everything and move nothing, and to move everything and read nothing.
    read_only: Vec<f64>,
    take_only: Vec<f64>,
    cpus: Vec<usize>,
}

impl Pipelined {
    /// Loads into RAM.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn to_memory(id: MetricId, prepared: Rc<Prepared>) -> Result<Self> {
        let node = prepared.place.node;
        Self::new(id, prepared, move |bytes| {
            Ok(Box::new(Memory::new(bytes, node, POISON)?.buffer) as Box<dyn Destination>)
        })
    }

    /// Loads into the destination of so many bytes that `make` makes.
    ///
    /// # Errors
    /// When files can't be read directly, there is no such destination or too little memory.
    pub fn new(
        id: MetricId,
        prepared: Rc<Prepared>,
        make: impl FnOnce(usize) -> Result<Box<dyn Destination>>,
    ) -> Result<Self> {
        if let Err(why) = &prepared.direct {
            return Err(Error::Unavailable(why.clone()));
        }
        let mut destination = make(prepared.cut.memory)?;
        let in_flight = prepared.in_flight;
        let slots = (QUEUES * in_flight.depth * in_flight.threads)
            .max(FEWEST_BYTES / in_flight.block_bytes);
        let memory =
            Memory::new(slots * in_flight.block_bytes, prepared.place.node, POISON)?.buffer;
        let cpus = &prepared.place.cpus[..in_flight.threads];
        let reader = Reader::new(cpus, in_flight.depth, prepared.polling)?;
        let pipeline = Pipeline::new(reader, memory, in_flight.block_bytes, destination.as_mut())?;
        Ok(Self {
            id,
            pipeline,
            destination,
            history: History { bytes: prepared.set.bytes(), loads: Vec::new() },
            slots,
            busy: Vec::new(),
            read_only: Vec::new(),
            take_only: Vec::new(),
            cpus: Vec::new(),
            prepared,
        })
    }

    /// Loads the set once, cold.
    fn load(&mut self) -> Result<Duration> {
        let Self { prepared, pipeline, destination, .. } = self;
        let (elapsed, observation, times) = observe(prepared, || {
            let (files, stages) = open_and_parse(prepared, true)?;
            let times = through(prepared, pipeline, &files, destination.as_mut())?;
            Ok((Stages { read_s: times.total_s, ..stages }, times))
        })?;
        self.history.loads.push(observation);
        self.busy.push(times.take_s);
        note_cpu(&mut self.cpus);
        Ok(elapsed)
    }

    /// Times each side of the load without the other.
    fn time_sides(&mut self) -> Result<()> {
        let Self { prepared, pipeline, destination, .. } = self;
        let (_, _, times) = observe(prepared, || {
            let (files, stages) = open_and_parse(prepared, true)?;
            Ok((stages, through(prepared, pipeline, &files, &mut Nowhere)?))
        })?;
        self.read_only.push(times.total_s);
        self.take_only.push(pipeline.take_only(&prepared.cut, destination.as_mut())?);
        Ok(())
    }

    /// Compares what has arrived with what was written.
    fn compare(&mut self) -> Result<()> {
        let Self { prepared, destination, .. } = self;
        let mut piece = vec![0; CHECKED_AT_ONCE];
        // Of a set that was shortened to what the disk can load in time, the hashes of all shards are still known.
        let shards = prepared.set.shards.iter().zip(&prepared.cut.placements);
        for ((shard, &start), &expected) in shards.zip(prepared.hashes()?) {
            let (mut hash, mut at) = (Xxh3::new(), start);
            let end = at + shard.header.file_bytes as usize;
            while at < end {
                let piece = &mut piece[..CHECKED_AT_ONCE.min(end - at)];
                destination.read_back(at, piece)?;
                hash.update(piece);
                at += piece.len();
            }
            if hash.digest() != expected {
                return Err(Error::Wrong(format!(
                    "{} arrived with another content than it has on disk",
                    shard.path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Sends `files` through `pipeline`.
fn through(
    prepared: &Prepared,
    pipeline: &mut Pipeline,
    files: &[File],
    destination: &mut dyn Destination,
) -> Result<Times> {
    pipeline.run(files, &prepared.cut, destination).map_err(|failure| match failure {
        Failure::Read(fault) => prepared.explain(fault),
        Failure::Take(error) => error,
    })
}

/// Takes everything and keeps nothing: what is left is the reading.
struct Nowhere;

impl Destination for Nowhere {
    fn attach(&mut self, _: &mut Buffer) -> Result<Box<dyn std::any::Any + Send>> {
        Ok(Box::new(()))
    }
    fn take(&mut self, _: &[Piece<'_>]) -> Result<()> {
        Ok(())
    }
    fn read_back(&mut self, _: usize, _: &mut [u8]) -> Result<()> {
        Err(Error::Unavailable("nothing was kept".into()))
    }
    fn poison(&mut self, _: u8) -> Result<()> {
        Ok(())
    }
    fn path(&self) -> String {
        "nowhere".into()
    }
}

impl Subject for Pipelined {
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
        format!("{}+{}", self.pipeline.path(), self.destination.path())
    }

    fn cache(&self) -> Cache {
        self.history.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.destination.poison(POISON)?;
        self.load()?;
        self.compare()?;
        self.time_sides()?;
        Ok(Verified { checked: self.prepared.set.bytes(), error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            total += self.load()?;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        let mut cpus = self.pipeline.cpus_seen();
        cpus.extend(&self.cpus);
        cpus.sort_unstable();
        cpus.dedup();
        Placement::new(cpus, &self.pipeline.census())
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.history.details();
        details.extend(self.prepared.facts());
        details.extend(self.prepared.reader_facts());
        let (read, take) = (median(&self.read_only), median(&self.take_only));
        let total = details.get("stage_read_s").and_then(Value::as_f64);
        let overlap = read.zip(take).zip(total).map(|((r, t), total)| r.max(t) / total);
        details.extend(BTreeMap::from([
            ("slots".to_owned(), json!(self.slots)),
            ("stage_register_s".to_owned(), json!(self.pipeline.register_s)),
            ("read_only_s".to_owned(), json!(read)),
            ("copy_only_s".to_owned(), json!(take)),
            ("copy_busy_s".to_owned(), json!(median(&self.busy))),
            ("overlap_efficiency".to_owned(), json!(overlap)),
        ]));
        details
    }

    fn disqualified(&self) -> Option<String> {
        self.destination.disqualified()
    }
}
