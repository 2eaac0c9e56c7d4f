//! Latency under load: one thread chases a cycle while all others read their own slices, with pauses of growing
//! length between the chunks. The curve of latency over bandwidth shows where queues begin to form.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chase::{Cycle, LINE};
use super::injectors::{Injectors, SLICE};
use super::latency::{ACCESSES, bytes_beyond_caches};
use crate::host::{Buffer, Pages, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::figure::{Axis, CURVE, Curve, Series};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Pauses of the curve, nanoseconds after each chunk; the first is full load.
const PAUSES: [u64; 10] = [0, 200, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 30_000, 100_000];
/// Timings of a point; their median counts.
const TIMINGS: usize = 3;
/// The knee is the highest load whose latency is below this many times the lowest one's.
const KNEE: f64 = 1.5;

/// At which load the latency is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// All that the injectors can do.
    Full,
    /// The highest load before queues form: latency below one and a half times the lowest of the curve.
    Knee,
}

/// One point of the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    /// Nanoseconds that injectors wait after each chunk.
    pause: u64,
    /// GB/s that they read.
    rate: f64,
    /// Nanoseconds of an access.
    latency: f64,
}

/// One chaser, and injectors on all other workers.
pub struct LoadedLatency {
    workers: Arc<Workers>,
    injectors: Injectors,
    cycle: Cycle,
    at: Load,
    curve: Vec<Point>,
    /// Bytes read by the injectors and the time that took, over all samples.
    injected: (u64, Duration),
}

impl LoadedLatency {
    /// The metric at a load.
    pub fn id(at: Load) -> MetricId {
        let name = match at {
            Load::Full => "all-cores",
            Load::Knee => "knee",
        };
        MetricId::new(["dram", "latency", "loaded", name])
    }

    /// Prepares the chase on the first of `workers`, and measures the curve.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with one worker only; otherwise when memory is short.
    pub fn new(workers: Arc<Workers>, at: Load) -> Result<Self> {
        let chaser = workers.cpus().first().copied().unwrap_or(0);
        let mut loaded = Self::sized(workers, bytes_beyond_caches(chaser)?, SLICE)?;
        loaded.at = at;
        for pause in PAUSES {
            let point = loaded.point(pause);
            loaded.curve.push(point);
        }
        loaded.injected = (0, Duration::ZERO);
        Ok(loaded)
    }

    /// The median of some timings with injectors that pause `pause` nanoseconds after each chunk.
    fn point(&mut self, pause: u64) -> Point {
        let mut points: Vec<Point> = (0..TIMINGS)
            .map(|_| {
                let before = self.injected.0;
                let seconds = self.go(1, pause).0.as_secs_f64().max(f64::MIN_POSITIVE);
                let rate = (self.injected.0 - before) as f64 / seconds / 1e9;
                Point { pause, rate, latency: seconds * 1e9 / ACCESSES as f64 }
            })
            .collect();
        points.sort_by(|a, b| a.latency.total_cmp(&b.latency));
        points[TIMINGS / 2]
    }

    fn sized(workers: Arc<Workers>, bytes: usize, slice: usize) -> Result<Self> {
        if workers.count() < 2 {
            return Err(Error::Unavailable("loaded latency needs two cores at least".into()));
        }
        let buffer = Buffer::new(bytes, Pages::Transparent)?;
        let cycle = workers.install(|| Cycle::over(buffer, rand::random()))?;
        Ok(Self {
            injectors: Injectors::new(&workers, 1, slice)?,
            workers,
            cycle,
            at: Load::Full,
            curve: Vec::new(),
            injected: (0, Duration::ZERO),
        })
    }

    /// The chaser's time for `iterations`, with injectors that pause `pause` nanoseconds after each chunk.
    fn go(&mut self, iterations: u64, pause: u64) -> Elapsed {
        let done = AtomicBool::new(false);
        let (cycle, time) = (Mutex::new(&mut self.cycle), Mutex::new(Duration::ZERO));
        let (injectors, pause) = (&self.injectors, Duration::from_nanos(pause));
        self.workers.run(|worker| {
            worker.barrier();
            if worker.index() > 0 {
                return injectors.read_until(worker, &done, pause);
            }
            if let (Ok(mut cycle), Ok(mut time)) = (cycle.lock(), time.lock()) {
                let start = Instant::now();
                cycle.walk(iterations * ACCESSES);
                *time = start.elapsed();
            }
            done.store(true, Ordering::Relaxed);
        });
        let time = time.into_inner().unwrap_or_default();
        self.injected.0 += injectors.take_bytes();
        self.injected.1 += time;
        Elapsed(time)
    }

