//! Threads that load the memory while something else is measured: each reads its own slice over and over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::kernels::Kernels;
use crate::Result;
use crate::host::{Buffer, Disjoint, Pages, Worker, Workers};

/// Words that an injector reads between two pauses: 16 KiB, so that the load is even at the scale of what is measured.
const CHUNK: usize = 2048;

/// Words of an injector's slice: far more than its share of the caches.
pub const SLICE: usize = (64 << 20) / size_of::<u64>();

/// The slices of some workers, and what was read of them.
pub struct Injectors {
    kernels: Kernels,
    /// Workers before this one do something else.
    first: usize,
    count: usize,
    words: Buffer,
    bytes: AtomicU64,
}

impl Injectors {
    /// Slices of `slice` words for all of `workers` from the one with index `first` on, touched first by those who read
    /// them.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(workers: &Workers, first: usize, slice: usize) -> Result<Self> {
        let (kernels, count) = (Kernels::best(), workers.count().saturating_sub(first));
        let mut words = Buffer::new(count * slice * size_of::<u64>(), Pages::Transparent)?;
        let slices = Disjoint::new(words.as_mut_slice::<u64>());
        workers.run(|worker| {
            if let Some(injector) = worker.index().checked_sub(first) {
                // SAFETY: every injector has a slice of its own.
                let own = unsafe { slices.slice(injector * slice..(injector + 1) * slice) };
                (kernels.write)(own, rand::random());
            }
        });
        Ok(Self { kernels, first, count, words, bytes: AtomicU64::new(0) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The loop's path.
    pub fn path(&self) -> &'static str {
        self.kernels.path
    }

    /// Their memory.
    pub fn buffer(&self) -> &Buffer {
        &self.words
    }

    /// Bytes read since the last call.
    pub fn take_bytes(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }

    /// What `worker` does until `done`, if it is an injector: reads, with `pause` after each 16 KiB.
    pub fn read_until(&self, worker: Worker<'_>, done: &AtomicBool, pause: Duration) {
        let Some(injector) = worker.index().checked_sub(self.first) else { return };
        let words = self.words.as_slice::<u64>();
        let slice = words.len() / self.count;
        let mut bytes = 0;
        for chunk in words[injector * slice..(injector + 1) * slice].chunks(CHUNK).cycle() {
            std::hint::black_box((self.kernels.read)(chunk));
            bytes += size_of_val(chunk) as u64;
            if done.load(Ordering::Relaxed) {
                break;
            }
            let end = Instant::now() + pause;
            while !pause.is_zero() && Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Calls `measured` on this thread while all injectors read without a pause.
    pub fn beside<T>(&self, workers: &Workers, measured: impl FnOnce() -> T) -> T {
        let (done, reading) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                workers.run(|worker| {
                    reading.fetch_add(1, Ordering::Relaxed);
                    self.read_until(worker, &done, Duration::ZERO);
                });
            });
            // Ends the load also when `measured` panics: the scope waits for it.
            let end = EndOfLoad(&done);
            while reading.load(Ordering::Relaxed) < workers.count() as u64 {
                std::thread::yield_now();
            }
            let result = measured();
            drop(end);
            result
        })
    }
}

struct EndOfLoad<'a>(&'a AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_beside_what_is_measured_and_stop_with_it() {
        let workers = Workers::new().unwrap();
        let injectors = Injectors::new(&workers, 0, CHUNK + 5).unwrap();
        assert_eq!(injectors.count(), workers.count());
        assert_eq!(injectors.beside(&workers, || 7), 7);
        assert!(injectors.take_bytes() >= workers.count() as u64 * CHUNK as u64 * 8);
        assert_eq!(injectors.take_bytes(), 0, "they stopped");
    }

    #[test]
    fn a_panic_of_what_is_measured_ends_the_load() {
        let workers = Workers::new().unwrap();
        let injectors = Injectors::new(&workers, 0, CHUNK).unwrap();
        let measured = || injectors.beside(&workers, || panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(measured)).is_err());
    }
}
