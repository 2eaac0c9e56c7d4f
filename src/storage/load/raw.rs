//! The device itself, by sequential direct reads of the set: the metrics `storage/read/sequential`, `knee`, `cpu-per-gb`
//! and `sustained`.
//!
//! `sequential` has as much in flight as the search found best, `knee` the least that is nearly as good; `cpu-per-gb` is what
//! the best costs in CPU time, and `sustained` the best kept up for as long as the profile allows, so that a
//! drive that slows down when it is hot or its cache is full shows it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::calibrate::{InFlight, Pieces, knee};
use super::check::compare;
use super::history::{History, median, milliseconds};
use super::method::Stages;
use super::observe::observe;
use super::prepared::Prepared;
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::storage::read::{Block, Latencies, Reader, histogram};
use crate::workload::Verified;
use crate::{Error, Result};

/// Pieces that are read in the time of one load.
const PIECES_A_LOAD: f64 = 4.0;

/// Smallest piece in bytes.
const SMALLEST_PIECE: u64 = 64 << 20;

/// What is told of sequential reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// The best rate.
    Sequential,
    /// The rate with the least in flight that is nearly as good.
    Knee,
    /// CPU seconds of 1e9 bytes at the best rate.
    CpuPerGb,
    /// The best rate, kept up.
    Sustained,
}

impl Figure {
    /// Every figure.
    pub const ALL: [Self; 4] = [Self::Sequential, Self::Knee, Self::CpuPerGb, Self::Sustained];

    /// Last segment of the metric's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Knee => "knee",
            Self::CpuPerGb => "cpu-per-gb",
            Self::Sustained => "sustained",
        }
    }

    /// What it is expressed in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::CpuPerGb => Unit::Seconds,
            _ => Unit::GigaBytes,
        }
    }
}

/// Sequential reads with so much in flight.
pub struct RawReads {
    id: MetricId,
    figure: Figure,
    prepared: Rc<Prepared>,
    in_flight: InFlight,
    reader: RefCell<Reader>,
    files: Vec<File>,
    pieces: Pieces,
    history: History,
    /// Nanoseconds that each block took.
    latencies: Latencies,
    start: Instant,
    /// Seconds since the start, GB/s and degrees Celsius of each piece.
    timeline: Vec<(f64, f64, Option<f64>)>,
}

impl RawReads {
    /// Prepares the reads that `figure` is about.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when files can't be read directly.
    pub fn new(id: MetricId, figure: Figure, prepared: Rc<Prepared>) -> Result<Self> {
        if let Err(why) = &prepared.direct {
            return Err(Error::Unavailable(why.clone()));
        }
        let best = prepared.trials.first().copied();
        let chosen = if figure == Figure::Knee { knee(&prepared.trials) } else { best };
        let Some(chosen) = chosen else {
            return Err(Error::Unavailable("the device was not searched for its knee".into()));
        };
        let in_flight = chosen.in_flight;
        let seconds = prepared.load_time.as_secs_f64() / PIECES_A_LOAD;
        let bytes = match figure {
            Figure::Sustained => prepared.set.bytes(),
            _ => ((chosen.gb_per_s * 1e9 * seconds) as u64).max(SMALLEST_PIECE),
        };
        let mut reader = Reader::new(
            &prepared.place.cpus[..in_flight.threads],
            in_flight.depth,
            prepared.polling,
        )?;
        reader.register([&mut *prepared.memory.borrow_mut()]);
        Ok(Self {
            id,
            figure,
            in_flight,
            reader: RefCell::new(reader),
            files: prepared.open_all()?,
            pieces: Pieces::new(prepared.lengths(), prepared.cut.align),
            history: History { bytes: bytes.min(prepared.set.bytes()), loads: Vec::new() },
            latencies: histogram(),
            start: Instant::now(),
            timeline: Vec::new(),
            prepared,
        })
    }

