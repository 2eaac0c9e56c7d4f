//! Streams, events, callbacks, capture, graphs: order, asynchrony, and the documented refusals. A host function that waits
//! stands for a long kernel, so that these tests need no kernel.

use crate::support::{device, on_emulator, timed};
use cudarc::driver::sys::{self, CUresult, CUstream};
use cudarc::driver::{DriverError, result};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NULL: CUstream = std::ptr::null_mut();

/// Holds a stream until it is opened.
#[derive(Default)]
struct Gate(AtomicBool);

impl Gate {
    extern "C" fn wait(gate: *mut c_void) {
        // SAFETY: every test's gate outlives its stream's work.
        let gate = unsafe { &*gate.cast::<Self>() };
        while !gate.0.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    fn close(&self, stream: CUstream) {
        let pointer = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: as above.
        unsafe { sys::cuLaunchHostFunc(stream, Some(Self::wait), pointer) }
            .result()
            .expect("enqueued");
    }

    fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn pinned(bytes: usize) -> *mut u8 {
    // SAFETY: a context is current.
    unsafe { result::malloc_host(bytes, 0) }.expect("memory").cast()
}

#[test]
fn work_is_done_later_and_in_order() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let mut buffer = stream.alloc_zeros::<u8>(4).expect("memory");
        let (gate, host) = (Gate::default(), pinned(4));
        stream.synchronize().expect("zeroed");
        gate.close(stream.cu_stream());
        let before = stream.record_event(None).expect("an event");
        // SAFETY: pinned memory of four bytes, alive to the end.
        unsafe {
            let source = std::slice::from_raw_parts(host, 4);
            host.write(1);
            stream.memcpy_htod(source, &mut buffer).expect("enqueued");
            // Pinned memory is read when the stream comes to the copy, not when the call is made.
            host.write(42);
            assert_eq!(sys::cuStreamQuery(stream.cu_stream()), CUresult::CUDA_ERROR_NOT_READY);
            assert!(!before.is_complete());
            // Allocation, and work in other streams, go on meanwhile.
            let other = context.new_stream().expect("a stream");
            let bytes = other.clone_htod(&[1_u8, 2, 3]).expect("a copy");
            assert_eq!(other.clone_dtoh(&bytes).expect("a copy"), [1, 2, 3]);
        }
        gate.open();
        assert_eq!(stream.clone_dtoh(&buffer).expect("a copy")[0], 42);
        assert!(before.is_complete());
    });
}

#[test]
fn a_pageable_source_is_taken_at_once() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let mut buffer = stream.alloc_zeros::<u8>(3).expect("memory");
        let gate = Gate::default();
        gate.close(stream.cu_stream());
        let mut source = vec![1_u8, 2, 3];
        stream.memcpy_htod(&source, &mut buffer).expect("enqueued");
        source.fill(9);
        gate.open();
        assert_eq!(stream.clone_dtoh(&buffer).expect("a copy"), [1, 2, 3]);
    });
}

#[test]
fn the_legacy_stream_waits_for_blocking_streams_only() {
    on_emulator(&[], || {
        let context = device();
        let (mut blocking, mut free) = (NULL, NULL);
        let (gate, other) = (Gate::default(), Gate::default());
        // SAFETY: valid output pointers; gates outlive the streams' work.
        unsafe {
            sys::cuStreamCreate(&mut blocking, 0).result().expect("a stream");
            sys::cuStreamCreate(&mut free, 1).result().expect("a stream");
            other.close(free);
            gate.close(blocking);
            let mut event = std::ptr::null_mut();
            sys::cuEventCreate(&mut event, 2).result().expect("an event");
            sys::cuEventRecord(event, NULL).result().expect("recorded");
            assert_eq!(sys::cuEventQuery(event), CUresult::CUDA_ERROR_NOT_READY);
            // What follows in a blocking stream comes after the legacy stream's work.
            let mut third = NULL;
            sys::cuStreamCreate(&mut third, 0).result().expect("a stream");
            let mut after = std::ptr::null_mut();
            sys::cuEventCreate(&mut after, 2).result().expect("an event");
            sys::cuEventRecord(after, third).result().expect("recorded");
            assert_eq!(sys::cuEventQuery(after), CUresult::CUDA_ERROR_NOT_READY);
            gate.open();
            sys::cuEventSynchronize(after).result().expect("reached");
            sys::cuEventQuery(event).result().expect("reached");
            assert_eq!(sys::cuStreamQuery(free), CUresult::CUDA_ERROR_NOT_READY);
            other.open();
            context.synchronize().expect("done");
            assert_eq!(sys::cuStreamDestroy_v2(NULL), CUresult::CUDA_ERROR_INVALID_HANDLE);
            sys::cuStreamDestroy_v2(blocking).result().expect("destroyed");
            assert_eq!(sys::cuStreamDestroy_v2(blocking), CUresult::CUDA_ERROR_INVALID_HANDLE);
            assert_eq!(sys::cuStreamSynchronize(blocking), CUresult::CUDA_ERROR_INVALID_HANDLE);
            assert_eq!(sys::cuEventRecord(event, blocking), CUresult::CUDA_ERROR_INVALID_HANDLE);
        }
    });
}

