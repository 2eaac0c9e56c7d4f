//! Faults on demand: which call sees which code, and what works afterwards.

use crate::ptx::{CONTROL, SCALE};
use crate::support::{ONE_THREAD, dead, device, kernel, on_emulator, store};
use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, DriverError, LaunchConfig, PushKernelArg, result};
use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn after_an_error_host_functions_are_left_out_and_callbacks_are_told() {
    on_emulator(&[("HOSTDYNO_EMULATED_FAULTS", "launch@1")], || {
        static HOST: AtomicU32 = AtomicU32::new(0);
        static CALLBACK: AtomicU32 = AtomicU32::new(0);
        extern "C" fn host(_: *mut c_void) {
            HOST.store(1, Ordering::SeqCst);
        }
        extern "C" fn callback(_: sys::CUstream, status: CUresult, _: *mut c_void) {
            CALLBACK.store(status as u32, Ordering::SeqCst);
        }
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let store = kernel(&context, CONTROL, "store");
        let mut target = stream.alloc_zeros::<u32>(1).expect("memory");
        stream.synchronize().expect("zeroed");
        extern "C" fn pause(_: *mut c_void) {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        // SAFETY: the arguments are the kernel's; the functions take nothing.
        unsafe {
            // Holds the stream until all is enqueued.
            sys::cuLaunchHostFunc(stream.cu_stream(), Some(pause), std::ptr::null_mut())
                .result()
                .expect("enqueued");
            stream
                .launch_builder(&store)
                .arg(&mut target)
                .arg(&1_u32)
                .launch(ONE_THREAD)
                .expect("enqueued");
            sys::cuLaunchHostFunc(stream.cu_stream(), Some(host), std::ptr::null_mut())
                .result()
                .expect("enqueued");
            sys::cuStreamAddCallback(stream.cu_stream(), Some(callback), std::ptr::null_mut(), 0)
                .result()
                .expect("enqueued");
        }
        let failed = CUresult::CUDA_ERROR_LAUNCH_FAILED;
        assert_eq!(stream.synchronize().map_err(|error| error.0), Err(failed));
        assert_eq!(
            (HOST.load(Ordering::SeqCst), CALLBACK.load(Ordering::SeqCst)),
            (0, failed as u32)
        );
        std::mem::forget((stream, store, target));
        dead(context, failed);
    });
}

#[test]
fn memory_runs_out_at_the_chosen_allocation_and_only_there() {
    on_emulator(&[("HOSTDYNO_EMULATED_FAULTS", "oom@2")], || {
        let context = device();
        // SAFETY: a context is current.
        let outcomes = [(); 3].map(|()| unsafe { result::malloc_sync(16) }.map(drop));
        assert_eq!(
            outcomes,
            [Ok(()), Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)), Ok(())]
        );
        context.synchronize().expect("not sticky");
    });
}

#[test]
fn an_ecc_error_is_asynchronous_and_sticky() {
    on_emulator(&[("HOSTDYNO_EMULATED_FAULTS", "ecc@2")], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&context, address), CUresult::CUDA_SUCCESS);
        assert_eq!(store(&context, address), CUresult::CUDA_ERROR_ECC_UNCORRECTABLE);
        dead(context, CUresult::CUDA_ERROR_ECC_UNCORRECTABLE);
    });
}

#[test]
fn a_hang_is_ended_by_the_watchdog() {
    on_emulator(&[("HOSTDYNO_EMULATED_FAULTS", "hang@1")], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&context, address), CUresult::CUDA_ERROR_LAUNCH_TIMEOUT);
        dead(context, CUresult::CUDA_ERROR_LAUNCH_TIMEOUT);
    });
}

#[test]
fn a_lost_device_does_not_come_back() {
    on_emulator(
        &[("HOSTDYNO_EMULATED_FAULTS", "lost@1"), ("HOSTDYNO_EMULATED_GPU", "h100,a100")],
        || {
            let context = device();
            // SAFETY: a context is current.
            let address = unsafe { result::malloc_sync(16) }.expect("memory");
            assert_eq!(store(&context, address), CUresult::CUDA_ERROR_UNKNOWN);
            dead(context, CUresult::CUDA_ERROR_UNKNOWN);
            // SAFETY: the device exists.
            unsafe { sys::cuDevicePrimaryCtxReset_v2(0) }.result().expect("a reset");
            let again = CudaContext::new(0).map(drop).map_err(|error| error.0);
            assert_eq!(again, Err(CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE));
            CudaContext::new(1).expect("the other device is as before");
        },
    );
}

#[test]
fn silent_corruption_shows_only_in_the_data() {
    on_emulator(&[("HOSTDYNO_EMULATED_FAULTS", "wrong@2")], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(4) }.expect("memory");
        let values = [(); 3].map(|()| {
            assert_eq!(store(&context, address), CUresult::CUDA_SUCCESS);
            let mut value = [0_u32];
            // SAFETY: four bytes.
            unsafe { result::memcpy_dtoh_sync(&mut value, address) }.expect("a copy");
            value[0]
        });
        assert_eq!(values, [7, 0x4000_0007, 7]);
    });
}

#[test]
fn slow_copies_and_a_throttled_clock_show_in_times() {
    on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let scale = kernel(&context, SCALE, "scale");
        // SAFETY: pinned memory, alive to the end.
        let host = unsafe {
            std::slice::from_raw_parts(
                result::malloc_host(1 << 20, 0).expect("memory").cast::<f32>(),
                1 << 18,
            )
        };
        let mut x = stream.alloc_zeros::<f32>(1 << 18).expect("memory");
        let timed = Some(CUevent_flags::CU_EVENT_DEFAULT);
        let mut measure = || {
            let start = stream.record_event(timed).expect("an event");
            stream.memcpy_htod(host, &mut x).expect("a copy");
            let middle = stream.record_event(timed).expect("an event");
            // 1 thread a block: far more instructions than bytes.
            let config =
                LaunchConfig { grid_dim: (4096, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
            let (address, _hold) = cudarc::driver::DevicePtrMut::device_ptr_mut(&mut x, &stream);
            // SAFETY: the arguments are the kernel's.
            unsafe {
                stream
                    .launch_builder(&scale)
                    .arg(&address)
                    .arg(&address)
                    .arg(&1.0_f32)
                    .arg(&4096_u32)
                    .launch(config)
            }
            .expect("a launch");
            let end = stream.record_event(timed).expect("an event");
            let ms =
                |a: &cudarc::driver::CudaEvent, b| f64::from(a.elapsed_ms(b).expect("reached"));
            (ms(&start, &middle) - 0.001, ms(&middle, &end) - 0.002)
        };
        let plain = measure();
        let plan = CString::new("slow-copy=8,throttle=0.25@2").expect("a plan");
        // SAFETY: the symbol's signature.
        unsafe {
            let inject = sys::culib()
                .get::<unsafe extern "C" fn(*const i8) -> CUresult>(b"hostdyno_emulator_inject\0")
                .expect("exported");
            assert_eq!(inject(c"slow-cpy=8".as_ptr()), CUresult::CUDA_ERROR_INVALID_VALUE);
            inject(plan.as_ptr()).result().expect("a plan");
        }
        let slow = measure();
        assert!((slow.0 / plain.0 - 8.0).abs() < 1e-3, "{plain:?} {slow:?}");
        assert!((slow.1 / plain.1 - 1.0).abs() < 1e-3, "not yet");
        let throttled = measure();
        assert!((throttled.1 / plain.1 - 4.0).abs() < 1e-2, "{plain:?} {throttled:?}");
    });
}
