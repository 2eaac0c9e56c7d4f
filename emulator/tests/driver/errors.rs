//! Errors of running kernels: which call sees which code, and how a context heals.

use crate::ptx::{CONTROL, SHARED};
use crate::support::{ONE_THREAD, dead, device, kernel, on_emulator, one_block, store};
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, PushKernelArg, result};

#[test]
fn an_illegal_address_kills_the_context_and_a_reset_heals() {
    on_emulator(&[], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&context, address + 12), CUresult::CUDA_SUCCESS);
        assert_eq!(
            store(&context, address + 16),
            CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
            "one past the end"
        );
        dead(context, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        // SAFETY: the device exists.
        unsafe { sys::cuDevicePrimaryCtxReset_v2(0) }.result().expect("a reset");
        let fresh = device();
        fresh.bind_to_thread().expect("current");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&fresh, address), CUresult::CUDA_SUCCESS);
    });
}

#[test]
fn a_misaligned_address_kills_the_context() {
    on_emulator(&[], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&context, address + 2), CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
        dead(context, CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
    });
}

#[test]
fn freed_memory_and_pageable_memory_are_out_of_reach() {
    on_emulator(&[], || {
        let context = device();
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&context, address), CUresult::CUDA_SUCCESS);
        // SAFETY: allocated above.
        unsafe { result::free_sync(address) }.expect("free");
        assert_eq!(store(&context, address), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        // SAFETY: the device exists.
        unsafe { sys::cuDevicePrimaryCtxReset_v2(0) }.result().expect("a reset");
        std::mem::forget(context);
        let fresh = device();
        let mut word = Box::new(5_u32);
        let code = store(&fresh, &raw mut *word as u64);
        assert_eq!((code, *word), (CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, 5));
    });
}

#[test]
fn memory_of_another_device_is_out_of_reach() {
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", "h100,h100")], || {
        let (first, second) = (device(), CudaContext::new(1).expect("a device"));
        second.bind_to_thread().expect("current");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(16) }.expect("memory");
        assert_eq!(store(&second, address), CUresult::CUDA_SUCCESS);
        assert_eq!(store(&first, address), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        second.bind_to_thread().expect("the other context lives");
        assert_eq!(store(&second, address), CUresult::CUDA_SUCCESS);
        std::mem::forget((first, second));
    });
}

#[test]
fn the_watchdog_ends_a_kernel_that_never_ends() {
    on_emulator(&[("HOSTDYNO_EMULATED_STEPS", "100000")], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let forever = kernel(&context, CONTROL, "forever");
        // SAFETY: the kernel takes nothing.
        unsafe { stream.launch_builder(&forever).launch(ONE_THREAD) }.expect("a launch");
        let code = stream.synchronize().map_err(|error| error.0);
        assert_eq!(code, Err(CUresult::CUDA_ERROR_LAUNCH_TIMEOUT));
        std::mem::forget((stream, forever));
        dead(context, CUresult::CUDA_ERROR_LAUNCH_TIMEOUT);
    });
}

/// What hardware lets pass by luck ends the launch here, and stderr says where.
#[test]
fn a_shared_memory_race_names_kernel_and_line() {
    // Without its barrier a warp reads words that another may write before or after.
    let text = SHARED.replace("    bar.sync 0;\n", "");
    let line = text.lines().position(|line| line.contains("st.shared")).expect("there") + 1;
    let stderr = on_emulator(&[], || {
        let context = device();
        let stream = context.new_stream().expect("a stream");
        let reverse = kernel(&context, &text, "reverse");
        let mut data = stream.alloc_zeros::<u32>(256).expect("memory");
        // SAFETY: the arguments are the kernel's.
        unsafe { stream.launch_builder(&reverse).arg(&mut data).launch(one_block(256, 1024)) }
            .expect("the launch itself is fine");
        let failed = CUresult::CUDA_ERROR_LAUNCH_FAILED;
        assert_eq!(stream.synchronize().map_err(|error| error.0), Err(failed));
        std::mem::forget((stream, reverse, data));
        dead(context, failed);
    });
    if let Some(stderr) = stderr {
        let named = stderr.contains("kernel 'reverse'") && stderr.contains(&format!("line {line}"));
        assert!(named && stderr.contains("Race"), "{stderr}");
    }
}
