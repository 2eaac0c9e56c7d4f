//! Stream capture: work that is recorded into a graph instead of being done.

use super::command::Command;
use super::context::Context;
use super::error::{Code, Result, ensure, guard, store};
use super::graph::{Graph, Node};
use super::handle::{Handle, lock};
use super::state::driver;
use super::stream::{Stream, is_legacy, resolve};
use std::cell::Cell;
use std::ffi::c_uint;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::ThreadId;

/// `CUstreamCaptureMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}

impl Mode {
    fn new(number: c_uint) -> Result<Self> {
        let modes = [Self::Global, Self::ThreadLocal, Self::Relaxed];
        modes.get(number as usize).copied().ok_or(Code::CUDA_ERROR_INVALID_VALUE)
    }
}

/// One capture sequence.
#[derive(Debug)]
pub struct Capture {
    id: u64,
    mode: Mode,
    thread: ThreadId,
    context: u64,
    origin: u64,
    nodes: Mutex<Vec<Node>>,
    streams: Mutex<Vec<Weak<Stream>>>,
    spoilt: AtomicBool,
    ended: AtomicBool,
}

/// One stream's part in a capture.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The capture.
    pub capture: Arc<Capture>,
    /// Nodes that the stream's next operation comes after.
    pub tail: Vec<usize>,
}

impl Leg {
    /// Records an operation.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_INVALIDATED` after an earlier error.
    pub fn record(&mut self, command: Command) -> Result<()> {
        self.capture.intact()?;
        let mut nodes = lock(&self.capture.nodes);
        nodes.push(Node { command: Arc::new(command), after: std::mem::take(&mut self.tail) });
        self.tail = vec![nodes.len() - 1];
        Ok(())
    }
}

