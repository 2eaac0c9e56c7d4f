//! Events: places in a stream's order, with the emulated time at which they were reached.

use super::capture::Capture;
use super::command::Command;
use super::context::{Context, current};
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::queue::Completion;
use super::state::driver;
use super::stream::{Stream, is_legacy, resolve};
use std::ffi::c_uint;
use std::sync::{Arc, Mutex};

/// What an event stands for.
#[derive(Clone, Debug)]
enum State {
    /// Never recorded: complete, and no time.
    Fresh,
    /// A place in a stream's order.
    Recorded(Arc<Completion>),
    /// A place in a captured graph: these nodes.
    Captured(Arc<Capture>, Vec<usize>),
}

/// One event.
#[derive(Debug)]
pub struct Event {
    /// Its context.
    pub context: Arc<Context>,
    timing: bool,
    state: Mutex<State>,
}

impl Event {
    /// What a graph does when it records the event.
    pub fn reached(&self, time: u64) {
        *lock(&self.state) = State::Recorded(Completion::at(time));
    }

    /// The end that a caller may look at; `None` for an event that was never recorded.
    fn end(&self) -> Result<Option<Arc<Completion>>> {
        match &*lock(&self.state) {
            State::Fresh => Ok(None),
            State::Recorded(end) => Ok(Some(end.clone())),
            State::Captured(..) => Err(Code::CUDA_ERROR_CAPTURED_EVENT),
        }
    }

    /// The recorded time.
    fn time(&self) -> Result<u64> {
        let end = self.end()?.ok_or(Code::CUDA_ERROR_INVALID_HANDLE)?;
        ensure(self.timing, Code::CUDA_ERROR_INVALID_HANDLE)?;
        end.time().ok_or(Code::CUDA_ERROR_NOT_READY)
    }
}

/// `CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING`.
const FLAGS: c_uint = 0x3;
/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: c_uint = 0x2;
/// `CU_EVENT_INTERPROCESS`, which is not offered.
const INTERPROCESS: c_uint = 0x4;
/// `CU_EVENT_RECORD_EXTERNAL`, `CU_EVENT_WAIT_EXTERNAL`: a node of its own in a captured graph.
const EXTERNAL: c_uint = 0x1;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: c_uint) -> Code {
    guard("cuEventCreate", || {
        let (driver, context) = current()?;
        ensure(flags & INTERPROCESS == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
        ensure(!event.is_null() && flags & !FLAGS == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let timing = flags & DISABLE_TIMING == 0;
        let made = Event { context, timing, state: Mutex::new(State::Fresh) };
        // SAFETY: not null; valid, as the C caller must pass it.
        unsafe { store(event, driver.events.insert(Arc::new(made))) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> Code {
    guard("cuEventDestroy", || driver()?.events.remove(event).map(|_| ()))
}

fn record(event: Handle, stream: Handle, flags: c_uint) -> Result<()> {
    ensure(flags & !EXTERNAL == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
    let event = driver()?.events.get(event)?;
    let stream = resolve(stream)?;
    ensure(event.context.id == stream.context.id, Code::CUDA_ERROR_INVALID_HANDLE)?;
    stream.context.healthy()?;
    if flags == EXTERNAL {
        // Outside a capture this is an ordinary record.
        if let Some(leg) = &mut *lock(&stream.leg) {
            return leg.record(Command::Record(event));
        }
    } else if let Some(leg) = &*lock(&stream.leg) {
        *lock(&event.state) = State::Captured(leg.capture.clone(), leg.tail.clone());
        return Ok(());
    }
    if let Some(end) = stream.submit(Command::Marker)? {
        *lock(&event.state) = State::Recorded(end);
    }
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Code {
    guard("cuEventRecord", || record(event, stream, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecordWithFlags(event: Handle, stream: Handle, flags: c_uint) -> Code {
    guard("cuEventRecordWithFlags", || record(event, stream, flags))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> Code {
    guard("cuEventQuery", || {
        let event = driver()?.events.get(event)?;
        event.context.healthy()?;
        let end = event.end()?;
        let reached = end.is_none_or(|end| end.time().is_some());
        ensure(reached, Code::CUDA_ERROR_NOT_READY)?;
        event.context.healthy()
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> Code {
    guard("cuEventSynchronize", || {
        let event = driver()?.events.get(event)?;
        event.context.healthy()?;
        if let Some(end) = event.end()? {
            end.wait();
        }
        event.context.healthy()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(ms: *mut f32, start: Handle, end: Handle) -> Code {
    guard("cuEventElapsedTime", || {
        let driver = driver()?;
        let (start, end) = (driver.events.get(start)?, driver.events.get(end)?);
        start.context.healthy()?;
        ensure(start.context.id == end.context.id, Code::CUDA_ERROR_INVALID_HANDLE)?;
        let (from, to) = (start.time()?, end.time()?);
        let picoseconds = to as f64 - from as f64;
        // SAFETY: null or valid.
        unsafe { store(ms, (picoseconds / 1e9) as f32) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(ms: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: null or valid.
    unsafe { cuEventElapsedTime(ms, start, end) }
}

/// Makes a stream wait for captured nodes: it joins the capture.
fn join(stream: &Arc<Stream>, capture: &Arc<Capture>, nodes: &[usize]) -> Result<()> {
    let mut leg = lock(&stream.leg);
    match &mut *leg {
        None => *leg = Some(capture.join(stream, nodes)?),
        Some(leg) if Arc::ptr_eq(&leg.capture, capture) => {
            leg.tail.extend(nodes);
            leg.tail.sort_unstable();
            leg.tail.dedup();
        }
        Some(leg) => {
            leg.capture.spoil();
            capture.spoil();
            return Err(Code::CUDA_ERROR_STREAM_CAPTURE_MERGE);
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream_handle: Handle, event: Handle, flags: c_uint) -> Code {
    guard("cuStreamWaitEvent", || {
        ensure(flags & !EXTERNAL == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let (_, _) = current()?;
        let event = driver()?.events.get(event)?;
        let stream = resolve(stream_handle)?;
        let state = lock(&event.state).clone();
        match state {
            State::Fresh => Ok(()),
            State::Captured(capture, nodes) => {
                ensure(capture.is_active(), Code::CUDA_ERROR_CAPTURED_EVENT)?;
                ensure(!is_legacy(stream_handle), Code::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)?;
                join(&stream, &capture, &nodes)
            }
            State::Recorded(end) => {
                if let Some(leg) = &*lock(&stream.leg) {
                    // A captured graph cannot wait for work outside it.
                    leg.capture.spoil();
                    return Err(Code::CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
                }
                stream.submit_after(Command::Marker, vec![end]).map(|_| ())
            }
        }
    })
}