    /// The point of the highest load at which latency stays near its lowest.
    fn knee(&self) -> Option<Point> {
        let lowest = self.curve.iter().map(|point| point.latency).min_by(f64::total_cmp)?;
        let near = self.curve.iter().filter(|point| point.latency <= KNEE * lowest);
        near.max_by(|a, b| a.rate.total_cmp(&b.rate)).copied()
    }

    /// The pause at which latency is sampled.
    fn pause(&self) -> u64 {
        match self.at {
            Load::Full => PAUSES[0],
            Load::Knee => self.knee().map_or(PAUSES[PAUSES.len() - 1], |point| point.pause),
        }
    }

    fn figure(&self) -> Curve {
        let mut points: Vec<[f64; 2]> =
            self.curve.iter().map(|point| [point.rate, point.latency]).collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        Curve {
            x: Axis::linear("read by the other cores", "GB/s"),
            y: Axis::linear("latency", "ns"),
            series: vec![Series { name: String::new(), points }],
            knee: self.knee().map(|point| [point.rate, point.latency]),
        }
    }
}

impl Subject for LoadedLatency {
    fn metric(&self) -> MetricId {
        Self::id(self.at)
    }

    fn part(&self) -> Part {
        Part::Dram
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        Work { bytes_read: ACCESSES * LINE as u64, accesses: ACCESSES, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    fn kernel_path(&self) -> String {
        format!("cpu/dependent-loads beside {}", self.injectors.path())
    }

    fn cache(&self) -> Cache {
        Cache::Cold
    }

    fn verify(&mut self) -> Result<Verified> {
        self.cycle.verify()?;
        Ok(Verified { checked: self.cycle.len() as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        Ok(self.go(iterations, self.pause()))
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, [self.cycle.buffer(), self.injectors.buffer()])
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let (bytes, time) = self.injected;
        let mut details = BTreeMap::from([
            ("injectors".to_owned(), self.injectors.count().into()),
            ("pause_ns".to_owned(), self.pause().into()),
        ]);
        if !self.curve.is_empty() {
            details.insert(CURVE.into(), json!(self.figure()));
        }
        if !time.is_zero() {
            let rate = bytes as f64 / time.as_secs_f64() / 1e9;
            details.insert("injected_gb_per_second".into(), rate.into());
        }
        if let Some(knee) = self.knee() {
            details.insert("knee_gb_per_second".into(), knee.rate.into());
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injectors_read_while_the_chaser_walks() {
        let workers = Arc::new(Workers::new().unwrap());
        if workers.count() < 2 {
            let error = LoadedLatency::sized(workers, 1 << 20, 1 << 12).err().unwrap();
            assert!(matches!(error, Error::Unavailable(_)));
            return;
        }
        let mut loaded = LoadedLatency::sized(workers, 1 << 20, 1 << 12).unwrap();
        assert_eq!(loaded.verify().unwrap().checked, 1 << 14);
        assert!(!loaded.run(4).unwrap().0.is_zero());
        loaded.verify().unwrap();
        assert!(loaded.injected.0 > 0 && loaded.details().contains_key("injected_gb_per_second"));
    }

    #[test]
    fn the_knee_is_the_most_that_costs_little() {
        let workers = Arc::new(Workers::new().unwrap());
        if workers.count() < 2 {
            return;
        }
        let mut loaded = LoadedLatency::sized(workers, 1 << 20, 1 << 12).unwrap();
        let points = [(0, 40.0, 400.0), (1, 30.0, 149.0), (2, 20.0, 120.0), (3, 1.0, 100.0)];
        loaded.curve = points.map(|(pause, rate, latency)| Point { pause, rate, latency }).to_vec();
        assert_eq!(loaded.knee(), Some(Point { pause: 1, rate: 30.0, latency: 149.0 }));
        assert_eq!(loaded.pause(), 0);
        loaded.at = Load::Knee;
        assert_eq!((loaded.pause(), loaded.metric().as_str()), (1, "dram/latency/loaded/knee"));
        let figure = loaded.figure();
        assert_eq!(figure.knee, Some([30.0, 149.0]));
        assert_eq!(figure.series[0].points[0], [1.0, 100.0]);
    }
}
