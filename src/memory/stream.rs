//! Bandwidth of all workers together, each on its own slice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use super::ceiling::DramCeiling;
use super::kernels::{Kernels, pattern};
use crate::host::pages::{self, HUGE};
use crate::host::{Buffer, Caches, Disjoint, Pages, Root, Worker, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Words of a huge page: slices end on these, so that no page belongs to two workers.
const GRANULE: usize = HUGE / size_of::<u64>();
/// Least bytes of a worker's slice: a pass takes milliseconds, and starting together microseconds.
const LEAST_SLICE: usize = 16 << 20;
/// A stream is this many times the last-level caches in use (STREAM's rule) ...
const OF_CACHE: usize = 4;
/// ... and never less than this many times, where memory is short.
const LEAST_OF_CACHE: usize = 2;
/// What the destination holds before a verification: no f64 of the data, no pattern.
const POISON: u64 = 0x7ff4_dead_7ff4_dead;
/// Factor of the triad.
const SCALE: f64 = 0.75;

/// What is done to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// Reads one stream.
    Read,
    /// Writes one stream, past the caches.
    WriteNt,
    /// Copies one stream to another, writes past the caches.
    CopyNt,
    /// `a = b + s c` over three streams, writes past the caches.
    TriadNt,
}

impl Loop {
    /// Every loop.
    pub const ALL: [Self; 4] = [Self::Read, Self::WriteNt, Self::CopyNt, Self::TriadNt];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::WriteNt => "write-nt",
            Self::CopyNt => "copy-nt",
            Self::TriadNt => "triad-nt",
        }
    }

    /// Streams read, and streams written.
    const fn streams(self) -> (u64, u64) {
        match self {
            Self::Read => (1, 0),
            Self::WriteNt => (0, 1),
            Self::CopyNt => (1, 1),
            Self::TriadNt => (2, 1),
        }
    }

    /// The metric over all cores.
    pub fn metric(self) -> MetricId {
        MetricId::new(["dram", self.name(), "all-cores"])
    }
}

/// One loop over streams that are larger than the caches.
pub struct Stream {
    workers: Arc<Workers>,
    kernels: Kernels,
    kind: Loop,
    /// Words of a stream.
    words: usize,
    sources: Vec<Buffer>,
    target: Option<Buffer>,
    /// Sum of each worker's slice of the first source.
    sums: Vec<u64>,
    /// Changes with every write, so that a write that did not happen shows.
    nonce: u64,
    cache_bytes: usize,
    ceiling: DramCeiling,
}

impl Stream {
    /// Prepares `kind` on `workers`, with streams sized by their caches: four times, or less down to twice where
    /// memory is short.
    ///
    /// # Errors
    /// When not even twice the caches are free.
    pub fn new(workers: Arc<Workers>, kind: Loop, ceiling: DramCeiling) -> Result<Self> {
        let caches = Caches::of(workers.cpus());
        let (read, written) = kind.streams();
        let streams = (read + written) as usize;
        let wanted = (OF_CACHE * caches.last_level_total).max(LEAST_SLICE * workers.count());
        let free = pages::available(&Root::host()).map_or(usize::MAX, |free| free as usize);
        // A quarter of what is free stays with the rest of the host.
        let bytes = wanted.min(free / 4 * 3 / streams);
        if bytes < LEAST_OF_CACHE * caches.last_level_total {
            return Err(Error::Unavailable(format!(
                "{streams} streams of twice the last-level cache ({} MiB) do not fit into free memory",
                caches.last_level_total >> 20
            )));
        }
        let share = (bytes / workers.count() / HUGE).max(1) * GRANULE;
        let words = share * workers.count();
        Self::sized(workers, Kernels::best(), kind, words, caches.last_level_total, ceiling)
    }

    fn sized(
        workers: Arc<Workers>,
        kernels: Kernels,
        kind: Loop,
        words: usize,
        cache_bytes: usize,
        ceiling: DramCeiling,
    ) -> Result<Self> {
        let bytes = words * size_of::<u64>();
        let (read, written) = kind.streams();
        let seed: u64 = rand::random();
        let mut sources = Vec::new();
        for stream in 0..read {
            let mut buffer = Buffer::new(bytes, Pages::Transparent)?;
            fill_random(&workers, &mut buffer, seed.wrapping_add(stream));
            sources.push(buffer);
        }
        let mut target = None;
        if written > 0 {
            let mut buffer = Buffer::new(bytes, Pages::Transparent)?;
            poison(&workers, &mut buffer);
            target = Some(buffer);
        }
        let mut stream = Self {
            workers,
            kernels,
            kind,
            words,
            sources,
            target,
            sums: Vec::new(),
            nonce: seed,
            cache_bytes,
            ceiling,
        };
        stream.sums = stream.plain_sums();
        Ok(stream)
    }

