//! Initialisation, devices, contexts, entry points by name: what a program asks before it does anything.

use crate::support::on_emulator;
use cudarc::driver::sys::{self, CUdevice_attribute as A, CUresult};
use cudarc::driver::{CudaContext, result};
use std::ffi::{CString, c_void};

fn attribute(device: i32, which: A) -> i32 {
    // SAFETY: the driver is initialised and the device exists.
    unsafe { result::device::get_attribute(device, which) }.expect("a known attribute")
}

#[test]
fn every_call_before_init_says_so() {
    on_emulator(&[], || {
        let mut count = 0;
        // SAFETY: valid output pointers.
        unsafe {
            let not = CUresult::CUDA_ERROR_NOT_INITIALIZED;
            assert_eq!(sys::cuDeviceGetCount(&mut count), not);
            assert_eq!(sys::cuCtxSynchronize(), not);
            assert_eq!(sys::cuMemFree_v2(4096), not);
            assert_eq!(sys::cuStreamSynchronize(std::ptr::null_mut()), not);
            let mut version = 0;
            assert_eq!(sys::cuDriverGetVersion(&mut version), CUresult::CUDA_SUCCESS);
            assert!(version >= 13000);
            assert_eq!(sys::cuInit(1), CUresult::CUDA_ERROR_INVALID_VALUE);
        }
    });
}

