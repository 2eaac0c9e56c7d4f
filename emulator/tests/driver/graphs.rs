//! Capture and graphs: what is recorded, replayed, and refused.

use crate::support::{device, on_emulator, timed};
use cudarc::driver::sys::{self, CUresult, CUstream, CUstreamCaptureMode as Mode};
use cudarc::driver::{DriverError, result};
use std::ffi::c_void;

const NULL: CUstream = std::ptr::null_mut();

fn code(outcome: Result<(), DriverError>) -> CUresult {
    outcome.map_or_else(|error| error.0, |()| CUresult::CUDA_SUCCESS)
}

fn pinned(bytes: usize) -> *mut u8 {
    // SAFETY: a context is current.
    unsafe { result::malloc_host(bytes, 0) }.expect("memory").cast()
}

#[test]
fn a_captured_graph_runs_as_often_as_it_is_launched() {
    on_emulator(&[], || {
        let context = device();
        let (stream, side) =
            (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
        let (host, bytes) = (pinned(1 << 20), 1 << 20);
        let mut a = stream.alloc_zeros::<u8>(bytes).expect("memory");
        let mut b = stream.alloc_zeros::<u8>(bytes).expect("memory");
        stream.synchronize().expect("zeroed");
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).expect("capture");
        // SAFETY: pinned memory, alive to the end.
        let source = unsafe { std::slice::from_raw_parts(host, bytes) };
        stream.memcpy_htod(source, &mut a).expect("captured");
        // Fork to another stream and join: two copies side by side.
        let fork = stream.record_event(None).expect("an event");
        side.wait(&fork).expect("joins the capture");
        side.memcpy_dtod(&a, &mut b).expect("captured");
        assert_eq!(
            side.capture_status().expect("status"),
            sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE
        );
        let join = side.record_event(None).expect("an event");
        stream.wait(&join).expect("joined");
        assert_eq!(code(stream.synchronize()), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(
            stream.end_capture(sys::CUgraphInstantiate_flags(0)).map(drop).map_err(|e| e.0),
            Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED),
            "spoilt by the synchronisation"
        );
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).expect("capture");
        stream.memcpy_htod(source, &mut a).expect("captured");
        stream.memcpy_dtod(&a, &mut b).expect("captured");
        let graph = stream
            .end_capture(sys::CUgraphInstantiate_flags(0))
            .expect("a graph")
            .expect("not empty");
        for value in [3, 4] {
            // SAFETY: no copy is under way.
            unsafe { host.write_bytes(value, bytes) };
            assert!(
                stream
                    .clone_dtoh(&b)
                    .expect("a copy")
                    .iter()
                    .all(|&byte| byte == value - 3 || value == 4),
                "not yet run"
            );
            let start = timed(&stream);
            graph.launch().expect("launched");
            let ms = start.elapsed_ms(&timed(&stream)).expect("reached");
            assert!(stream.clone_dtoh(&b).expect("a copy").iter().all(|&byte| byte == value));
            // 2 us the launch, 1 us a node, 1 MiB at 53.55 GB/s, 2 MiB at 3350 GB/s.
            let expected = 0.002 + 0.002 + 1048576.0 / 53.55e6 + 2097152.0 / 3350e6;
            assert!((f64::from(ms) - expected).abs() < 1e-6, "{ms} ms, not {expected}");
        }
    });
}

