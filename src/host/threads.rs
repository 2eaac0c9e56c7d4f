//! The workers: one thread a core, pinned, that run one program each on its own part of the data (SPMD).
//!
//! rayon owns the threads; [`Workers`] pins them, starts them together and times them from the first start to the
//! last finish. Waking the pool costs tens of microseconds, so what is iterated is best iterated inside one
//! [`Workers::run`], with [`Worker::barrier`] between the iterations: that costs less than a microsecond.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::barrier::SpinBarrier;
use super::cpus::{self, Cores, THREADS_VARIABLE};
use crate::{Error, Result};

/// A pool of pinned threads.
pub struct Workers {
    pool: rayon::ThreadPool,
    cpus: Vec<usize>,
    /// CPUs that each worker was found on.
    seen: Vec<Mutex<BTreeSet<usize>>>,
    /// Held while the pool works: two interleaved SPMD programs would wait for each other forever.
    busy: Mutex<()>,
}

/// One thread of a running program.
#[derive(Clone, Copy)]
pub struct Worker<'a> {
    index: usize,
    count: usize,
    barrier: &'a SpinBarrier,
}

impl Worker<'_> {
    /// Which worker this is: `0..count`.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers run the program.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits until all workers are here; what they wrote before is then visible to all.
    ///
    /// # Panics
    /// When another worker panicked.
    pub fn barrier(&self) {
        self.barrier.wait();
    }

    /// This worker's part of `0..length`: contiguous, ends on multiples of `granule` (but for the last), and differs
    /// from the other workers' parts by at most one granule.
    pub fn part(&self, length: usize, granule: usize) -> Range<usize> {
        let granules = length.div_ceil(granule);
        let cut = |i: usize| (granules * i / self.count * granule).min(length);
        cut(self.index)..cut(self.index + 1)
    }
}

impl Workers {
    /// One worker a physical core that this process may use, or as many as `HOSTDYNO_THREADS` says.
    ///
    /// # Errors
    /// When `HOSTDYNO_THREADS` is no number or too large, or when threads can't be pinned.
    pub fn new() -> Result<Self> {
        let requested = std::env::var(THREADS_VARIABLE).ok();
        let quota = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        Self::on(&Cores::allowed()?.choose(requested.as_deref(), quota)?)
    }

    /// One worker on each of `cpus`.
    ///
    /// # Errors
    /// When the threads can't be started, or can't be pinned.
    pub fn on(cpus: &[usize]) -> Result<Self> {
        let places = cpus.to_vec();
        let refusals = std::sync::Arc::new(Mutex::new(Vec::new()));
        let pool = {
            let (places, refusals) = (places.clone(), refusals.clone());
            rayon::ThreadPoolBuilder::new()
                .num_threads(cpus.len())
                .thread_name(|index| format!("worker-{index}"))
                .start_handler(move |index| {
                    if let Err(error) = cpus::pin_current_thread(places[index]) {
                        lock(&refusals).push(format!("CPU {}: {error}", places[index]));
                    }
                })
                .build()
                .map_err(|e| {
                    Error::input(
                        format!("can't start {} threads: {e}", cpus.len()),
                        format!("Set {THREADS_VARIABLE} to a smaller number, or raise ulimit -u"),
                    )
                })?
        };
        // Once every thread has answered, every start handler has run.
        pool.broadcast(|_| ());
        if let Some(refusal) = lock(&refusals).first() {
            return Err(Error::Unavailable(format!("pinning denied: {refusal}")));
        }
        let seen = places.iter().map(|_| Mutex::default()).collect();
        Ok(Self { pool, cpus: places, seen, busy: Mutex::new(()) })
    }

    /// Number of workers.
    pub fn count(&self) -> usize {
        self.cpus.len()
    }

    /// The CPU of each worker.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Runs `program` on every worker, and returns when the last has finished.
    ///
    /// # Panics
    /// When `program` panics, or when called from inside a program.
    pub fn run(&self, program: impl Fn(Worker<'_>) + Sync) {
        self.broadcast(program);
    }

    /// Runs `program` on every worker and returns the time from the first start to the last finish. The workers start
    /// together, and the time to wake them is not counted.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn timed(&self, program: impl Fn(Worker<'_>) + Sync) -> Duration {
        let times = self.broadcast(|worker| {
            worker.barrier();
            let start = Instant::now();
            program(worker);
            (start, Instant::now())
        });
        let start = times.iter().map(|t| t.0).min();
        let end = times.iter().map(|t| t.1).max();
        start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start)
    }

    /// Runs `operation` inside the pool, where rayon's parallel iterators use the pinned threads.
    ///
    /// # Panics
    /// When `operation` panics, or when called from inside a program.
    pub fn install<R: Send>(&self, operation: impl FnOnce() -> R + Send) -> R {
        let _busy = self.enter();
        self.pool.install(operation)
    }

    /// CPUs that the workers were found on at the start and the end of every program so far, ascending.
    pub fn cpus_seen(&self) -> Vec<usize> {
        let all: BTreeSet<usize> = self.seen.iter().flat_map(|seen| lock(seen).clone()).collect();
        all.into_iter().collect()
    }

    fn broadcast<R: Send>(&self, program: impl Fn(Worker<'_>) -> R + Sync) -> Vec<R> {
        let _busy = self.enter();
        let barrier = SpinBarrier::new(self.count());
        self.pool.broadcast(|context| {
            let index = context.index();
            let worker = Worker { index, count: self.count(), barrier: &barrier };
            self.note_cpu(index);
            let result =
                catch_unwind(AssertUnwindSafe(|| program(worker))).unwrap_or_else(|panic| {
                    barrier.poison();
                    resume_unwind(panic)
                });
            self.note_cpu(index);
            result
        })
    }

    fn enter(&self) -> MutexGuard<'_, ()> {
        assert!(
            self.pool.current_thread_index().is_none(),
            "a worker can't start another program on its own pool"
        );
        lock(&self.busy)
    }

    fn note_cpu(&self, index: usize) {
        if let Some(cpu) = cpus::current_cpu() {
            lock(&self.seen[index]).insert(cpu);
        }
    }
}

/// Locks what no panic can leave half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
