//! Graphs: captured work, instantiated and launched as one piece.
//!
//! Graphs come from stream capture; building one node by node is not offered. Nodes run in the order of capture, which
//! every dependency agrees with; the emulated time is that of the longest path.

use super::command::Command;
use super::context::Context;
use super::cost::Picoseconds;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::queue::Completion;
use super::state::driver;
use super::stream::{refuse_while_capturing, resolve};
use std::ffi::{c_char, c_uint};
use std::sync::{Arc, Mutex};

/// One operation of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub command: Arc<Command>,
    /// Which nodes it comes after; all have lower numbers.
    pub after: Vec<usize>,
}

/// A graph.
#[derive(Debug)]
pub struct Graph {
    /// The context it was captured in.
    pub context: Arc<Context>,
    /// Its operations.
    pub nodes: Vec<Node>,
}

/// An executable graph.
#[derive(Debug)]
pub struct GraphExec {
    context: Arc<Context>,
    nodes: Vec<Node>,
    flags: u64,
    /// The end of its last launch: an executable graph runs once at a time.
    last: Mutex<Arc<Completion>>,
}

impl GraphExec {
    /// Runs all nodes; returns the length of the longest path.
    ///
    /// # Errors
    /// The first node's error; the rest does not run.
    pub fn run(&self, context: &Arc<Context>, start: Picoseconds) -> Result<Picoseconds> {
        let mut ends: Vec<Picoseconds> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let begin = node.after.iter().map(|&before| ends[before]).max().unwrap_or(start);
            let duration = node.command.run(context, begin)?;
            ends.push(begin + duration + node.command.graph_overhead());
        }
        Ok(ends.into_iter().max().unwrap_or(start) - start)
    }
}

/// `CUDA_GRAPH_INSTANTIATE_FLAG_*`: auto-free (1), upload (2), device launch (4), use node priority (8).
const FLAGS: u64 = 0xf;
/// `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`, which is not offered.
const DEVICE_LAUNCH: u64 = 4;

fn instantiate(exec: *mut Handle, graph: Handle, flags: u64) -> Result<()> {
    let driver = driver()?;
    let graph = driver.graphs.get(graph)?;
    graph.context.healthy()?;
    ensure(!exec.is_null() && flags & !FLAGS == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
    ensure(flags & DEVICE_LAUNCH == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
    let made = GraphExec {
        context: graph.context.clone(),
        nodes: graph.nodes.clone(),
        flags,
        last: Mutex::new(Completion::past()),
    };
    // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
    unsafe { store(exec, driver.execs.insert(Arc::new(made))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(
    exec: *mut Handle,
    graph: Handle,
    flags: u64,
) -> Code {
    guard("cuGraphInstantiateWithFlags", || instantiate(exec, graph, flags))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiate_v2(
    exec: *mut Handle,
    graph: Handle,
    _error_node: *mut Handle,
    _log: *mut c_char,
    _log_bytes: usize,
) -> Code {
    guard("cuGraphInstantiate", || instantiate(exec, graph, 0))
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
pub struct InstantiateParams {
    flags: u64,
    upload_stream: Handle,
    error_node: Handle,
    result: c_uint,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithParams(
    exec: *mut Handle,
    graph: Handle,
    params: *mut InstantiateParams,
) -> Code {
    /// `CUDA_GRAPH_INSTANTIATE_SUCCESS`.
    const SUCCESS: c_uint = 0;
    guard("cuGraphInstantiateWithParams", || {
        ensure(!params.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null and valid.
        let params = unsafe { &mut *params };
        instantiate(exec, graph, params.flags)?;
        params.error_node = std::ptr::null_mut();
        params.result = SUCCESS;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphUpload(exec: Handle, stream: Handle) -> Code {
    guard("cuGraphUpload", || {
        driver()?.execs.get(exec)?;
        let stream = resolve(stream)?;
        refuse_while_capturing(&stream)?;
        stream.submit(Command::Marker).map(|_| ())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(exec: Handle, stream: Handle) -> Code {
    guard("cuGraphLaunch", || {
        let exec = driver()?.execs.get(exec)?;
        let stream = resolve(stream)?;
        ensure(exec.context.id == stream.context.id, Code::CUDA_ERROR_INVALID_VALUE)?;
        let mut last = lock(&exec.last);
        let after = vec![last.clone()];
        if let Some(end) = stream.submit_after(Command::Graph(exec.clone()), after)? {
            *last = end;
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphExecGetFlags(exec: Handle, flags: *mut u64) -> Code {
    // SAFETY: null or valid.
    guard("cuGraphExecGetFlags", || unsafe { store(flags, driver()?.execs.get(exec)?.flags) })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(exec: Handle) -> Code {
    guard("cuGraphExecDestroy", || driver()?.execs.remove(exec).map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: Handle) -> Code {
    guard("cuGraphDestroy", || driver()?.graphs.remove(graph).map(|_| ()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphGetNodes(graph: Handle, nodes: *mut Handle, count: *mut usize) -> Code {
    guard("cuGraphGetNodes", || {
        let graph = driver()?.graphs.get(graph)?;
        // Handles of single nodes are not offered; their number is.
        ensure(nodes.is_null(), Code::CUDA_ERROR_NOT_SUPPORTED)?;
        // SAFETY: null or valid.
        unsafe { store(count, graph.nodes.len()) }
    })
}
