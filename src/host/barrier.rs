//! A barrier for threads that have a core each: it spins, so that crossing it costs less than a microsecond.
//!
//! A sleeping barrier wakes its threads one by one, tens of microseconds apart on a virtual machine; that would be
//! the larger part of a short kernel's time. When a thread is late the others yield their CPU after a while, so that
//! a busy host slows down but does not stall. A panic poisons the barrier, and the others leave instead of waiting
//! for a thread that will never come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Spins before yielding: about 50 us, longer than the threads of one kernel are apart on a quiet host.
const SPINS: u32 = 2_000;

/// A cache line (and its prefetched neighbour) of its own, so that arrivals don't disturb the spinning threads.
#[repr(align(128))]
struct Padded<T>(T);

/// A reusable barrier for a fixed number of threads.
pub struct SpinBarrier {
    count: usize,
    arrived: Padded<AtomicUsize>,
    generation: Padded<AtomicUsize>,
    poisoned: AtomicBool,
}

impl SpinBarrier {
    /// A barrier for `count` threads.
    pub fn new(count: usize) -> Self {
        Self {
            count,
            arrived: Padded(AtomicUsize::new(0)),
            generation: Padded(AtomicUsize::new(0)),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Waits until every thread is here. What a thread wrote before is visible to all after.
    ///
    /// # Panics
    /// When another thread panicked and poisoned the barrier.
    pub fn wait(&self) {
        let generation = self.generation.0.load(Ordering::Acquire);
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            self.arrived.0.store(0, Ordering::Relaxed);
            self.generation.0.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.0.load(Ordering::Acquire) == generation {
            assert!(!self.poisoned.load(Ordering::Relaxed), "another worker panicked");
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Lets every waiting thread leave with a panic.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }
}