    /// Reads the next piece; the seconds that count, of a piece of exactly the nominal size.
    fn read(&mut self) -> Result<Duration> {
        let blocks = self.pieces.next(self.in_flight.block_bytes, self.history.bytes);
        let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
        let prepared = &self.prepared;
        let (elapsed, observation, latencies) = observe(prepared, || {
            let mut reader = self.reader.borrow_mut();
            let clock = Instant::now();
            let mut session = reader.open(&self.files, prepared.cut.align);
            let read = session.read_noting(&blocks, &mut prepared.memory.borrow_mut());
            let latencies = read.map_err(|fault| prepared.explain(fault))?;
            let read_s = clock.elapsed().as_secs_f64();
            Ok((Stages { open_parse_s: 0.0, read_s }, latencies))
        })?;
        let _ = self.latencies.add(latencies); // it grows as needed
        let at = self.start.elapsed().as_secs_f64();
        let gb_per_s = bytes as f64 / 1e9 / elapsed.as_secs_f64();
        self.timeline.push((at, gb_per_s, prepared.device.celsius()));
        let counted = match self.figure {
            Figure::CpuPerGb => observation.cpu_s / (bytes as f64 / 1e9),
            _ => elapsed.as_secs_f64() * self.history.bytes as f64 / bytes as f64,
        };
        self.history.loads.push(observation);
        Ok(Duration::from_secs_f64(counted))
    }
}

impl Subject for RawReads {
    fn metric(&self) -> MetricId {
        self.id.clone()
    }

    fn part(&self) -> Part {
        Part::Storage
    }

    fn unit(&self) -> Unit {
        self.figure.unit()
    }

    fn work(&self) -> Work {
        let bytes_read = match self.figure {
            Figure::CpuPerGb => 1_000_000_000,
            _ => self.history.bytes,
        };
        Work { bytes_read, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        self.reader.borrow().path()
    }

    fn cache(&self) -> Cache {
        self.history.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        let blocks = self.pieces.next(self.in_flight.block_bytes, self.history.bytes);
        compare(&self.prepared, &blocks, |blocks: &[Block]| {
            let mut reader = self.reader.borrow_mut();
            let mut session = reader.open(&self.files, self.prepared.cut.align);
            let read = session.read(blocks, &mut self.prepared.memory.borrow_mut());
            read.map_err(|fault| self.prepared.explain(fault))
        })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            total += self.read()?;
        }
        Ok(Elapsed(total))
    }

    fn placement(&self) -> Placement {
        let memory = self.prepared.memory.borrow();
        Placement::new(self.reader.borrow().cpus_seen(), &memory.census())
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.history.details();
        details.remove("stage_open_parse_s"); // files are opened once
        details.extend(self.prepared.facts());
        details.extend(self.prepared.reader_facts());
        let no_ceiling = "it is itself the ceiling of this device's loads";
        details.extend(BTreeMap::from([
            ("block_bytes".to_owned(), json!(self.in_flight.block_bytes)),
            ("queue_depth".to_owned(), json!(self.in_flight.depth)),
            ("threads".to_owned(), json!(self.in_flight.threads)),
            ("block_latency_ms".to_owned(), milliseconds(&self.latencies)),
            ("trials".to_owned(), json!(self.prepared.trials)),
            ("ceiling_unknown".to_owned(), json!(no_ceiling)),
            ("timeline_s_gb_per_s_celsius".to_owned(), json!(self.timeline)),
        ]));
        let rates: Vec<f64> = self.timeline.iter().map(|piece| piece.1).collect();
        if let Some((first, last)) = thirds(&rates) {
            details.insert("first_third_gb_per_s".into(), json!(first));
            details.insert("last_third_gb_per_s".into(), json!(last));
            details.insert("drop_share".into(), json!(1.0 - last / first));
        }
        details
    }
}

/// Medians of the first and of the last third: how much the device slowed down.
fn thirds(rates: &[f64]) -> Option<(f64, f64)> {
    let third = rates.len() / 3;
    Some((median(&rates[..third])?, median(&rates[rates.len() - third..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_slows_down_shows_it() {
        let (first, last) = thirds(&[3.0, 3.1, 2.9, 2.5, 2.0, 2.0, 1.5, 1.4, 1.6]).unwrap();
        assert_eq!((first, last), (3.0, 1.5));
        assert_eq!(thirds(&[1.0, 2.0]), None);
    }
}