#[test]
fn the_device_is_the_model_and_says_that_it_is_emulated() {
    on_emulator(
        &[("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000,b200"), ("HOSTDYNO_EMULATED_MEMORY", "64MiB")],
        || {
            let context = CudaContext::new(0).expect("a device");
            assert_eq!(CudaContext::device_count(), Ok(2));
            let name = context.name().expect("a name");
            assert_eq!(name, "NVIDIA RTX PRO 6000 Blackwell Workstation Edition (emulated)");
            assert_eq!(context.compute_capability(), Ok((12, 0)));
            assert_eq!(context.total_mem(), Ok(64 << 20));
            assert_eq!(attribute(0, A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 188);
            assert_eq!(attribute(0, A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), 128 << 20);
            assert_eq!(
                attribute(0, A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
                99 << 10
            );
            assert_eq!(attribute(0, A::CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY), 0);
            assert_eq!(attribute(0, A::CU_DEVICE_ATTRIBUTE_NUMA_ID), -1);
            assert_eq!(attribute(1, A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 10);
            let other = CudaContext::new(1).expect("a second device");
            assert_ne!(context.uuid().expect("id").bytes, other.uuid().expect("id").bytes);
            assert_eq!(
                CudaContext::new(2).map(drop).map_err(|e| e.0),
                Err(CUresult::CUDA_ERROR_INVALID_DEVICE)
            );
            let mut text = [0; 16];
            let mut ordinal = -1;
            // SAFETY: buffers of the stated length.
            unsafe {
                sys::cuDeviceGetPCIBusId(text.as_mut_ptr(), 16, 1).result().expect("a bus id");
                sys::cuDeviceGetByPCIBusId(&mut ordinal, text.as_ptr()).result().expect("a device");
                assert_eq!(
                    sys::cuDeviceGetPCIBusId(text.as_mut_ptr(), 5, 1),
                    CUresult::CUDA_ERROR_INVALID_VALUE
                );
            }
            assert_eq!(ordinal, 1);
            // SAFETY: the library is loaded; the symbol takes nothing and returns a C string.
            unsafe {
                let version = sys::culib()
                    .get::<unsafe extern "C" fn() -> *const i8>(b"hostdyno_emulator_version\0");
                assert!(!version.expect("only the emulator exports it")().is_null());
            }
        },
    );
}

#[test]
fn contexts_are_a_stack_of_the_thread() {
    on_emulator(&[], || {
        let (mut first, mut second, mut seen) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: valid output pointers throughout.
        unsafe {
            sys::cuInit(0).result().expect("init");
            assert_eq!(sys::cuCtxSynchronize(), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            assert_eq!(sys::cuCtxPopCurrent_v2(&mut seen), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            sys::cuCtxCreate_v4(&mut first, std::ptr::null_mut(), 0, 0)
                .result()
                .expect("a context");
            sys::cuCtxCreate_v4(&mut second, std::ptr::null_mut(), 0, 0)
                .result()
                .expect("a context");
            sys::cuCtxGetCurrent(&mut seen).result().expect("current");
            assert_eq!(seen, second);
            // Another thread has a stack of its own.
            std::thread::spawn(|| {
                assert_eq!(sys::cuCtxSynchronize(), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            })
            .join()
            .expect("the thread");
            sys::cuCtxPushCurrent_v2(first).result().expect("push");
            sys::cuCtxDestroy_v2(second).result().expect("destroy");
            assert_eq!(sys::cuCtxDestroy_v2(second), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            assert_eq!(sys::cuCtxSetCurrent(second), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            sys::cuCtxPopCurrent_v2(&mut seen).result().expect("pop");
            assert_eq!(seen, first);
            // What is left on the stack was destroyed.
            assert_eq!(sys::cuCtxSynchronize(), CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED);
        }
    });
}

#[test]
fn the_primary_context_is_counted() {
    on_emulator(&[], || {
        let (mut a, mut b, mut flags, mut active) =
            (std::ptr::null_mut(), std::ptr::null_mut(), 0, 0);
        // SAFETY: valid output pointers throughout.
        unsafe {
            sys::cuInit(0).result().expect("init");
            assert_eq!(sys::cuDevicePrimaryCtxRelease_v2(0), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            sys::cuDevicePrimaryCtxRetain(&mut a, 0).result().expect("retain");
            sys::cuDevicePrimaryCtxRetain(&mut b, 0).result().expect("retain");
            assert_eq!(a, b);
            assert_eq!(sys::cuCtxDestroy_v2(a), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            sys::cuDevicePrimaryCtxRelease_v2(0).result().expect("release");
            sys::cuDevicePrimaryCtxGetState(0, &mut flags, &mut active).result().expect("state");
            assert_eq!(active, 1);
            sys::cuDevicePrimaryCtxRelease_v2(0).result().expect("release");
            sys::cuDevicePrimaryCtxGetState(0, &mut flags, &mut active).result().expect("state");
            assert_eq!(active, 0);
        }
    });
}

#[test]
fn entry_points_are_found_by_name() {
    on_emulator(&[], || {
        let find = |name: &str, version| {
            let name = CString::new(name).expect("a name");
            let (mut pointer, mut status): (*mut c_void, _) = (
                std::ptr::null_mut(),
                sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_SUCCESS,
            );
            // SAFETY: a C string and valid output pointers.
            let code = unsafe {
                sys::cuGetProcAddress_v2(name.as_ptr(), &mut pointer, version, 0, &mut status)
            };
            (code, pointer)
        };
        // SAFETY: symbols of the loaded library.
        let symbol =
            |name: &[u8]| unsafe { *sys::culib().get::<*mut c_void>(name).expect("exported") };
        let mut count = 0;
        // SAFETY: valid.
        unsafe {
            sys::cuInit(0).result().expect("init");
            sys::cuDeviceGetCount(&mut count);
        }
        for (name, version, expected) in [
            ("cuMemAlloc", 12080, "cuMemAlloc_v2\0"),
            ("cuInit", 12080, "cuInit\0"),
            ("cuCtxCreate", 11000, "cuCtxCreate_v2\0"),
            ("cuCtxCreate", 13000, "cuCtxCreate_v4\0"),
            ("cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags\0"),
            ("cuGraphInstantiate", 11040, "cuGraphInstantiate_v2\0"),
            // The newest version is not offered, the one before is.
            ("cuCtxSynchronize", 13000, "cuCtxSynchronize\0"),
            ("cuArray3DCreate", 12080, "cuArray3DCreate_v2\0"),
        ] {
            let (code, pointer) = find(name, version);
            assert_eq!(
                (code, pointer),
                (CUresult::CUDA_SUCCESS, symbol(expected.as_bytes())),
                "{name} {version}"
            );
        }
        assert_eq!(
            find("cuNoSuchCall", 13000),
            (CUresult::CUDA_ERROR_NOT_FOUND, std::ptr::null_mut())
        );
        assert_eq!(find("malloc", 13000).0, CUresult::CUDA_ERROR_NOT_FOUND);
        let mut pointer = std::ptr::null_mut();
        // SAFETY: a C string and valid output pointers; 2 asks for per-thread default streams.
        let per_thread = unsafe {
            let name = c"cuLaunchKernel".as_ptr();
            sys::cuGetProcAddress_v2(name, &mut pointer, 13000, 2, std::ptr::null_mut())
        };
        assert_eq!(per_thread, CUresult::CUDA_ERROR_NOT_SUPPORTED);
    });
}

/// Every name that cudarc 0.19.10 can look up, of any CUDA version from 11.4 to 13.4: none may be missing.
#[test]
fn every_name_of_the_header_is_exported() {
    on_emulator(&[], || {
        // SAFETY: no precondition.
        unsafe { sys::cuInit(0) }.result().expect("init");
        let names: Vec<_> = include_str!("symbols.txt").lines().collect();
        assert!(names.len() > 500);
        for name in names {
            // SAFETY: only looked up.
            let symbol = unsafe { sys::culib().get::<*mut c_void>(name.as_bytes()) };
            assert!(symbol.is_ok(), "{name}");
        }
    });
}

#[test]
fn what_is_not_offered_answers_and_does_not_crash() {
    on_emulator(&[], || {
        let _context = CudaContext::new(0).expect("a device");
        let mut array = std::ptr::null_mut();
        // SAFETY: valid output pointers.
        unsafe {
            let not = CUresult::CUDA_ERROR_NOT_SUPPORTED;
            assert_eq!(sys::cuArray3DCreate_v2(&mut array, std::ptr::null()), not);
            assert_eq!(sys::cuMemAddressFree(0, 0), not);
            let mut pointer = 0;
            assert_eq!(sys::cuMemAllocManaged(&mut pointer, 16, 1), not);
        }
    });
}

/// A wrong setting is loud: on stderr, and in the code of `cuInit`.
#[test]
fn a_wrong_setting_fails_init_loudly() {
    for (name, value) in [
        ("HOSTDYNO_EMULATED_GPU", "h1000"),
        ("HOSTDYNO_EMULATED_FAULTS", "omm@1"),
        ("HOSTDYNO_EMULATED_MEMORY", "lots"),
    ] {
        let stderr = on_emulator(&[(name, value)], || {
            // SAFETY: no precondition.
            let code = unsafe { sys::cuInit(0) };
            assert_eq!(code, CUresult::CUDA_ERROR_INVALID_VALUE);
            // SAFETY: as above; it does not get better by asking again.
            assert_eq!(unsafe { sys::cuInit(0) }, CUresult::CUDA_ERROR_INVALID_VALUE);
        });
        let Some(stderr) = stderr else { return };
        assert!(stderr.contains(name), "{stderr}");
    }
}
