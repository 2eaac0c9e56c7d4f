//! Streams as worker threads: work is handed over and runs later, in order, so that a launch returns before its kernel is
//! done and the host can release a kernel that spins on pinned memory.
//!
//! Each queue has an emulated clock ([`super::cost`]). An entry starts at the latest of the clock and of the ends of what
//! it waits for; both are emulated times, so event times do not depend on how the worker threads were scheduled.

use super::command::Command;
use super::context::Context;
use super::cost::Picoseconds;
use super::handle::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The end of one piece of work: unknown until it happened, then an emulated time.
#[derive(Debug, Default)]
pub struct Completion {
    time: Mutex<Option<Picoseconds>>,
    reached: Condvar,
}

impl Completion {
    /// Something that ended before time began: what a queue without work waits for.
    #[must_use]
    pub fn past() -> Arc<Self> {
        Self::at(0)
    }

    /// Something that ended at a known time.
    #[must_use]
    pub fn at(time: Picoseconds) -> Arc<Self> {
        Arc::new(Self { time: Mutex::new(Some(time)), reached: Condvar::new() })
    }

    /// The end, if it was reached.
    #[must_use]
    pub fn time(&self) -> Option<Picoseconds> {
        *lock(&self.time)
    }

    /// Blocks until the end is reached.
    pub fn wait(&self) -> Picoseconds {
        let mut time = lock(&self.time);
        loop {
            if let Some(time) = *time {
                return time;
            }
            time = self.reached.wait(time).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn reach(&self, end: Picoseconds) {
        *lock(&self.time) = Some(end);
        self.reached.notify_all();
    }
}

/// One piece of work in a queue.
struct Entry {
    context: Arc<Context>,
    command: Arc<Command>,
    after: Vec<Arc<Completion>>,
    end: Arc<Completion>,
}

struct Inner {
    pending: VecDeque<Entry>,
    last: Arc<Completion>,
    worker: bool,
    closed: bool,
}

/// Work in order, done by a thread of its own that starts with the first piece.
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let inner = Inner {
            pending: VecDeque::new(),
            last: Completion::past(),
            worker: false,
            closed: false,
        };
        Arc::new(Self { inner: Mutex::new(inner), changed: Condvar::new() })
    }

    /// The end of all work handed over so far.
    #[must_use]
    pub fn last(&self) -> Arc<Completion> {
        lock(&self.inner).last.clone()
    }

    /// Hands work over, to start when all of `after` has ended.
    pub fn submit(
        self: &Arc<Self>,
        context: &Arc<Context>,
        command: Arc<Command>,
        after: Vec<Arc<Completion>>,
    ) -> Arc<Completion> {
        let end = Arc::new(Completion::default());
        let mut inner = lock(&self.inner);
        inner.last = end.clone();
        let context = context.clone();
        inner.pending.push_back(Entry { context, command, after, end: end.clone() });
        if !inner.worker {
            inner.worker = true;
            let queue = self.clone();
            std::thread::spawn(move || queue.work());
        }
        drop(inner);
        self.changed.notify_all();
        end
    }

    /// Lets the worker end once its work is done.
    pub fn close(&self) {
        lock(&self.inner).closed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Entry> {
        let mut inner = lock(&self.inner);
        loop {
            if let Some(entry) = inner.pending.pop_front() {
                return Some(entry);
            }
            if inner.closed {
                inner.worker = false;
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        let mut clock = 0;
        while let Some(entry) = self.next() {
            for dependency in &entry.after {
                clock = clock.max(dependency.wait());
            }
            clock += entry.context.execute(&entry.command, clock);
            entry.end.reach(clock);
        }
    }
}
