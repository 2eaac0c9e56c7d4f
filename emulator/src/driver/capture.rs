//! Stream capture: work that is recorded into a graph instead of being done.

use super::command::Command;
use super::context::Context;
use super::error::{Code, Result, ensure};
use super::graph::Node;
use super::handle::lock;
use super::stream::{Order, Stream};
use std::cell::Cell;
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
    fn new(number: u32) -> Result<Self> {
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
            capture.context == context.id && live.any(|s| s.order == Order::Blocking)
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

impl Captures {
    /// Starts a capture on a stream.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for an unknown mode, `CUDA_ERROR_ILLEGAL_STATE` on a stream that captures already.
    pub fn begin(&self, stream: &Arc<Stream>, mode: u32) -> Result<()> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let mode = Mode::new(mode)?;
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
        lock(&self.0).push(capture.clone());
        *leg = Some(capture.join(stream, &[])?);
        Ok(())
    }

    /// Ends the capture that a stream started; its operations.
    ///
    /// # Errors
    /// `CUDA_ERROR_ILLEGAL_STATE` where none is in progress, and the `CUDA_ERROR_STREAM_CAPTURE_*` that say what is wrong
    /// with this one.
    pub fn end(&self, stream: &Stream) -> Result<Vec<Node>> {
        let leg = lock(&stream.leg).clone().ok_or(Code::CUDA_ERROR_ILLEGAL_STATE)?;
        let capture = &leg.capture;
        ensure(capture.origin == stream.id, Code::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)?;
        let same_thread = capture.thread == std::thread::current().id();
        let allowed = same_thread || capture.mode == Mode::Relaxed;
        ensure(allowed, Code::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD)?;
        lock(&self.0).retain(|other| other.id != capture.id);
        capture.end(&leg)
    }
}

/// `CU_STREAM_CAPTURE_STATUS_NONE`, `_ACTIVE`, `_INVALIDATED`, and the capture's number.
#[must_use]
pub fn status(stream: &Stream) -> (u32, u64) {
    match &*lock(&stream.leg) {
        None => (0, 0),
        Some(leg) => (if leg.capture.intact().is_ok() { 1 } else { 2 }, leg.capture.id),
    }
}

/// Changes the thread's own mode; the one before.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for an unknown mode.
pub fn exchange_mode(mode: u32) -> Result<u32> {
    Ok(MODE.replace(Mode::new(mode)?) as u32)
}
