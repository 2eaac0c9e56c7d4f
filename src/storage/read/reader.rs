//! The best way of direct reading that this host allows: one io_uring a thread, else threads of blocking reads.
//!
//! A ring belongs to the thread that made it (SINGLE_ISSUER), so each pinned worker keeps its own, and all take blocks
//! from the same source. Memory is registered by the first and shared by the others where the kernel can do that.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::blocks::Block;
use super::drive::{Fault, Next, Source, drive};
use super::pread::Blocking;
use super::refusal::Refusal;
use super::ring::{Memories, Polling, Ring};
use crate::Result;
use crate::host::{Buffer, Disjoint, Workers};

/// Most threads that stand for queues when there is no io_uring.
const MAX_BLOCKING: usize = 32;

/// Significant decimal digits of latencies.
const DIGITS: u8 = 3;

/// Nanoseconds from queueing a block to its arrival, of many blocks.
pub type Latencies = Histogram<u64>;

/// Reads past the page cache, many in flight on each of several threads.
pub struct Reader {
    workers: Workers,
    /// One a worker; empty where reads block.
    rings: Vec<Mutex<Option<Ring>>>,
    /// What kept the better ways away.
    refused: Vec<Refusal>,
    threads: usize,
    depth: usize,
}

impl Reader {
    /// A reader with a thread on each of `cpus` and up to `depth` reads in flight on each.
    ///
    /// # Errors
    /// When threads can't be started or pinned; a host that refuses io_uring is none.
    pub fn new(cpus: &[usize], depth: usize, polling: Polling) -> Result<Self> {
        let (threads, mut refused) = (cpus.len(), Vec::new());
        let workers = Workers::on(cpus)?;
        for polling in [polling, Polling::None] {
            let rings: Vec<Mutex<Option<Ring>>> = cpus.iter().map(|_| Mutex::default()).collect();
            let refusal = Mutex::new(None);
            workers.run(|worker| match Ring::with(depth, polling) {
                Ok(ring) => *lock(&rings[worker.index()]) = Some(ring),
                Err(why) => *lock(&refusal) = Some(why),
            });
            match lock(&refusal).take() {
                None => return Ok(Self { workers, rings, refused, threads, depth }),
                Some(why) if refused.contains(&why) => {}
                Some(why) => refused.push(why),
            }
        }
        let blocking = (threads * depth).clamp(1, MAX_BLOCKING);
        let cpus: Vec<usize> = cpus.iter().copied().cycle().take(blocking).collect();
        let workers = Workers::on(&cpus)?;
        Ok(Self { workers, rings: Vec::new(), refused, threads, depth })
    }

    /// Uses no more than `threads` threads with `depth` reads in flight on each from now on, at most as many as it was
    /// made for.
    pub fn limit(&mut self, threads: usize, depth: usize) {
        (self.threads, self.depth) = (threads.max(1), depth.max(1));
        for ring in &self.rings {
            if let Some(ring) = &mut *lock(ring) {
                ring.limit(depth);
            }
        }
    }

    /// Prepares for reads into `memories`; see [`Ring::register`].
    pub fn register<'m>(&mut self, memories: impl IntoIterator<Item = &'m mut Buffer>) {
        let memories = Memories::of(memories);
        let first = AtomicUsize::new(usize::MAX);
        self.on_rings(|index, ring, wait| {
            if index == 0 {
                ring.register(&memories, None);
                if let (true, Ok(descriptor)) =
                    (ring.has_registered(), usize::try_from(ring.descriptor()))
                {
                    first.store(descriptor, Ordering::Release);
                }
            }
            wait();
            if index > 0 {
                let first = i32::try_from(first.load(Ordering::Acquire)).ok();
                ring.register(&memories, first);
            }
        });
    }

    /// Runs `operation` on every ring, on its own thread; all wait for each other where it calls its last argument.
    fn on_rings(&self, operation: impl Fn(usize, &mut Ring, &dyn Fn()) + Sync) {
        if self.rings.is_empty() {
            return;
        }
        self.workers.run(|worker| {
            if let Some(ring) = &mut *lock(&self.rings[worker.index()]) {
                operation(worker.index(), ring, &|| worker.barrier());
            }
        });
    }

    /// Prepares for reads of `files`, opened for direct I/O with offsets aligned to `align`.
    pub fn open<'r>(&'r mut self, files: &'r [File], align: u64) -> Session<'r> {
        self.on_rings(|_, ring, _| ring.register_files(files));
        Session { reader: self, files, align }
    }

    /// Which code reads.
    pub fn path(&self) -> String {
        match self.rings.first().and_then(|ring| lock(ring).as_ref().map(Ring::path)) {
            Some(path) if self.threads == 1 => path,
            Some(path) => format!("{path} x{} rings", self.threads),
            None => format!("pread/direct x{} threads", self.blocking()),
        }
    }

    /// Threads that read when there is no ring: each has one read in flight.
    fn blocking(&self) -> usize {
        (self.threads * self.depth).clamp(1, self.workers.count())
    }

    /// Set-up flags of the rings, where there are any.
    pub fn flags(&self) -> Option<&'static str> {
        lock(self.rings.first()?).as_ref().map(Ring::flags)
    }

    /// What was asked for and not given, best first.
    pub fn refusals(&self) -> Vec<String> {
        let mut all = self.refused.clone();
        for ring in &self.rings {
            for refusal in lock(ring).iter().flat_map(Ring::refusals) {
                if !all.contains(refusal) {
                    all.push(refusal.clone());
                }
            }
        }
        all.iter().map(ToString::to_string).collect()
    }

    /// CPUs that its threads were found on.
    pub fn cpus_seen(&self) -> Vec<usize> {
        self.workers.cpus_seen()
    }
}