#[test]
fn capture_refuses_what_is_documented() {
    on_emulator(&[], || {
        let context = device();
        let (stream, other) =
            (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
        let end = |stream: CUstream| {
            let mut graph = std::ptr::null_mut();
            // SAFETY: a valid output pointer.
            let code = unsafe { sys::cuStreamEndCapture(stream, &mut graph) };
            assert_eq!(code == CUresult::CUDA_SUCCESS, !graph.is_null());
            code
        };
        // SAFETY: valid output pointers; streams outlive the test.
        let begin = |stream, mode| unsafe { sys::cuStreamBeginCapture_v2(stream, mode) };
        let (s, o) = (stream.cu_stream(), other.cu_stream());
        assert_eq!(
            begin(NULL, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        );
        assert_eq!(end(s), CUresult::CUDA_ERROR_ILLEGAL_STATE);

        // An unsafe call during a global capture, from another thread; not during a thread-local one.
        let allocate = || {
            let context = context.clone();
            let thread = std::thread::spawn(move || {
                context.bind_to_thread().expect("current");
                // SAFETY: a context is current.
                unsafe { result::malloc_sync(16) }.map(drop).map_err(|error| error.0)
            });
            thread.join().expect("the thread")
        };
        begin(s, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL).result().expect("capture");
        assert_eq!(allocate(), Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
        assert_eq!(end(s), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        begin(s, Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).result().expect("capture");
        assert_eq!(allocate(), Ok(()));
        // SAFETY: a context is current.
        let mine = unsafe { result::malloc_sync(16) }.map_err(|error| error.0);
        assert_eq!(mine, Err(CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
        assert_eq!(end(s), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        begin(s, Mode::CU_STREAM_CAPTURE_MODE_RELAXED).result().expect("capture");
        // SAFETY: as above.
        unsafe { result::malloc_sync(16) }.expect("relaxed");
        assert_eq!(
            begin(s, Mode::CU_STREAM_CAPTURE_MODE_RELAXED),
            CUresult::CUDA_ERROR_ILLEGAL_STATE
        );
        assert_eq!(end(s), CUresult::CUDA_SUCCESS);

        // Work that nobody joined, the wrong stream, the wrong thread.
        begin(s, Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).result().expect("capture");
        let fork = stream.record_event(None).expect("an event");
        other.wait(&fork).expect("joins the capture");
        assert_eq!(end(o), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
        let address = s as usize;
        let wrong = std::thread::spawn(move || {
            let mut graph = std::ptr::null_mut();
            // SAFETY: a valid output pointer.
            unsafe { sys::cuStreamEndCapture(address as CUstream, &mut graph) }
        });
        assert_eq!(
            wrong.join().expect("the thread"),
            CUresult::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD
        );
        extern "C" fn nothing(_: *mut c_void) {}
        // SAFETY: the function takes nothing.
        unsafe { sys::cuLaunchHostFunc(o, Some(nothing), std::ptr::null_mut()) }
            .result()
            .expect("captured");
        assert_eq!(end(s), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
        // The event was recorded in a capture that is over.
        assert_eq!(code(fork.synchronize()), CUresult::CUDA_ERROR_CAPTURED_EVENT);
        // Work from outside cannot enter.
        let outside = other.record_event(None).expect("an event");
        begin(s, Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).result().expect("capture");
        // SAFETY: live handles.
        let isolated = unsafe { sys::cuStreamWaitEvent(s, outside.cu_event(), 0) };
        assert_eq!(isolated, CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        assert_eq!(end(s), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

        // The legacy stream would depend on a blocking stream that captures.
        let mut blocking = NULL;
        // SAFETY: a valid output pointer.
        unsafe { sys::cuStreamCreate(&mut blocking, 0) }.result().expect("a stream");
        begin(blocking, Mode::CU_STREAM_CAPTURE_MODE_RELAXED).result().expect("capture");
        // SAFETY: the function takes nothing.
        let implicit = unsafe { sys::cuLaunchHostFunc(NULL, Some(nothing), std::ptr::null_mut()) };
        assert_eq!(implicit, CUresult::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
        assert_eq!(end(blocking), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    });
}

#[test]
fn a_graph_that_uses_freed_memory_fails() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).expect("capture");
        // SAFETY: inside the allocation.
        unsafe { result::memset_d8_async(address, 1, 16, stream.cu_stream()) }.expect("captured");
        let flags = sys::CUgraphInstantiate_flags(0);
        let graph = stream.end_capture(flags).expect("a graph").expect("not empty");
        graph.launch().expect("a launch");
        stream.synchronize().expect("the memory lives");
        // SAFETY: allocated above.
        unsafe { result::free_sync(address) }.expect("freed");
        graph.launch().expect("the launch itself is fine");
        assert_eq!(code(stream.synchronize()), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        std::mem::forget((graph, stream, context));
    });
}