    /// Each worker's sum, by a plain loop; empty when nothing is read.
    fn plain_sums(&self) -> Vec<u64> {
        let Some(source) = self.sources.first() else { return Vec::new() };
        let words = source.as_slice::<u64>();
        let sums: Vec<AtomicU64> = (0..self.workers.count()).map(|_| AtomicU64::new(0)).collect();
        self.workers.run(|worker| {
            let sum =
                words[part(worker, words.len())].iter().fold(0, |sum: u64, &w| sum.wrapping_add(w));
            sums[worker.index()].store(sum, Ordering::Relaxed);
        });
        sums.into_iter().map(AtomicU64::into_inner).collect()
    }

    /// Runs the loop; false when a read gave another sum than its slice has.
    fn go(&mut self, iterations: u64) -> (Elapsed, bool) {
        let (kind, kernels, words, sums, first) =
            (self.kind, self.kernels, self.words, &self.sums, self.nonce);
        let source = |i: usize| self.sources.get(i).map_or(&[][..], Buffer::as_slice::<u64>);
        let (b, c) = (source(0), source(1));
        let target = Disjoint::new(self.target.as_mut().map_or(&mut [][..], Buffer::as_mut_slice));
        let right = AtomicBool::new(true);
        let time = self.workers.timed(|worker| {
            let part = part(worker, words);
            // SAFETY: the workers' parts do not overlap, and each asks once.
            let a = unsafe { target.slice(if target.is_empty() { 0..0 } else { part.clone() }) };
            for iteration in 0..iterations {
                match kind {
                    Loop::Read => {
                        if (kernels.read)(&b[part.clone()]) != sums[worker.index()] {
                            right.store(false, Ordering::Relaxed);
                        }
                    }
                    Loop::WriteNt => (kernels.write)(a, first.wrapping_add(iteration)),
                    Loop::CopyNt => (kernels.copy)(a, &b[part.clone()]),
                    Loop::TriadNt => {
                        (kernels.triad)(a, &b[part.clone()], &c[part.clone()], SCALE);
                    }
                }
            }
        });
        self.nonce = first.wrapping_add(iterations);
        (Elapsed(time), right.into_inner())
    }

    /// Words of the target that are not what a plain loop gives.
    fn wrong_words(&self) -> u64 {
        let Some(target) = &self.target else { return 0 };
        let source = |i: usize| self.sources.get(i).map_or(&[][..], Buffer::as_slice::<u64>);
        let (a, b, c) = (target.as_slice::<u64>(), source(0), source(1));
        let (kind, seed) = (self.kind, self.nonce.wrapping_sub(1));
        let wrong = AtomicU64::new(0);
        self.workers.run(|worker| {
            let part = part(worker, a.len());
            let start = part.start;
            let expected = |i: usize| match kind {
                Loop::Read => a[i],
                Loop::WriteNt => pattern(seed, i - start),
                Loop::CopyNt => b[i],
                Loop::TriadNt => {
                    SCALE.mul_add(f64::from_bits(c[i]), f64::from_bits(b[i])).to_bits()
                }
            };
            let count = part.filter(|&i| a[i] != expected(i)).count();
            wrong.fetch_add(count as u64, Ordering::Relaxed);
        });
        wrong.into_inner()
    }
}

/// Worker's words.
fn part(worker: Worker<'_>, words: usize) -> std::ops::Range<usize> {
    worker.part(words, GRANULE)
}

/// Uniform in [-1, 1) as f64, each worker touching its own part first.
fn fill_random(workers: &Workers, buffer: &mut Buffer, seed: u64) {
    let words = Disjoint::new(buffer.as_mut_slice::<f64>());
    workers.run(|worker| {
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ (worker.index() as u64) << 32);
        // SAFETY: the workers' parts do not overlap.
        let part = unsafe { words.slice(part(worker, words.len())) };
        part.fill_with(|| rng.random::<f64>().mul_add(2.0, -1.0));
    });
}

fn poison(workers: &Workers, buffer: &mut Buffer) {
    let words = Disjoint::new(buffer.as_mut_slice::<u64>());
    workers.run(|worker| {
        // SAFETY: the workers' parts do not overlap.
        unsafe { words.slice(part(worker, words.len())) }.fill(POISON);
    });
}

impl Subject for Stream {
    fn metric(&self) -> MetricId {
        self.kind.metric()
    }