impl Capture {
    /// Makes the rest of the capture fail.
    pub fn spoil(&self) {
        self.spoilt.store(true, Ordering::SeqCst);
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    fn intact(&self) -> Result<()> {
        ensure(!self.spoilt.load(Ordering::SeqCst), Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
    }

    /// Takes a further stream in, whose next operation comes after `nodes`.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_INVALIDATED` after an earlier error.
    pub fn join(self: &Arc<Self>, stream: &Arc<Stream>, nodes: &[usize]) -> Result<Leg> {
        self.intact()?;
        lock(&self.streams).push(Arc::downgrade(stream));
        Ok(Leg { capture: self.clone(), tail: nodes.to_vec() })
    }

    /// Whether `node` is, or comes before, one of `ends`.
    fn precedes(nodes: &[Node], node: usize, ends: &[usize]) -> bool {
        let mut open = ends.to_vec();
        while let Some(end) = open.pop() {
            if end == node {
                return true;
            }
            open.extend(nodes[end].after.iter().filter(|before| **before >= node));
        }
        false
    }

    /// Ends the capture: takes it off all streams, and returns the nodes if every stream has joined `origin`.
    fn end(&self, origin: &Leg) -> Result<Vec<Node>> {
        self.ended.store(true, Ordering::SeqCst);
        let nodes = std::mem::take(&mut *lock(&self.nodes));
        let streams = std::mem::take(&mut *lock(&self.streams));
        let legs: Vec<_> =
            streams.iter().filter_map(Weak::upgrade).filter_map(|s| lock(&s.leg).take()).collect();
        self.intact()?;
        let mut tails = legs.iter().flat_map(|leg| &leg.tail);
        let joined = tails.all(|tail| Self::precedes(&nodes, *tail, &origin.tail));
        ensure(joined, Code::CUDA_ERROR_STREAM_CAPTURE_UNJOINED)?;
        Ok(nodes)
    }
}

thread_local! {
    /// The thread's own mode (`cuThreadExchangeStreamCaptureMode`).
    static MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

/// All captures in progress.
#[derive(Debug, Default)]
pub struct Captures(Mutex<Vec<Arc<Capture>>>);

impl Captures {
    /// Refuses a potentially unsafe call while a capture forbids it, and spoils that capture, as documented for
    /// `cuThreadExchangeStreamCaptureMode`.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED`.
    pub fn refuse_unsafe_call(&self) -> Result<()> {
        let me = std::thread::current().id();
        let mine = MODE.get();
        let forbids = |capture: &&Arc<Capture>| match (mine, capture.mode) {
            (Mode::Relaxed, _) | (_, Mode::Relaxed) => false,
            (Mode::Global, Mode::Global) => true,
            _ => capture.thread == me,
        };
        self.refuse(forbids, Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
    }

    /// Refuses work in the legacy default stream while a stream of the context captures.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_IMPLICIT`.
    pub fn refuse_legacy_work(&self, context: &Context) -> Result<()> {
        let blocks = |capture: &&Arc<Capture>| {
            let streams = lock(&capture.streams);
            let mut live = streams.iter().filter_map(Weak::upgrade);
            capture.context == context.id && live.any(|s| s.order == super::stream::Order::Blocking)
        };
        self.refuse(blocks, Code::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
    }

    /// Refuses to wait for a context in which a stream captures.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED`.
    pub fn refuse_synchronization(&self, context: &Context) -> Result<()> {
        let code = Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        self.refuse(|capture| capture.context == context.id, code)
    }

    fn refuse(&self, forbids: impl FnMut(&&Arc<Capture>) -> bool, code: Code) -> Result<()> {
        let captures = lock(&self.0);
        let refusing: Vec<_> = captures.iter().filter(forbids).collect();
        refusing.iter().for_each(|capture| capture.spoil());
        ensure(refusing.is_empty(), code)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(handle: Handle, mode: c_uint) -> Code {
    guard("cuStreamBeginCapture", || {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let driver = driver()?;
        let mode = Mode::new(mode)?;
        ensure(!is_legacy(handle), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
        let stream = resolve(handle)?;
        stream.context.healthy()?;
        let mut leg = lock(&stream.leg);
        ensure(leg.is_none(), Code::CUDA_ERROR_ILLEGAL_STATE)?;
        let capture = Arc::new(Capture {
            id: IDS.fetch_add(1, Ordering::SeqCst),
            mode,
            thread: std::thread::current().id(),
            context: stream.context.id,
            origin: stream.id,
            nodes: Mutex::default(),
            streams: Mutex::default(),
            spoilt: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        lock(&driver.captures.0).push(capture.clone());
        *leg = Some(capture.join(&stream, &[])?);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(handle: Handle, graph: *mut Handle) -> Code {
    guard("cuStreamEndCapture", || {
        let driver = driver()?;
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(graph, std::ptr::null_mut()) }?;
        let stream = resolve(handle)?;
        let leg = lock(&stream.leg).clone().ok_or(Code::CUDA_ERROR_ILLEGAL_STATE)?;
        let capture = &leg.capture;
        ensure(capture.origin == stream.id, Code::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)?;
        let same_thread = capture.thread == std::thread::current().id();
        let allowed = same_thread || capture.mode == Mode::Relaxed;
        ensure(allowed, Code::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD)?;
        lock(&driver.captures.0).retain(|other| other.id != capture.id);
        let nodes = capture.end(&leg)?;
        let made = Graph { context: stream.context.clone(), nodes };
        // SAFETY: not null, as checked above.
        unsafe { store(graph, driver.graphs.insert(Arc::new(made))) }
    })
}

/// `CU_STREAM_CAPTURE_STATUS_NONE`, `_ACTIVE`, `_INVALIDATED`, and the capture's number.
fn status(stream: &Stream) -> (c_uint, u64) {
    match &*lock(&stream.leg) {
        None => (0, 0),
        Some(leg) => (if leg.capture.intact().is_ok() { 1 } else { 2 }, leg.capture.id),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(handle: Handle, answer: *mut c_uint) -> Code {
    guard("cuStreamIsCapturing", || {
        let stream = resolve(handle)?;
        if is_legacy(handle) {
            driver()?.captures.refuse_legacy_work(&stream.context)?;
        }
        // SAFETY: null or valid.
        unsafe { store(answer, status(&stream).0) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetCaptureInfo(
    handle: Handle,
    answer: *mut c_uint,
    id: *mut u64,
) -> Code {
    guard("cuStreamGetCaptureInfo", || {
        let (code, number) = status(&*resolve(handle)?);
        // SAFETY: null or valid.
        unsafe {
            store(answer, code)?;
            if !id.is_null() {
                store(id, number)?;
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetCaptureInfo_v2(
    handle: Handle,
    answer: *mut c_uint,
    id: *mut u64,
    graph: *mut Handle,
    dependencies: *mut *const Handle,
    dependency_count: *mut usize,
) -> Code {
    // SAFETY: null or valid.
    let code = unsafe { cuStreamGetCaptureInfo(handle, answer, id) };
    // A graph in the making and its nodes have no handles here.
    // SAFETY: not null, then valid.
    unsafe {
        if !graph.is_null() {
            graph.write(std::ptr::null_mut());
        }
        if !dependencies.is_null() {
            dependencies.write(std::ptr::null());
        }
        if !dependency_count.is_null() {
            dependency_count.write(0);
        }
    }
    code
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuThreadExchangeStreamCaptureMode(mode: *mut c_uint) -> Code {
    guard("cuThreadExchangeStreamCaptureMode", || {
        driver()?;
        ensure(!mode.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null and valid.
        let wanted = Mode::new(unsafe { mode.read() })?;
        let before = MODE.replace(wanted);
        // SAFETY: not null and valid.
        unsafe { store(mode, before as c_uint) }
    })
}
