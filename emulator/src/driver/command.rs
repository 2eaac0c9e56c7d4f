//! Work that streams and graphs carry out: one type for both, so that a captured operation is the operation itself.

use super::context::Context;
use super::copy::{Copy, Fill};
use super::cost::Picoseconds;
use super::error::{Code, Result};
use super::event::Event;
use super::graph::GraphExec;
use super::launch::Launch;
use super::region::Region;
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

/// `CUhostFn`.
pub type HostFunction = unsafe extern "C" fn(*mut c_void);
/// `CUstreamCallback`.
pub type StreamCallback = unsafe extern "C" fn(*mut c_void, Code, *mut c_void);

/// A pointer of the caller's, handed back to the caller's own function.
#[derive(Clone, Copy, Debug)]
pub struct UserData(pub *mut c_void);

// SAFETY: the pointer is only passed on; what the caller's function does with it on our thread is its contract.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

/// Work of a library that is built on the driver, as a kernel of its own would be.
pub trait Work: std::fmt::Debug + Send + Sync {
    /// Does it; returns its duration without the fixed cost of a launch.
    ///
    /// # Errors
    /// The code that the context fails with.
    fn run(&self, context: &Context) -> Result<Picoseconds>;
}

/// One operation.
#[derive(Debug)]
pub enum Command {
    /// Nothing: holds a place in the order.
    Marker,
    /// A kernel.
    Launch(Launch),
    /// A library's kernel.
    Work(Box<dyn Work>),
    /// A copy.
    Copy(Copy),
    /// A fill.
    Fill(Fill),
    /// A function of the program's (`cuLaunchHostFunc`); not called after an error.
    Host(HostFunction, UserData),
    /// A function of the program's (`cuStreamAddCallback`); called with the stream and the error, too.
    Callback(StreamCallback, UserData, UserData),
    /// The end of a stream-ordered allocation.
    Free(Arc<Region>),
    /// An event that a graph records (`CU_EVENT_RECORD_EXTERNAL`).
    Record(Arc<Event>),
    /// A graph.
    Graph(Arc<GraphExec>),
}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a function that the program gave to a stream; such a function must not call the driver.
#[must_use]
pub fn in_callback() -> bool {
    IN_CALLBACK.get()
}

fn as_callback(call: impl FnOnce()) {
    IN_CALLBACK.set(true);
    call();
    IN_CALLBACK.set(false);
}

impl Command {
    /// Carries the operation out; returns its duration without the fixed cost of its kind.
    ///
    /// # Errors
    /// The code that the context fails with: asynchronous errors are sticky.
    pub fn run(&self, context: &Arc<Context>, start: Picoseconds) -> Result<Picoseconds> {
        match self {
            Self::Marker => Ok(0),
            Self::Launch(launch) => launch.run(context, start),
            Self::Work(work) => work.run(context),
            Self::Copy(copy) => copy.run(context),
            Self::Fill(fill) => fill.run(context),
            Self::Host(function, data) => {
                // SAFETY: the program gave this function for this pointer.
                as_callback(|| unsafe { function(data.0) });
                Ok(0)
            }
            Self::Callback(function, stream, data) => {
                // SAFETY: as above.
                as_callback(|| unsafe { function(stream.0, Code::CUDA_SUCCESS, data.0) });
                Ok(0)
            }
            Self::Free(region) => {
                context.device.release(region);
                Ok(0)
            }
            Self::Record(event) => {
                event.reached(start);
                Ok(0)
            }
            Self::Graph(graph) => graph.run(context, start),
        }
    }

    /// What still happens when the context has failed and nothing is carried out any more.
    pub fn skip(&self, context: &Context, code: Code) {
        match self {
            Self::Callback(function, stream, data) => {
                // SAFETY: the program gave this function for this pointer.
                as_callback(|| unsafe { function(stream.0, code, data.0) });
            }
            Self::Free(region) => context.device.release(region),
            _ => {}
        }
    }

    /// The fixed cost outside a graph.
    #[must_use]
    pub fn overhead(&self) -> Picoseconds {
        match self {
            Self::Launch(_) | Self::Work(_) | Self::Graph(_) => super::cost::LAUNCH,
            Self::Copy(_) | Self::Fill(_) => super::cost::COPY,
            _ => 0,
        }
    }

    /// The fixed cost inside a graph.
    #[must_use]
    pub fn graph_overhead(&self) -> Picoseconds {
        self.overhead().min(super::cost::GRAPH_NODE)
    }
}