/// A reader and the files that it reads.
pub struct Session<'r> {
    reader: &'r mut Reader,
    files: &'r [File],
    align: u64,
}

impl Session<'_> {
    /// Reads `blocks` into `memory`.
    ///
    /// # Errors
    /// The first fault; no read is in flight any more.
    pub fn read(&mut self, blocks: &[Block], memory: &mut Buffer) -> Result<(), Fault> {
        self.shared(blocks, memory, |_| ()).map(drop)
    }

    /// [`Self::read`] that notes the latency of each block.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_noting(
        &mut self,
        blocks: &[Block],
        memory: &mut Buffer,
    ) -> Result<Latencies, Fault> {
        let noted = self.shared(blocks, memory, |_| histogram())?;
        let mut all = histogram();
        for lane in noted {
            let _ = all.add(lane); // both grow as needed
        }
        Ok(all)
    }

    /// Reads `blocks`, each by whoever is free, with a note-taker a thread.
    fn shared<N: Note + Send>(
        &mut self,
        blocks: &[Block],
        memory: &mut Buffer,
        note: impl Fn(usize) -> N + Sync,
    ) -> Result<Vec<N>, Fault> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let memory = Disjoint::new(memory.as_mut_slice());
        let source = |lane| Shared { blocks, next: &next, stop: &stop, note: note(lane) };
        let sources = self.each(&memory, &stop, source)?;
        Ok(sources.into_iter().map(|source| source.note).collect())
    }

    /// Reads on every thread what `source` gives it, into disjoint places of `memory`; sources have to end once `stop`
    /// is set. What is left of the sources is returned.
    ///
    /// # Errors
    /// The first fault; no read is in flight any more.
    pub fn each<S: Source + Send>(
        &mut self,
        memory: &Disjoint<'_, u8>,
        stop: &AtomicBool,
        source: impl Fn(usize) -> S + Sync,
    ) -> Result<Vec<S>, Fault> {
        let Reader { workers, rings, threads, .. } = &*self.reader;
        let threads = if rings.is_empty() { self.reader.blocking() } else { *threads };
        let (fault, sources) = (Mutex::new(None), Mutex::new(Vec::new()));
        workers.run(|worker| {
            let index = worker.index();
            if index >= threads {
                return;
            }
            let mut source = source(index);
            let mut ring = rings.get(index).map(lock);
            let read = match ring.as_mut().and_then(|ring| ring.as_mut()) {
                Some(ring) => drive(&mut ring.queue(self.files, memory, self.align), &mut source),
                None => drive(&mut Blocking::new(self.files, memory, self.align), &mut source),
            };
            if let Err(why) = read {
                stop.store(true, Ordering::Relaxed);
                lock(&fault).get_or_insert(why);
            }
            lock(&sources).push(source);
        });
        match lock(&fault).take() {
            Some(why) => Err(why),
            None => Ok(std::mem::take(&mut *lock(&sources))),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.reader.on_rings(|_, ring, _| ring.forget_files());
    }
}

/// Takes note of how long blocks took.
trait Note {
    fn note(&mut self, took: Duration);
}

impl Note for () {
    fn note(&mut self, _: Duration) {}
}

impl Note for Latencies {
    fn note(&mut self, took: Duration) {
        let _ = self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)); // it grows as needed
    }
}

/// No latencies yet.
pub fn histogram() -> Latencies {
    Histogram::new(DIGITS).expect("0 to 5 digits")
}

/// Blocks of which each is given to one of several threads.
pub struct Shared<'a, N> {
    blocks: &'a [Block],
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
    note: N,
}

impl<'a> Shared<'a, ()> {
    /// `blocks`, of which `next` is to be read next, until `stop` is set.
    pub fn new(blocks: &'a [Block], next: &'a AtomicUsize, stop: &'a AtomicBool) -> Self {
        Self { blocks, next, stop, note: () }
    }
}

impl<N: Note> Source for Shared<'_, N> {
    fn next(&mut self, _wait: bool) -> Next {
        let more = !self.stop.load(Ordering::Relaxed);
        let block = more.then(|| self.blocks.get(self.next.fetch_add(1, Ordering::Relaxed)));
        block.flatten().map_or(Next::End, |&block| Next::Block(block))
    }

    fn arrived(&mut self, _block: &Block, took: Duration) {
        self.note.note(took);
    }
}

/// Locks what no panic can leave half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
