//! Core to core: how long it takes until another core sees what one has written.
//!
//! Two threads hand a cache line to each other: each waits for the other's value and writes the next one. A hand-over is
//! one way, half a round trip. Lines are fresh: every iteration goes on to the next line of memory that the first of the
//! two touched, since a line that is used over and over may be watched over by a directory far from both, and all pairs
//! would then measure the way to it (nviennot/core-to-core-latency pull request 156).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::host::{Buffer, Pages, Topology, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::figure::{MATRIX, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Hand-overs on a line before the next one's turn: a hundred microseconds or more, which hides the barriers between lines.
const HANDOVERS: u64 = 2048;
/// Bytes from line to line: other pages, and other positions within them.
const STRIDE: usize = 4096 + 64;
/// Lines.
const LINES: usize = 256;
/// Lines that a cell of the matrix takes; their median counts.
const OF_CELL: usize = 9;
/// Cores in a matrix of a run that has to end soon.
pub const FEW_CORES: usize = 64;

/// What two cores are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Two hardware threads of one core.
    SameCore,
    /// Two cores below one last-level cache.
    SameCache,
    /// Two last-level caches of one socket.
    SamePackage,
    /// Two sockets.
    RemotePackage,
}

impl Relation {
    /// Every relation.
    pub const ALL: [Self; 4] =
        [Self::SameCore, Self::SameCache, Self::SamePackage, Self::RemotePackage];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameCore => "same-core",
            Self::SameCache => "same-l3",
            Self::SamePackage => "same-package",
            Self::RemotePackage => "remote-package",
        }
    }

    /// The metric.
    pub fn id(self) -> MetricId {
        MetricId::new(["dram", "core-to-core", self.name()])
    }

    /// Why a host has no such pair.
    pub const fn missing(self) -> &'static str {
        match self {
            Self::SameCore => "no core with two hardware threads that this process may use",
            Self::SameCache => "no two cores below one last-level cache",
            Self::SamePackage => "one last-level cache a socket",
            Self::RemotePackage => "one socket",
        }
    }

    /// What CPUs `a` and `b` are to each other.
    fn between(topology: &Topology, a: usize, b: usize) -> Self {
        let both = |cpus: &[usize]| cpus.contains(&a) && cpus.contains(&b);
        match () {
            () if topology.cores.iter().any(|core| both(&core.0)) => Self::SameCore,
            () if topology.last_level().any(|cache| both(&cache.cpus)) => Self::SameCache,
            () if topology.packages.iter().any(|package| both(&package.cpus)) => Self::SamePackage,
            () => Self::RemotePackage,
        }
    }

    /// The first two of `cpus` that are this to each other.
    pub fn pair(self, topology: &Topology, cpus: &[usize]) -> Option<[usize; 2]> {
        cpus.iter().enumerate().find_map(|(index, &a)| {
            let b = cpus[index + 1..].iter().find(|&&b| Self::between(topology, a, b) == self)?;
            Some([a, *b])
        })
    }
}

/// Two threads and the lines between them.
pub struct Handover {
    id: MetricId,
    workers: Workers,
    lines: Buffer,
    next: usize,
    brief: bool,
    matrix: Option<Matrix>,
}

impl Handover {
    /// Name of the metric that has the matrix of all cores.
    pub fn matrix_id() -> MetricId {
        MetricId::new(["dram", "core-to-core", "matrix"])
    }

    /// Prepares the two CPUs for the metric `id`.
    ///
    /// # Errors
    /// When threads can't be pinned.
    pub fn new(id: MetricId, cpus: [usize; 2]) -> Result<Self> {
        let workers = Workers::on(&cpus)?;
        let mut lines = Buffer::new(LINES * STRIDE, Pages::Small)?;
        let memory = Mutex::new(&mut lines);
        workers.run(|worker| {
            if let (0, Ok(mut memory)) = (worker.index(), memory.lock()) {
                memory.as_mut_slice::<u8>().fill(0);
            }
        });
        Ok(Self { id, workers, lines, next: 0, brief: false, matrix: None })
    }

