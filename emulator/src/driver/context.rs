//! Contexts: primary and own, the stack of each thread, and the sticky error that ends one.

use super::command::Command;
use super::cost::Picoseconds;
use super::device::Device;
use super::error::{Code, Result, catch, ensure};
use super::handle::{Handle, lock};
use super::queue::{Completion, Queue};
use super::settings::Settings;
use super::state::{Driver, driver};
use super::stream::{Order, Stream};
use cudarc::driver::sys::CUcomputemode_enum as ComputeMode;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::ThreadId;

/// Streams that order themselves with the legacy default stream, and the streams that do not.
#[derive(Default)]
struct Queues {
    blocking: Vec<Weak<Queue>>,
    others: Vec<Weak<Queue>>,
    per_thread: HashMap<ThreadId, Arc<Stream>>,
}

/// One context.
pub struct Context {
    /// Its number, unique in the process (`cuCtxGetId`).
    pub id: u64,
    /// Its device.
    pub device: &'static Device,
    /// `CU_CTX_*` flags.
    pub flags: AtomicU32,
    /// Limits set by `cuCtxSetLimit`.
    pub limits: Mutex<HashMap<u32, usize>>,
    /// Raised to stop running kernels.
    pub cancel: AtomicBool,
    /// The legacy default stream.
    pub legacy: Arc<Queue>,
    queues: Mutex<Queues>,
    failure: OnceLock<Code>,
    destroyed: AtomicBool,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.id)
    }
}

impl Context {
    /// A fresh context, with its handle.
    ///
    /// # Errors
    /// `CUDA_ERROR_DEVICE_UNAVAILABLE` on a device that was lost or that another process holds (fault `busy`);
    /// `CUDA_ERROR_UNKNOWN` where the compute mode prohibits contexts, as documented.
    pub fn create(
        driver: &Driver,
        device: &'static Device,
        flags: u32,
    ) -> Result<(Handle, Arc<Self>)> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let Settings { compute_mode, faults, .. } = &driver.settings;
        let prohibited = *compute_mode == ComputeMode::CU_COMPUTEMODE_PROHIBITED;
        ensure(!prohibited, Code::CUDA_ERROR_UNKNOWN)?;
        let busy = faults.next_context_is_refused() || device.lost.load(Ordering::SeqCst);
        ensure(!busy, Code::CUDA_ERROR_DEVICE_UNAVAILABLE)?;
        let context = Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::SeqCst),
            device,
            flags: AtomicU32::new(flags),
            limits: Mutex::default(),
            cancel: AtomicBool::new(false),
            legacy: Queue::new(),
            queues: Mutex::default(),
            failure: OnceLock::new(),
            destroyed: AtomicBool::new(false),
        });
        Ok((driver.contexts.insert(context.clone()), context))
    }

    /// Refuses a context that failed or was destroyed.
    ///
    /// # Errors
    /// The sticky error, or `CUDA_ERROR_CONTEXT_IS_DESTROYED`.
    pub fn healthy(&self) -> Result<()> {
        ensure(!self.destroyed.load(Ordering::SeqCst), Code::CUDA_ERROR_CONTEXT_IS_DESTROYED)?;
        self.failure.get().map_or(Ok(()), |code| Err(*code))
    }

    /// Ends the context with a sticky error: nothing runs in it any more.
    pub fn fail(&self, code: Code) {
        // The first error wins: the later ones follow from it.
        let _ = self.failure.set(code);
        self.cancel.store(true, Ordering::SeqCst);
    }

    /// Carries a command out, unless the context has failed; returns its duration with the fixed cost.
    pub fn execute(self: &Arc<Self>, command: &Command, start: Picoseconds) -> Picoseconds {
        if let Some(code) = self.failure.get() {
            command.skip(self, *code);
            return 0;
        }
        let duration = catch("a stream's work", || command.run(self, start));
        duration.unwrap_or_else(|code| {
            self.fail(code);
            0
        }) + command.overhead()
    }

    /// A new stream's queue; `blocking` ones order themselves with the legacy default stream.
    #[must_use]
    pub fn add_queue(&self, blocking: bool) -> Arc<Queue> {
        let queue = Queue::new();
        let mut queues = lock(&self.queues);
        let list = if blocking { &mut queues.blocking } else { &mut queues.others };
        list.retain(|queue| queue.strong_count() > 0);
        list.push(Arc::downgrade(&queue));
        queue
    }

    /// The calling thread's default stream (`CU_STREAM_PER_THREAD`).
    #[must_use]
    pub fn per_thread(self: &Arc<Self>) -> Arc<Stream> {
        let thread = std::thread::current().id();
        if let Some(stream) = lock(&self.queues).per_thread.get(&thread) {
            return stream.clone();
        }
        let stream = Arc::new(Stream::new(self.clone(), Order::Blocking, 0));
        lock(&self.queues).per_thread.insert(thread, stream.clone());
        stream
    }

    /// Hands work to the legacy default stream: after all work of the blocking streams.
    pub fn submit_legacy(
        self: &Arc<Self>,
        command: Arc<Command>,
        mut after: Vec<Arc<Completion>>,
    ) -> Arc<Completion> {
        let queues = lock(&self.queues);
        after.extend(queues.blocking.iter().filter_map(Weak::upgrade).map(|queue| queue.last()));
        self.legacy.submit(self, command, after)
    }

    /// Hands work to a blocking stream: after all work of the legacy default stream.
    pub fn submit_blocking(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        command: Arc<Command>,
        mut after: Vec<Arc<Completion>>,
    ) -> Arc<Completion> {
        // Held so that no legacy work slips in between the look at its queue and the submission.
        let _order = lock(&self.queues);
        after.push(self.legacy.last());
        queue.submit(self, command, after)
    }

    /// Waits for all work of all streams.
    ///
    /// # Errors
    /// The sticky error that the work left.
    pub fn synchronize(&self) -> Result<()> {
        let ends: Vec<_> = {
            let queues = lock(&self.queues);
            let all = queues.blocking.iter().chain(&queues.others);
            all.filter_map(Weak::upgrade)
                .chain([self.legacy.clone()])
                .map(|queue| queue.last())
                .collect()
        };
        for end in ends {
            end.wait();
        }
        self.healthy()
    }

    /// Ends the context: waits for its work, then takes everything that belongs to it.
    pub fn destroy(&self, driver: &Driver) {
        // What the work left behind is of no interest any more.
        let _ = self.synchronize();
        self.destroyed.store(true, Ordering::SeqCst);
        let queues = std::mem::take(&mut *lock(&self.queues));
        for queue in queues.blocking.iter().chain(&queues.others).filter_map(Weak::upgrade) {
            queue.close();
        }
        self.legacy.close();
        driver.streams.remove_all(|stream| stream.context.id == self.id);
        driver.events.remove_all(|event| event.context.id == self.id);
        driver.functions.remove_all(|function| function.module.context_id == Some(self.id));
        for module in driver.modules.remove_all(|module| module.context_id == Some(self.id)) {
            module.unload(driver);
        }
        for region in driver.space.remove_context(self.id) {
            self.device.release(&region);
        }
    }
}