    fn part(&self) -> Part {
        Part::Dram
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    fn work(&self) -> Work {
        let bytes = (self.words * size_of::<u64>()) as u64;
        let (read, written) = self.kind.streams();
        // Ordinary stores first read the line that they are going to overwrite.
        let allocate = if self.kernels.non_temporal { 0 } else { written };
        Work {
            bytes_read: read * bytes,
            bytes_written: written * bytes,
            wire_bytes: Some((read + written + allocate) * bytes),
            ..Work::default()
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceiling.known()
    }

    fn kernel_path(&self) -> String {
        self.kernels.path.into()
    }

    fn cache(&self) -> Cache {
        // Each pass evicts what the one before left: the stream alone outgrows the caches.
        let cold = self.words * size_of::<u64>() >= LEAST_OF_CACHE * self.cache_bytes;
        if cold { Cache::Cold } else { Cache::Hot }
    }

    /// Reads: changes a word in every slice, and the sum has to follow. Writes: poisons the target, and every word has
    /// to be what a plain loop gives.
    fn verify(&mut self) -> Result<Verified> {
        if self.kind == Loop::Read {
            let (workers, position) = (&self.workers, rand::random::<u64>());
            if let Some(source) = self.sources.first_mut() {
                let words = Disjoint::new(source.as_mut_slice::<u64>());
                workers.run(|worker| {
                    // SAFETY: the workers' parts do not overlap.
                    let part = unsafe { words.slice(part(worker, words.len())) };
                    let at = position as usize % part.len().max(1);
                    if let Some(word) = part.get_mut(at) {
                        *word = word.rotate_left(1) ^ 1;
                    }
                });
            }
            self.sums = self.plain_sums();
        } else if let Some(target) = &mut self.target {
            poison(&self.workers, target);
        }
        let (_, right) = self.go(1);
        let wrong = self.wrong_words();
        if !right {
            return Err(Error::Wrong("the sum read is not the sum of what is in memory".into()));
        }
        if wrong > 0 {
            return Err(Error::Wrong(format!("{wrong} of {} words written are wrong", self.words)));
        }
        Ok(Verified { checked: self.words as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        match self.go(iterations) {
            (elapsed, true) => Ok(elapsed),
            _ => Err(Error::Wrong("the sum read is not the sum of what is in memory".into())),
        }
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.workers, self.sources.iter().chain(&self.target))
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([
            ("threads".to_owned(), self.workers.count().into()),
            ("stream_bytes".to_owned(), (self.words * size_of::<u64>()).into()),
            ("last_level_cache_bytes".to_owned(), self.cache_bytes.into()),
        ]);
        if let Some(why) = self.ceiling.unknown() {
            details.insert("ceiling_unknown".into(), why.into());
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(kernels: Kernels, kind: Loop, words: usize) -> Stream {
        let workers = Arc::new(Workers::new().unwrap());
        let ceiling = DramCeiling::of(&Root::at("/nowhere"));
        Stream::sized(workers, kernels, kind, words, 1 << 20, ceiling).unwrap()
    }

    #[test]
    fn every_loop_verifies_with_every_instruction_set() {
        for kernels in Kernels::all() {
            for kind in Loop::ALL {
                for words in [1, 1001, GRANULE + 5, 3 * GRANULE] {
                    let mut stream = small(kernels, kind, words);
                    let before = stream.verify().unwrap();
                    stream.run(3).unwrap();
                    let after = stream.verify().unwrap();
                    assert_eq!((before.checked, after.checked), (words as u64, words as u64));
                }
            }
        }
    }

    #[test]
    fn work_counts_what_crosses_the_bus() {
        let (read, bytes) = (small(Kernels::best(), Loop::Read, 1 << 10), 8 << 10);
        assert_eq!((read.work().bytes_read, read.work().bytes_written), (bytes, 0));
        let portable = Kernels::all()[0];
        let triad = small(portable, Loop::TriadNt, 1 << 10).work();
        assert_eq!((triad.counted_bytes(), triad.wire_bytes), (3 * bytes, Some(4 * bytes)));
        if Kernels::best().non_temporal {
            let copy = small(Kernels::best(), Loop::CopyNt, 1 << 10).work();
            assert_eq!((copy.counted_bytes(), copy.wire_bytes), (2 * bytes, Some(2 * bytes)));
        }
    }

    #[test]
    fn a_read_that_skips_a_word_is_caught() {
        let mut kernels = Kernels::all()[0];
        kernels.read = |words| words.iter().skip(1).fold(0, |sum: u64, &w| sum.wrapping_add(w));
        let mut stream = small(kernels, Loop::Read, 5000);
        assert!(matches!(stream.verify(), Err(Error::Wrong(_))));
        assert!(matches!(stream.run(1), Err(Error::Wrong(_))));
    }

    #[test]
    fn a_write_that_does_nothing_is_caught() {
        let mut kernels = Kernels::all()[0];
        kernels.write = |_, _| ();
        kernels.copy = |_, _| ();
        kernels.triad = |_, _, _, _| ();
        for kind in [Loop::WriteNt, Loop::CopyNt, Loop::TriadNt] {
            assert!(
                matches!(small(kernels, kind, 5000).verify(), Err(Error::Wrong(_))),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn streams_are_cold_by_size_and_placed() {
        let workers = Arc::new(Workers::new().unwrap());
        let caches = Caches::of(workers.cpus());
        if caches.last_level_total > 64 << 20 {
            return; // too much memory for a test
        }
        let stream =
            Stream::new(workers.clone(), Loop::Read, DramCeiling::of(&Root::at("/x"))).unwrap();
        assert_eq!(stream.cache(), Cache::Cold);
        assert!(stream.work().bytes_read as usize >= LEAST_OF_CACHE * caches.last_level_total);
        let placement = stream.placement();
        assert_eq!(placement.cpus, workers.cpus());
        assert!(!placement.pages_by_node.contains_key("untouched"), "{placement:?}");
    }
}
