//! The capture calls.

use super::capture::{exchange_mode, status};
use super::error::{Code, ensure, guard, store};
use super::graph::Graph;
use super::handle::Handle;
use super::state::driver;
use super::stream::{is_legacy, resolve};
use std::ffi::c_uint;
use std::sync::Arc;

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(handle: Handle, mode: c_uint) -> Code {
    guard("cuStreamBeginCapture", || {
        let driver = driver()?;
        ensure(!is_legacy(handle), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
        driver.captures.begin(&resolve(handle)?, mode)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(handle: Handle, graph: *mut Handle) -> Code {
    guard("cuStreamEndCapture", || {
        let driver = driver()?;
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(graph, std::ptr::null_mut()) }?;
        let stream = resolve(handle)?;
        let nodes = driver.captures.end(&stream)?;
        let made = Graph { context: stream.context.clone(), nodes };
        // SAFETY: not null, as checked above.
        unsafe { store(graph, driver.graphs.insert(Arc::new(made))) }
    })
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
        let before = exchange_mode(unsafe { mode.read() })?;
        // SAFETY: not null and valid.
        unsafe { store(mode, before) }
    })
}
