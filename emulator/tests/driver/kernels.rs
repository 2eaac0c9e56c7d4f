//! Kernels through the driver: launch, asynchrony, shared memory, clusters, graphs, and what a bad launch is told.

use crate::ptx::{CONTROL, SCALE};
use crate::support::{device, kernel, on_emulator, one_block};
use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{LaunchConfig, PushKernelArg, result};
use cudarc::nvrtc::Ptx;
use std::ffi::c_void;

const INVALID: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

fn scaled(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.5 - 3.0).collect()
}

#[test]
fn a_kernel_computes_and_its_time_follows_its_counters() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let scale = kernel(&context, SCALE, "scale");
        let n = 1000;
        let x = stream.clone_htod(&scaled(n)).expect("a copy");
        let mut y = stream.alloc_zeros::<f32>(n + 1).expect("memory");
        let timed = Some(CUevent_flags::CU_EVENT_DEFAULT);
        let start = stream.record_event(timed).expect("an event");
        let config =
            LaunchConfig { grid_dim: (8, 1, 1), block_dim: (128, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are the kernel's.
        unsafe {
            stream
                .launch_builder(&scale)
                .arg(&mut y)
                .arg(&x)
                .arg(&3.0_f32)
                .arg(&(n as u32))
                .launch(config)
        }
        .expect("a launch");
        let end = stream.record_event(timed).expect("an event");
        let out = stream.clone_dtoh(&y).expect("a copy");
        for (i, value) in scaled(n).into_iter().enumerate() {
            assert_eq!(out[i], 3.0 * value, "element {i}");
        }
        assert_eq!(out[n], 0.0, "beyond the end");

        let mut text = vec![0_u8; 4096];
        // SAFETY: the symbol's signature; the buffer is as long as stated.
        let used = unsafe {
            let counters = sys::culib().get::<unsafe extern "C" fn(*mut i8, usize) -> usize>(
                b"hostdyno_emulator_counters\0",
            );
            counters.expect("exported")(text.as_mut_ptr().cast(), text.len())
        };
        let counters: serde_json::Value = serde_json::from_slice(&text[..used - 1]).expect("JSON");
        let count = |name: &str| counters[name].as_u64().expect(name) as f64;
        // 1000 words read and written, 8 a sector.
        assert_eq!((count("global_load_sectors"), count("global_store_sectors")), (125.0, 125.0));
        let model = (132.0 * 4.0 * 1.83e9, 3350e9);
        let expected = 2e-6 + (count("instructions") / model.0).max(250.0 * 32.0 / model.1);
        let ms = start.elapsed_ms(&end).expect("reached");
        assert!((f64::from(ms) / 1e3 - expected).abs() < 1e-11, "{ms} ms, not {expected} s");
    });
}

#[test]
fn arguments_can_come_in_one_buffer() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.default_stream();
        let store = kernel(&context, CONTROL, "store");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(4) }.expect("memory");
        let mut buffer = [0_u8; 12];
        buffer[..8].copy_from_slice(&address.to_le_bytes());
        buffer[8..].copy_from_slice(&77_u32.to_le_bytes());
        let launch = |mut size: usize, pointers: *mut *mut c_void| {
            let mut extra = [
                std::ptr::without_provenance_mut(1),
                buffer.as_ptr().cast_mut().cast(),
                std::ptr::without_provenance_mut(2),
                (&raw mut size).cast(),
                std::ptr::null_mut(),
            ];
            // SAFETY: keys and values as `cuda.h` asks for.
            unsafe {
                sys::cuLaunchKernel(
                    store.cu_function(),
                    1,
                    1,
                    1,
                    1,
                    1,
                    1,
                    0,
                    stream.cu_stream(),
                    pointers,
                    extra.as_mut_ptr(),
                )
            }
        };
        launch(12, std::ptr::null_mut()).result().expect("a launch");
        let mut value = [0_u32];
        // SAFETY: four bytes each.
        unsafe { result::memcpy_dtoh_sync(&mut value, address) }.expect("a copy");
        assert_eq!(value, [77]);
        assert_eq!(launch(11, std::ptr::null_mut()), INVALID, "too short");
        assert_eq!(
            launch(12, [std::ptr::null_mut(); 2].as_mut_ptr()),
            INVALID,
            "both ways at once"
        );
    });
}

#[test]
fn a_kernel_that_spins_on_pinned_memory_is_released_by_the_host() {
    on_emulator(&[], || {
        let context = device();
        let (stream, other) =
            (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
        let (gate, store) = (kernel(&context, CONTROL, "gate"), kernel(&context, CONTROL, "store"));
        // SAFETY: four bytes of pinned memory, alive to the end.
        let flag = unsafe { result::malloc_host(4, 0) }.expect("memory").cast::<u32>();
        // SAFETY: as above.
        unsafe { flag.write_volatile(0) };
        let target = stream.alloc_zeros::<u32>(1).expect("memory");
        stream.synchronize().expect("zeroed");
        // SAFETY: the arguments are the kernels'.
        unsafe {
            stream
                .launch_builder(&gate)
                .arg(&(flag as u64))
                .launch(one_block(1, 0))
                .expect("a launch");
            let start =
                stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event");
            for value in 1..=100_u32 {
                stream
                    .launch_builder(&store)
                    .arg(&target)
                    .arg(&value)
                    .launch(one_block(1, 0))
                    .expect("a launch");
            }
            let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event");
            // All is queued, nothing has run; memory calls and copies go on.
            assert!(!start.is_complete() && !end.is_complete());
            let bytes = other.clone_htod(&[1_u8, 2, 3]).expect("a copy");
            assert_eq!(other.clone_dtoh(&bytes).expect("a copy"), [1, 2, 3]);
            let module = context.load_module(Ptx::from_src(SCALE)).expect("a module");
            assert!(module.load_function("scale").is_ok());
            assert!(!start.is_complete());
            flag.write_volatile(1);
            end.synchronize().expect("reached");
            let ms = start.elapsed_ms(&end).expect("reached");
            assert!((0.2..0.25).contains(&ms), "100 launches of 2 us: {ms} ms");
        }
        assert_eq!(stream.clone_dtoh(&target).expect("a copy"), [100]);
    });
}

#[test]
fn kernels_are_captured_and_replayed() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let scale = kernel(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&scaled(64)).expect("a copy");
        stream.synchronize().expect("copied");
        stream
            .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .expect("capture");
        for _ in 0..3 {
            let (address, _hold) = cudarc::driver::DevicePtrMut::device_ptr_mut(&mut x, &stream);
            // SAFETY: the arguments are the kernel's; in place is fine, each thread touches its own element.
            unsafe {
                stream
                    .launch_builder(&scale)
                    .arg(&address)
                    .arg(&address)
                    .arg(&2.0_f32)
                    .arg(&64_u32)
                    .launch(one_block(64, 0))
            }
            .expect("captured");
        }
        let graph = stream
            .end_capture(sys::CUgraphInstantiate_flags(0))
            .expect("a graph")
            .expect("not empty");
        assert_eq!(stream.clone_dtoh(&x), Ok(scaled(64)), "nothing ran while capturing");
        for _ in 0..2 {
            graph.launch().expect("a launch");
        }
        let expected: Vec<f32> = scaled(64).into_iter().map(|value| value * 64.0).collect();
        assert_eq!(stream.clone_dtoh(&x), Ok(expected));
    });
}
