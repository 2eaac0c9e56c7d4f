//! Streams: where work is handed over, in which order, and whether it is done or recorded into a graph.

use super::capture::Leg;
use super::command::Command;
use super::context::{Context, current};
use super::error::{Code, Result};
use super::handle::{Handle, lock};
use super::queue::{Completion, Queue};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a stream orders itself with the legacy default stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is the legacy default stream: after all work of the blocking streams, and before what follows in them.
    Legacy,
    /// A blocking stream.
    Blocking,
    /// A stream with `CU_STREAM_NON_BLOCKING`.
    Free,
}

/// One stream.
pub struct Stream {
    /// Its context.
    pub context: Arc<Context>,
    /// Its number, unique in the process (`cuStreamGetId`).
    pub id: u64,
    /// How it orders itself.
    pub order: Order,
    /// Its priority, within [`PRIORITIES`].
    pub priority: i32,
    queue: Arc<Queue>,
    /// What it records into, while it captures.
    pub leg: Mutex<Option<Leg>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({}, {:?})", self.id, self.order)
    }
}

/// Least and greatest priority, as devices of the last years report them. Priorities are kept and have no effect.
pub const PRIORITIES: (i32, i32) = (0, -5);

impl Stream {
    /// A new stream of a context.
    #[must_use]
    pub fn new(context: Arc<Context>, order: Order, priority: i32) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(3);
        let queue = match order {
            Order::Legacy => context.legacy.clone(),
            _ => context.add_queue(order == Order::Blocking),
        };
        let id = IDS.fetch_add(1, Ordering::SeqCst);
        Self { context, id, order, priority, queue, leg: Mutex::default() }
    }

    /// Whether work is recorded into a graph.
    #[must_use]
    pub fn is_capturing(&self) -> bool {
        lock(&self.leg).is_some()
    }

    /// Hands work over, or records it. The end is known to nobody while capturing.
    ///
    /// # Errors
    /// The sticky error of the context; `CUDA_ERROR_STREAM_CAPTURE_*`.
    pub fn submit(&self, command: Command) -> Result<Option<Arc<Completion>>> {
        self.submit_after(command, Vec::new())
    }

    /// As [`Self::submit`], after other work too (which a captured stream must not wait for).
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_after(
        &self,
        command: Command,
        after: Vec<Arc<Completion>>,
    ) -> Result<Option<Arc<Completion>>> {
        self.context.healthy()?;
        if let Some(leg) = &mut *lock(&self.leg) {
            leg.record(command)?;
            return Ok(None);
        }
        let command = Arc::new(command);
        Ok(Some(match self.order {
            Order::Legacy => {
                super::state::driver_anywhere()?.captures.refuse_legacy_work(&self.context)?;
                self.context.submit_legacy(command, after)
            }
            Order::Blocking => self.context.submit_blocking(&self.queue, command, after),
            Order::Free => self.queue.submit(&self.context, command, after),
        }))
    }

    /// Hands work over and waits for it.
    ///
    /// # Errors
    /// As [`Self::submit`], and the sticky error that the work left.
    pub fn submit_and_wait(&self, command: Command) -> Result<()> {
        if let Some(end) = self.submit(command)? {
            end.wait();
        }
        self.context.healthy()
    }

    /// The end of all work so far.
    #[must_use]
    pub fn last(&self) -> Arc<Completion> {
        self.queue.last()
    }

    /// Lets the stream's thread end once its work is done.
    pub fn close(&self) {
        if self.order != Order::Legacy {
            self.queue.close();
        }
    }
}

/// `CU_STREAM_LEGACY`.
const LEGACY: usize = 1;
/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: usize = 2;

/// The stream behind a C caller's handle; null is the legacy default stream of the current context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE`; `CUDA_ERROR_INVALID_CONTEXT` where a default stream has no context.
pub fn resolve(handle: Handle) -> Result<Arc<Stream>> {
    match handle as usize {
        0 | LEGACY => legacy(),
        PER_THREAD => Ok(current()?.1.per_thread()),
        _ => super::state::driver()?.streams.get(handle),
    }
}

/// The legacy default stream of the current context.
///
/// # Errors
/// As [`current`].
pub fn legacy() -> Result<Arc<Stream>> {
    let (_, context) = current()?;
    Ok(Arc::new(Stream::new(context, Order::Legacy, 0)))
}

/// Whether a handle names a default stream, which cannot be destroyed or captured.
#[must_use]
pub fn is_default(handle: Handle) -> bool {
    (handle as usize) <= PER_THREAD
}

/// Whether a handle names the legacy default stream.
#[must_use]
pub fn is_legacy(handle: Handle) -> bool {
    (handle as usize) <= LEGACY
}

/// Refuses what a captured stream cannot do, and spoils its capture, as documented.
///
/// # Errors
/// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED` on a captured stream.
pub fn refuse_while_capturing(stream: &Stream) -> Result<()> {
    if let Some(leg) = &*lock(&stream.leg) {
        leg.capture.spoil();
        return Err(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    Ok(())
}