#[test]
fn streams_wait_for_events_of_other_streams() {
    on_emulator(&[], || {
        let context = device();
        let (a, b) =
            (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
        let gate = Gate::default();
        gate.close(a.cu_stream());
        let mut buffer = a.alloc_zeros::<u8>(1).expect("memory");
        a.memcpy_htod(&[7], &mut buffer).expect("enqueued");
        let copied = a.record_event(None).expect("an event");
        b.wait(&copied).expect("enqueued");
        let later = b.record_event(None).expect("an event");
        assert!(!later.is_complete());
        gate.open();
        later.synchronize().expect("reached");
        assert!(copied.is_complete());
    });
}

#[test]
fn event_times_are_the_cost_model_and_nothing_else() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let host = pinned(107_100);
        let mut buffer = stream.alloc_zeros::<u8>(107_100).expect("memory");
        let mut copy = |bytes: usize| {
            let start = timed(&stream);
            // SAFETY: within the pinned memory.
            let source = unsafe { std::slice::from_raw_parts(host, bytes) };
            stream.memcpy_htod(source, &mut buffer.slice_mut(..bytes)).expect("enqueued");
            std::thread::sleep(std::time::Duration::from_millis(2));
            start.elapsed_ms(&timed(&stream)).expect("both reached")
        };
        // 1 us a copy, and 53.55 GB/s over PCIe 5 x16.
        assert!((copy(53_550) - 0.002).abs() < 1e-9);
        assert!((copy(107_100) - 0.003).abs() < 1e-9);
        assert!((copy(53_550) - 0.002).abs() < 1e-9, "whatever came before");
        let untimed = stream.record_event(None).expect("an event");
        let invalid = Err(DriverError(CUresult::CUDA_ERROR_INVALID_HANDLE));
        assert_eq!(timed(&stream).elapsed_ms(&untimed).map(drop), invalid);
        let gate = Gate::default();
        gate.close(stream.cu_stream());
        let (start, mut event, mut ms) = (timed(&stream), std::ptr::null_mut(), 0.0);
        // SAFETY: valid output pointers.
        unsafe {
            let not_ready = sys::cuEventElapsedTime_v2(&mut ms, start.cu_event(), start.cu_event());
            assert_eq!(not_ready, CUresult::CUDA_ERROR_NOT_READY);
            sys::cuEventCreate(&mut event, 0).result().expect("an event");
            let fresh = sys::cuEventElapsedTime_v2(&mut ms, event, event);
            assert_eq!(fresh, CUresult::CUDA_ERROR_INVALID_HANDLE, "never recorded");
            sys::cuEventQuery(event).result().expect("an event never recorded is complete");
            sys::cuEventDestroy_v2(event).result().expect("destroyed");
            assert_eq!(sys::cuEventDestroy_v2(event), CUresult::CUDA_ERROR_INVALID_HANDLE);
        }
        gate.open();
        stream.synchronize().expect("done");
    });
}

#[test]
fn a_host_function_must_not_call_the_driver() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn call(_: *mut c_void) {
            let (mut free, mut total) = (0, 0);
            // SAFETY: valid output pointers.
            let code = unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) };
            SEEN.store(code as usize, Ordering::SeqCst);
        }
        // SAFETY: the function takes nothing.
        unsafe { sys::cuLaunchHostFunc(stream.cu_stream(), Some(call), std::ptr::null_mut()) }
            .result()
            .expect("enqueued");
        stream.synchronize().expect("done");
        assert_eq!(SEEN.load(Ordering::SeqCst), CUresult::CUDA_ERROR_NOT_PERMITTED as usize);
    });
}

/// Random operations in random streams, chained by events, against the same operations on the host's own bytes.
#[test]
fn chained_work_of_many_streams_is_the_same_as_in_one() {
    const BYTES: usize = 4096;
    on_emulator(&[], || {
        let context = device();
        let streams: Vec<_> = (0..4).map(|_| context.new_stream().expect("a stream")).collect();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        println!("seed {seed:#x}");
        let mut random = |below: usize| {
            // xorshift64*: Vigna 2016.
            seed ^= seed >> 12;
            seed ^= seed << 25;
            seed ^= seed >> 27;
            (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
        };
        let host: Vec<u8> = (0..BYTES).map(|_| random(256) as u8).collect();
        let source = pinned(BYTES);
        // SAFETY: a context is current; pinned memory of this length.
        let device = unsafe {
            source.copy_from_nonoverlapping(host.as_ptr(), BYTES);
            result::malloc_sync(BYTES).expect("memory")
        };
        let mut model = vec![0xCD_u8; BYTES];
        let mut before: Option<cudarc::driver::CudaEvent> = None;
        for step in 0..400 {
            let stream = &streams[random(streams.len())];
            if let Some(event) = &before {
                stream.wait(event).expect("enqueued");
            }
            let (a, b) = (random(BYTES / 2), BYTES / 2 + random(BYTES / 2));
            let bytes = random(BYTES / 2 - a.max(b - BYTES / 2)) + 1;
            let (from, to) = if random(2) == 0 { (a, b) } else { (b, a) };
            let (handle, address) = (stream.cu_stream(), |offset: usize| device + offset as u64);
            // SAFETY: ranges inside the buffers.
            unsafe {
                match random(3) {
                    0 => {
                        let source = std::slice::from_raw_parts(source.add(from), bytes);
                        result::memcpy_htod_async(address(to), source, handle).expect("enqueued");
                        model[to..to + bytes].copy_from_slice(&host[from..from + bytes]);
                    }
                    1 => {
                        result::memcpy_dtod_async(address(to), address(from), bytes, handle)
                            .expect("enqueued");
                        model.copy_within(from..from + bytes, to);
                    }
                    _ => {
                        let value = step as u8;
                        result::memset_d8_async(address(to), value, bytes, handle)
                            .expect("enqueued");
                        model[to..to + bytes].fill(value);
                    }
                }
            }
            before = Some(stream.record_event(None).expect("an event"));
        }
        context.synchronize().expect("done");
        let mut out = vec![0_u8; BYTES];
        // SAFETY: the destination is that long.
        unsafe { result::memcpy_dtoh_sync(&mut out, device) }.expect("a copy");
        assert!(
            out == model,
            "first difference at {:?}",
            out.iter().zip(&model).position(|(a, b)| a != b)
        );
    });
}
