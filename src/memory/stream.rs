//! Bandwidth of all workers together, each on its own slice.

mod setup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde_json::Value;

pub use setup::{Home, Loop};
use setup::{LEAST_OF_CACHE, POISON, Setup, fill_random, part, poison};

use super::ceiling::DramCeiling;
use super::kernels::pattern;
use super::roles::Pair;
use crate::host::{Buffer, Disjoint, Workers};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Factor of the triad.
const SCALE: f64 = 0.75;

/// One loop over streams that are larger than the caches.
pub struct Stream {
    setup: Setup,
    sources: Vec<Buffer>,
    target: Option<Buffer>,
    /// Sum of each worker's slice of the first source.
    sums: Vec<u64>,
    /// Words that a pass moves of each stream.
    moved: usize,
    /// Changes with every write, so that a write that did not happen shows.
    nonce: u64,
    brief: bool,
}

impl Stream {
    /// Prepares `kind` on `workers`, with streams sized by their caches: four times, or less down to twice where
    /// memory is short. Each worker's slice lies where the worker touched it.
    ///
    /// # Errors
    /// When not even twice the caches are free.
    pub fn new(workers: Arc<Workers>, kind: Loop, ceiling: DramCeiling) -> Result<Self> {
        Self::at(kind.metric(), workers, kind, &Home::Toucher, ceiling)
    }

    /// Prepares `kind` on `workers` with memory at `home`, for the metric `id`.
    ///
    /// # Errors
    /// As [`Self::new`]; also [`Error::Unavailable`] when binding is denied.
    pub fn at(
        id: MetricId,
        workers: Arc<Workers>,
        kind: Loop,
        home: &Home,
        ceiling: DramCeiling,
    ) -> Result<Self> {
        Self::sized(Setup::new(id, workers, kind, home, ceiling)?)
    }

    /// Prepares `kind` on the cores of one node with memory bound to another, for the metric `id`.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn on_pair(id: MetricId, pair: &Pair, kind: Loop) -> Result<Self> {
        let workers = Arc::new(Workers::on(&pair.cpus)?);
        let ceiling =
            DramCeiling::not_known("the share of one node in the memory channels is not known");
        let mut stream = Self::at(id, workers, kind, &Home::Node(pair.to), ceiling)?;
        stream.setup.notes.extend(pair.notes());
        Ok(stream)
    }

    /// Adds to what the record tells.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        self.setup.notes.insert(key.into(), value.into());
    }

    /// Takes a fraction of the time that a metric may cost: one of many of its kind.
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    fn sized(setup: Setup) -> Result<Self> {
        let (read, written) = setup.kind.streams();
        let seed: u64 = rand::random();
        let mut sources = Vec::new();
        for stream in 0..read {
            let mut buffer = setup.buffer()?;
            fill_random(setup.touchers(), &mut buffer, seed.wrapping_add(stream));
            sources.push(buffer);
        }
        let mut target = None;
        if written > 0 {
            let mut buffer = setup.buffer()?;
            poison(setup.touchers(), &mut buffer);
            target = Some(buffer);
        }
        let moved = AtomicUsize::new(0);
        setup.workers.run(|worker| {
            moved.fetch_add(setup.window(worker, 0).len(), Ordering::Relaxed);
        });
        let moved = moved.into_inner();
        let mut stream =
            Self { setup, sources, target, sums: Vec::new(), moved, nonce: seed, brief: false };
        stream.sums = stream.plain_sums();
        Ok(stream)
    }

    /// Each worker's sum, by a plain loop; empty when nothing is read.
    fn plain_sums(&self) -> Vec<u64> {
        let Some(source) = self.sources.first() else { return Vec::new() };
        let words = source.as_slice::<u64>();
        let workers = &self.setup.workers;
        let sums: Vec<AtomicU64> = (0..workers.count()).map(|_| AtomicU64::new(0)).collect();
        workers.run(|worker| {
            let sum =
                words[part(worker, words.len())].iter().fold(0, |sum: u64, &w| sum.wrapping_add(w));
            sums[worker.index()].store(sum, Ordering::Relaxed);
        });
        sums.into_iter().map(AtomicU64::into_inner).collect()
    }

    /// Runs the loop; false when a read gave another sum than its slice has.
    fn go(&mut self, iterations: u64) -> (Elapsed, bool) {
        let Setup { kind, kernels, .. } = self.setup;
        let (setup, sums, first) = (&self.setup, &self.sums, self.nonce);
        let (_, written) = kind.streams();
        let sources: Vec<&[u64]> = self.sources.iter().map(Buffer::as_slice).collect();
        let target = Disjoint::new(self.target.as_mut().map_or(&mut [][..], Buffer::as_mut_slice));
        let right = AtomicBool::new(true);
        let time = self.setup.workers.timed(|worker| {
            let own = setup.window(worker, 0);
            // SAFETY: the workers' windows do not overlap, and each asks once.
            let a = unsafe { target.slice(if target.is_empty() { 0..0 } else { own }) };
            let source = |i: usize| match sources.get(i) {
                Some(source) => &source[setup.window(worker, written as usize + i)],
                None => &[],
            };
            let [b, c, d] = [0, 1, 2].map(source);
            for iteration in 0..iterations {
                match kind {
                    Loop::Read => {
                        if (kernels.read)(b) != sums[worker.index()] {
                            right.store(false, Ordering::Relaxed);
                        }
                    }
                    Loop::WriteNt => (kernels.write)(a, first.wrapping_add(iteration)),
                    Loop::Write => (kernels.write_temporal)(a, first.wrapping_add(iteration)),
                    Loop::CopyNt => (kernels.copy)(a, b),
                    Loop::TriadNt => (kernels.triad)(a, b, c, SCALE),
                    Loop::Mix2 => (kernels.mix_2r1w)(a, [b, c]),
                    Loop::Mix3 => (kernels.mix_3r1w)(a, [b, c, d]),
                }
            }
        });
        self.nonce = first.wrapping_add(iterations);
        (Elapsed(time), right.into_inner())
    }

    /// Bound memory has to be where it was bound to, each time it is verified: before and after it was timed.
    fn prove_placement(&self) -> Result<()> {
        self.sources
            .iter()
            .chain(&self.target)
            .try_for_each(|buffer| self.setup.policy.prove(buffer))
    }

    /// Words of the target that are not what a plain loop gives.
    fn wrong_words(&self) -> u64 {
        let Some(target) = &self.target else { return 0 };
        let sources: Vec<&[u64]> = self.sources.iter().map(Buffer::as_slice).collect();
        let a = target.as_slice::<u64>();
        let (setup, seed) = (&self.setup, self.nonce.wrapping_sub(1));
        let wrong = AtomicU64::new(0);
        setup.workers.run(|worker| {
            let own = setup.window(worker, 0);
            let sources = sources.iter().enumerate();
            let sources: Vec<&[u64]> =
                sources.map(|(i, source)| &source[setup.window(worker, 1 + i)]).collect();
            let sum = |k: usize| sources.iter().fold(0, |sum: u64, s| sum.wrapping_add(s[k]));
            let expected = |k: usize| match setup.kind {
                // Has no target.
                Loop::Read => POISON,
                Loop::WriteNt | Loop::Write => pattern(seed, k),
                Loop::CopyNt | Loop::Mix2 | Loop::Mix3 => sum(k),
                Loop::TriadNt => SCALE
                    .mul_add(f64::from_bits(sources[1][k]), f64::from_bits(sources[0][k]))
                    .to_bits(),
            };
            let right = |i: usize| if own.contains(&i) { expected(i - own.start) } else { POISON };
            let count = part(worker, a.len()).filter(|&i| a[i] != right(i)).count();
            wrong.fetch_add(count as u64, Ordering::Relaxed);
        });
        wrong.into_inner()
    }
}