    /// Measures the matrix of one CPU of each core among `cpus`, or of at most `most` of them at regular distances, and
    /// prepares the first pair.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Unavailable`] with one core only.
    pub fn of_all(cpus: &[usize], most: usize) -> Result<Self> {
        let every = cpus.len().div_ceil(most.max(1)).max(1);
        let cpus: Vec<usize> = cpus.iter().copied().step_by(every).collect();
        let [first, second, ..] = cpus[..] else {
            return Err(Error::Unavailable("a hand-over needs two cores".into()));
        };
        let mut values = vec![vec![None; cpus.len()]; cpus.len()];
        for row in 0..cpus.len() {
            for column in row + 1..cpus.len() {
                let mut pair = Self::new(Self::matrix_id(), [cpus[row], cpus[column]])?;
                let nanoseconds = pair.median()?;
                values[row][column] = Some(nanoseconds);
                values[column][row] = Some(nanoseconds);
            }
        }
        let names: Vec<String> = cpus.iter().map(usize::to_string).collect();
        let mut handover = Self::new(Self::matrix_id(), [first, second])?;
        handover.matrix = Some(Matrix {
            row_title: "CPU".into(),
            column_title: "CPU".into(),
            rows: names.clone(),
            columns: names,
            unit: Unit::Nanoseconds,
            values,
        });
        Ok(handover)
    }

    /// Takes a fraction of the time that a metric may cost.
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    /// Nanoseconds of a hand-over: the median over some lines.
    fn median(&mut self) -> Result<f64> {
        self.run(1)?;
        let mut times = Vec::new();
        for _ in 0..OF_CELL {
            times.push(self.run(1)?.0.as_secs_f64() * 1e9 / HANDOVERS as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[OF_CELL / 2])
    }

    /// Hands `iterations` lines to and fro; false when one did not end where it should.
    fn go(&mut self, iterations: u64) -> (Elapsed, bool) {
        let (bytes, right) = (&self.lines, AtomicBool::new(true));
        let first = self.next;
        let line = |iteration: u64| {
            let index = (first + iteration as usize) % LINES;
            let at = bytes.as_ptr().wrapping_add(index * STRIDE).cast::<AtomicU64>();
            // SAFETY: inside the buffer, aligned to a line, and touched by atomic operations only while threads run.
            unsafe { &*at }
        };
        let time = self.workers.timed(|worker| {
            let mine = worker.index() as u64;
            for iteration in 0..iterations {
                let line = line(iteration);
                // Both begin when both are here, on a line that has what it began with.
                worker.barrier();
                let base = line.load(Ordering::Acquire);
                worker.barrier();
                // Value `base + n` is the n-th hand-over; the first thread writes the odd ones.
                let mut n = 1 + mine;
                while n <= HANDOVERS {
                    while line.load(Ordering::Acquire) != base + n - 1 {}
                    line.store(base + n, Ordering::Release);
                    n += 2;
                }
                worker.barrier();
                if line.load(Ordering::Acquire) != base + HANDOVERS {
                    right.store(false, Ordering::Relaxed);
                }
            }
        });
        self.next = (first + iterations as usize) % LINES;
        (Elapsed(time), right.into_inner())
    }
}

impl Subject for Handover {
    fn metric(&self) -> MetricId {
        self.id.clone()
    }

    fn part(&self) -> Part {
        Part::Dram
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        Work { accesses: HANDOVERS, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        "cpu/store-release, load-acquire".into()
    }

    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        self.run(1)?;
        Ok(Verified { checked: HANDOVERS, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        match self.go(iterations) {
            (elapsed, true) => Ok(elapsed),
            _ => Err(Error::Wrong("a line does not hold the last value handed over".into())),
        }
    }

    fn brief(&self) -> bool {
        self.brief
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [&self.lines])
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([("sampled_cpus".to_owned(), json!(self.workers.cpus()))]);
        if let Some(matrix) = &self.matrix {
            details.insert(MATRIX.into(), json!(matrix));
        }
        details
    }
}

#[cfg(test)]
mod tests;
