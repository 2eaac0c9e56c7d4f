//! Kernels through the driver: launch, asynchrony, shared memory, clusters, graphs, and what a bad launch is told.

#[macro_use]
mod support;

use cudarc::driver::sys::{self, CUevent_flags, CUfunction_attribute_enum as F, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, DriverError, LaunchConfig, PushKernelArg, result};
use cudarc::nvrtc::Ptx;
use std::ffi::c_void;
use std::sync::Arc;
use support::kernels::{CLUSTER, CONTROL, SCALE, SHARED};

const INVALID: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

fn device() -> Arc<CudaContext> {
    let context = CudaContext::new(0).expect("a device");
    // SAFETY: these tests order their work themselves.
    unsafe { context.disable_event_tracking() };
    context
}

fn kernel(context: &Arc<CudaContext>, text: &str, name: &str) -> CudaFunction {
    let module = context.load_module(Ptx::from_src(text)).expect("the text compiles");
    module.load_function(name).expect("an entry")
}

fn one_block(threads: u32, dynamic: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: dynamic }
}

fn scaled(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.5 - 3.0).collect()
}

on_emulator! {
    fn a_kernel_computes_and_its_time_follows_its_counters() [] {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let scale = kernel(&context, SCALE, "scale");
        let n = 1000;
        let x = stream.clone_htod(&scaled(n)).expect("a copy");
        let mut y = stream.alloc_zeros::<f32>(n + 1).expect("memory");
        let timed = Some(CUevent_flags::CU_EVENT_DEFAULT);
        let start = stream.record_event(timed).expect("an event");
        let config = LaunchConfig { grid_dim: (8, 1, 1), block_dim: (128, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&scale).arg(&mut y).arg(&x).arg(&3.0_f32).arg(&(n as u32)).launch(config) }.expect("a launch");
        let end = stream.record_event(timed).expect("an event");
        let out = stream.clone_dtoh(&y).expect("a copy");
        for (i, value) in scaled(n).into_iter().enumerate() {
            assert_eq!(out[i], 3.0 * value, "element {i}");
        }
        assert_eq!(out[n], 0.0, "beyond the end");

        let mut text = vec![0_u8; 4096];
        // SAFETY: the symbol's signature; the buffer is as long as stated.
        let used = unsafe {
            let counters = sys::culib().get::<unsafe extern "C" fn(*mut i8, usize) -> usize>(b"hostdyno_emulator_counters\0");
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
    }

    fn arguments_can_come_in_one_buffer() [] {
        let context = device();
        let stream = context.default_stream();
        let store = kernel(&context, CONTROL, "store");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(4) }.expect("memory");
        let mut buffer = [0_u8; 12];
        buffer[..8].copy_from_slice(&address.to_le_bytes());
        buffer[8..].copy_from_slice(&77_u32.to_le_bytes());
        let launch = |mut size: usize, pointers: *mut *mut c_void| {
            let mut extra = [1 as *mut c_void, buffer.as_ptr().cast_mut().cast(), 2 as *mut c_void, (&raw mut size).cast(), std::ptr::null_mut()];
            // SAFETY: keys and values as `cuda.h` asks for.
            unsafe { sys::cuLaunchKernel(store.cu_function(), 1, 1, 1, 1, 1, 1, 0, stream.cu_stream(), pointers, extra.as_mut_ptr()) }
        };
        launch(12, std::ptr::null_mut()).result().expect("a launch");
        let mut value = [0_u32];
        // SAFETY: four bytes each.
        unsafe { result::memcpy_dtoh_sync(&mut value, address) }.expect("a copy");
        assert_eq!(value, [77]);
        assert_eq!(launch(11, std::ptr::null_mut()), INVALID, "too short");
        assert_eq!(launch(12, [std::ptr::null_mut(); 2].as_mut_ptr()), INVALID, "both ways at once");
    }

    fn a_kernel_that_spins_on_pinned_memory_is_released_by_the_host() [] {
        let context = device();
        let (stream, other) = (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
        let (gate, store) = (kernel(&context, CONTROL, "gate"), kernel(&context, CONTROL, "store"));
        // SAFETY: four bytes of pinned memory, alive to the end.
        let flag = unsafe { result::malloc_host(4, 0) }.expect("memory").cast::<u32>();
        // SAFETY: as above.
        unsafe { flag.write_volatile(0) };
        let target = stream.alloc_zeros::<u32>(1).expect("memory");
        stream.synchronize().expect("zeroed");
        // SAFETY: the arguments are the kernels'.
        unsafe {
            stream.launch_builder(&gate).arg(&(flag as u64)).launch(one_block(1, 0)).expect("a launch");
            let start = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).expect("an event");
            for value in 1..=100_u32 {
                stream.launch_builder(&store).arg(&target).arg(&value).launch(one_block(1, 0)).expect("a launch");
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
    }

    fn dynamic_shared_memory_must_be_opted_in() [] {
        let context = device();
        let stream = context.default_stream();
        let reverse = kernel(&context, SHARED, "reverse");
        let numbers: Vec<u32> = (0..256).collect();
        let launch = |dynamic: u32| {
            let mut data = stream.clone_htod(&numbers).expect("a copy");
            // SAFETY: the arguments are the kernel's.
            unsafe { stream.launch_builder(&reverse).arg(&mut data).launch(one_block(256, dynamic)) }?;
            stream.clone_dtoh(&data)
        };
        let reversed: Vec<u32> = (0..256).rev().collect();
        assert_eq!(launch(1024), Ok(reversed.clone()));
        assert_eq!(launch(47 << 10), Ok(reversed.clone()), "static and dynamic make 48 KiB");
        let refused = Err(DriverError(INVALID));
        assert_eq!(launch((47 << 10) + 1), refused);
        let which = F::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        assert_eq!(reverse.set_attribute(which, (226 << 10) + 1), Err(DriverError(INVALID)));
        assert_eq!(reverse.set_attribute(which, -1), Err(DriverError(INVALID)));
        reverse.set_attribute(which, 226 << 10).expect("226 KiB beside the static one");
        assert_eq!(launch(226 << 10), Ok(reversed));
        assert_eq!(launch((226 << 10) + 1), refused);
        assert_eq!(reverse.get_attribute(F::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), Ok(1024));
        assert_eq!(reverse.get_attribute(F::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), Ok(256));
        // 228 KiB a multiprocessor: 100 KiB + 1 KiB static + 1 KiB reserved fit twice.
        assert_eq!(reverse.occupancy_max_active_blocks_per_multiprocessor(256, 100 << 10, None), Ok(2));
        assert_eq!(reverse.occupancy_max_active_blocks_per_multiprocessor(256, 0, None), Ok(8));
    }

    fn a_bad_launch_is_refused_at_once_and_harms_nothing() [] {
        let context = device();
        let stream = context.default_stream();
        let (store, reverse) = (kernel(&context, CONTROL, "store"), kernel(&context, SHARED, "reverse"));
        let target = stream.alloc_zeros::<u32>(1).expect("memory");
        let launch = |grid, block| {
            let config = LaunchConfig { grid_dim: grid, block_dim: block, shared_mem_bytes: 0 };
            // SAFETY: the arguments are the kernel's.
            unsafe { stream.launch_builder(&store).arg(&target).arg(&1_u32).launch(config) }.map(drop)
        };
        for (grid, block) in [
            ((0, 1, 1), (1, 1, 1)),
            ((1, 65536, 1), (1, 1, 1)),
            ((1, 1, 65536), (1, 1, 1)),
            ((1, 1, 1), (0, 1, 1)),
            ((1, 1, 1), (1025, 1, 1)),
            ((1, 1, 1), (1, 1, 65)),
            ((1, 1, 1), (32, 33, 1)),
        ] {
            assert_eq!(launch(grid, block), Err(DriverError(INVALID)), "{grid:?} {block:?}");
        }
        // SAFETY: refused before anything is read.
        unsafe {
            let too_many = stream.launch_builder(&reverse).arg(&target).launch(one_block(257, 0));
            assert_eq!(too_many.map(drop), Err(DriverError(INVALID)), ".maxntid 256");
            let null = std::ptr::null_mut();
            let no_arguments = sys::cuLaunchKernel(store.cu_function(), 1, 1, 1, 1, 1, 1, 0, null, std::ptr::null_mut(), std::ptr::null_mut());
            assert_eq!(no_arguments, INVALID);
            let no_kernel = sys::cuLaunchKernel(16 as sys::CUfunction, 1, 1, 1, 1, 1, 1, 0, null, std::ptr::null_mut(), std::ptr::null_mut());
            assert_eq!(no_kernel, CUresult::CUDA_ERROR_INVALID_HANDLE);
            let cooperative = sys::cuLaunchCooperativeKernel(store.cu_function(), 1, 1, 1, 1, 1, 1, 0, null, std::ptr::null_mut());
            assert_eq!(cooperative, CUresult::CUDA_ERROR_NOT_SUPPORTED);
        }
        launch((1, 1, 1), (1, 1, 1)).expect("the context is as good as before");
        assert_eq!(stream.clone_dtoh(&target), Ok(vec![1]));
    }

    fn clusters_are_launched_by_attribute() [] {
        let context = device();
        let stream = context.default_stream();
        let rank = kernel(&context, CLUSTER, "rank");
        let out = stream.alloc_zeros::<u32>(16).expect("memory");
        let launch = |blocks: u32, cluster: u32| {
            let value = sys::CUlaunchAttributeValue_union { clusterDim: sys::CUlaunchAttributeValue_union__bindgen_ty_1 { x: cluster, y: 1, z: 1 } };
            let mut attribute = sys::CUlaunchAttribute { id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, pad: [0; 4], value };
            let config = sys::CUlaunchConfig {
                gridDimX: blocks, gridDimY: 1, gridDimZ: 1,
                blockDimX: 1, blockDimY: 1, blockDimZ: 1,
                sharedMemBytes: 0,
                hStream: stream.cu_stream(),
                attrs: &mut attribute,
                numAttrs: 1,
            };
            let (address, _hold) = cudarc::driver::DevicePtr::device_ptr(&out, &stream);
            let mut arguments = [(&raw const address).cast_mut().cast::<c_void>()];
            // SAFETY: the arguments are the kernel's.
            unsafe { sys::cuLaunchKernelEx(&config, rank.cu_function(), arguments.as_mut_ptr(), std::ptr::null_mut()) }
        };
        launch(16, 4).result().expect("a launch");
        let expected: Vec<u32> = (0..16).map(|block| block % 4).collect();
        assert_eq!(stream.clone_dtoh(&out), Ok(expected));
        let refused = CUresult::CUDA_ERROR_INVALID_CLUSTER_SIZE;
        assert_eq!(launch(15, 4), refused, "does not divide the grid");
        assert_eq!(launch(16, 16), refused, "above the portable size");
        assert_eq!(launch(16, 0), refused);
        rank.set_attribute(F::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1).expect("allowed");
        launch(16, 16).result().expect("a launch");
        assert_eq!(stream.clone_dtoh(&out), Ok((0..16).collect()));
    }

    fn kernels_are_captured_and_replayed() [] {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let scale = kernel(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&scaled(64)).expect("a copy");
        stream.synchronize().expect("copied");
        stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).expect("capture");
        for _ in 0..3 {
            let (address, _hold) = cudarc::driver::DevicePtrMut::device_ptr_mut(&mut x, &stream);
            // SAFETY: the arguments are the kernel's; in place is fine, each thread touches its own element.
            unsafe { stream.launch_builder(&scale).arg(&address).arg(&address).arg(&2.0_f32).arg(&64_u32).launch(one_block(64, 0)) }.expect("captured");
        }
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).expect("a graph").expect("not empty");
        assert_eq!(stream.clone_dtoh(&x), Ok(scaled(64)), "nothing ran while capturing");
        for _ in 0..2 {
            graph.launch().expect("a launch");
        }
        let expected: Vec<f32> = scaled(64).into_iter().map(|value| value * 64.0).collect();
        assert_eq!(stream.clone_dtoh(&x), Ok(expected));
    }
}