impl Subject for Stream {
    fn metric(&self) -> MetricId {
        self.setup.id.clone()
    }

    fn part(&self) -> Part {
        Part::Dram
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    fn work(&self) -> Work {
        let bytes = (self.moved * size_of::<u64>()) as u64;
        let (read, written) = self.setup.kind.streams();
        // Ordinary stores first read the line that they are going to overwrite.
        let past = self.setup.kernels.non_temporal && self.setup.kind.past_caches();
        let allocate = if past { 0 } else { written };
        Work {
            bytes_read: read * bytes,
            bytes_written: written * bytes,
            wire_bytes: Some((read + written + allocate) * bytes),
            ..Work::default()
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.setup.ceiling.known()
    }

    fn kernel_path(&self) -> String {
        self.setup.kernels.path.into()
    }

    fn cache(&self) -> Cache {
        // Each pass evicts what the one before left: the stream alone outgrows the caches.
        let cold = self.setup.words * size_of::<u64>() >= LEAST_OF_CACHE * self.setup.cache_bytes;
        if cold { Cache::Cold } else { Cache::Hot }
    }

    /// Reads: changes a word in every slice, and the sum has to follow. Writes: poisons the target, and every word has
    /// to be what a plain loop gives.
    fn verify(&mut self) -> Result<Verified> {
        if self.setup.kind == Loop::Read {
            let (workers, position) = (&self.setup.workers, rand::random::<u64>());
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
            poison(&self.setup.workers, target);
        }
        self.prove_placement()?;
        let (_, right) = self.go(1);
        let wrong = self.wrong_words();
        if !right {
            return Err(Error::Wrong("the sum read is not the sum of what is in memory".into()));
        }
        if wrong > 0 {
            return Err(Error::Wrong(format!(
                "{wrong} of {} words written are wrong",
                self.setup.words
            )));
        }
        Ok(Verified { checked: self.setup.words as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        match self.go(iterations) {
            (elapsed, true) => Ok(elapsed),
            _ => Err(Error::Wrong("the sum read is not the sum of what is in memory".into())),
        }
    }

    fn placement(&self) -> Placement {
        Placement::of(&self.setup.workers, self.sources.iter().chain(&self.target))
    }

    fn brief(&self) -> bool {
        self.brief
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = BTreeMap::from([
            ("threads".to_owned(), self.setup.workers.count().into()),
            ("stream_bytes".to_owned(), (self.setup.words * size_of::<u64>()).into()),
            ("last_level_cache_bytes".to_owned(), self.setup.cache_bytes.into()),
        ]);
        details.extend(self.setup.notes.clone());
        if let Some(why) = self.setup.ceiling.unknown() {
            details.insert("ceiling_unknown".into(), why.into());
        }
        details
    }
}

#[cfg(test)]
mod tests;