impl Driver {
    /// The handle of the context with a number.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_CONTEXT` where it is gone.
    pub fn context_handle(&self, id: u64) -> Result<Handle> {
        let handle = self.contexts.find(|context| context.id == id);
        handle.ok_or(Code::CUDA_ERROR_INVALID_CONTEXT)
    }
}

thread_local! {
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// The handle on top of the thread's stack; null where there is none.
#[must_use]
pub fn current_handle() -> Handle {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(std::ptr::null_mut()))
}

/// Makes a context current: replaces the top of the stack. Null pops.
pub fn set_current(handle: Handle) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        if !handle.is_null() {
            stack.push(handle);
        }
    });
}

/// Pushes a context.
pub fn push_current(handle: Handle) {
    STACK.with_borrow_mut(|stack| stack.push(handle));
}

/// Pops a context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` from an empty stack.
pub fn pop_current() -> Result<Handle> {
    STACK.with_borrow_mut(Vec::pop).ok_or(Code::CUDA_ERROR_INVALID_CONTEXT)
}

/// The current context, whatever its health.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` where none is current; `CUDA_ERROR_CONTEXT_IS_DESTROYED` where it is gone.
pub fn current_any() -> Result<(&'static Driver, Arc<Context>)> {
    let driver = driver()?;
    let handle = current_handle();
    ensure(!handle.is_null(), Code::CUDA_ERROR_INVALID_CONTEXT)?;
    let context = driver.contexts.get(handle).map_err(|_| Code::CUDA_ERROR_CONTEXT_IS_DESTROYED)?;
    Ok((driver, context))
}

/// The current context, fit for work.
///
/// # Errors
/// As [`current_any`], and the sticky error of a failed context.
pub fn current() -> Result<(&'static Driver, Arc<Context>)> {
    let (driver, context) = current_any()?;
    context.healthy()?;
    Ok((driver, context))
}
