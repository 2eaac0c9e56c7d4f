//! Page-locked memory and pointer queries.

use crate::support::{device, on_emulator};
use cudarc::driver::sys::{self, CUpointer_attribute as P, CUresult};
use cudarc::driver::{CudaContext, result};
use std::ffi::c_void;

const INVALID: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

fn pointer_attribute<T: Default>(which: P, address: u64) -> Result<T, CUresult> {
    let mut value = T::default();
    // SAFETY: `T` is the attribute's type.
    let code = unsafe { sys::cuPointerGetAttribute((&raw mut value).cast(), which, address) };
    if code == CUresult::CUDA_SUCCESS { Ok(value) } else { Err(code) }
}

#[test]
fn pinned_memory_has_one_address_and_is_freed_once() {
    on_emulator(&[], || {
        let _context = device();
        let mut pointer: *mut c_void = std::ptr::null_mut();
        let (mut mapped, mut flags) = (0, 0);
        // SAFETY: valid output pointers; addresses are live where they must be.
        unsafe {
            pointer =
                result::malloc_host(4096, sys::CU_MEMHOSTALLOC_WRITECOMBINED).unwrap_or(pointer);
            sys::cuMemHostGetDevicePointer_v2(&mut mapped, pointer, 0).result().expect("mapped");
            assert_eq!(mapped, pointer as u64);
            sys::cuMemHostGetFlags(&mut flags, pointer).result().expect("flags");
            assert_eq!(flags, sys::CU_MEMHOSTALLOC_WRITECOMBINED);
            assert_eq!(
                pointer_attribute::<u32>(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, mapped + 4095),
                Ok(1)
            );
            assert_eq!(
                pointer_attribute::<u64>(P::CU_POINTER_ATTRIBUTE_RANGE_SIZE, mapped),
                Ok(4096)
            );
            assert_eq!(
                pointer_attribute::<u32>(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, mapped + 4096),
                Err(INVALID)
            );
            result::free_host(pointer).expect("free");
            assert_eq!(sys::cuMemFreeHost(pointer), INVALID, "double free");
            assert_eq!(sys::cuMemHostAlloc(&mut pointer, 0, 0), INVALID);
            assert_eq!(sys::cuMemHostAlloc(&mut pointer, 16, 0x80), INVALID);
        }
    });
}

#[test]
fn registered_memory_is_the_programs_own() {
    on_emulator(&[], || {
        let _context = device();
        let mut data = vec![7_u8; 8192];
        let pointer: *mut c_void = data.as_mut_ptr().cast();
        let mut mapped = 0;
        // SAFETY: `data` outlives the registration.
        unsafe {
            assert_eq!(
                sys::cuMemHostUnregister(pointer),
                CUresult::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
            );
            sys::cuMemHostRegister_v2(pointer, 4096, 0).result().expect("register");
            let again = sys::cuMemHostRegister_v2(pointer.byte_add(4095), 2, 0);
            assert_eq!(again, CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
            sys::cuMemHostRegister_v2(pointer.byte_add(4096), 4096, 0).result().expect("beside it");
            sys::cuMemHostGetDevicePointer_v2(&mut mapped, pointer.byte_add(5), 0)
                .result()
                .expect("mapped");
            assert_eq!(mapped, pointer as u64 + 5);
            assert_eq!(sys::cuMemFreeHost(pointer), INVALID, "not allocated by the driver");
            sys::cuMemHostUnregister(pointer).result().expect("unregister");
            assert_eq!(sys::cuMemHostGetDevicePointer_v2(&mut mapped, pointer, 0), INVALID);
        }
        assert!(data.iter().all(|&byte| byte == 7));
    });
}

#[test]
fn pointers_are_told_apart() {
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", "h100,a100")], || {
        let _first = device();
        let second = CudaContext::new(1).expect("a device");
        second.bind_to_thread().expect("current");
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(100) }.expect("memory");
        assert_eq!(pointer_attribute::<u32>(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address), Ok(2));
        assert_eq!(
            pointer_attribute::<i32>(P::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address + 99),
            Ok(1)
        );
        assert_eq!(
            pointer_attribute::<u64>(P::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address + 99),
            Ok(address)
        );
        assert_eq!(
            pointer_attribute::<usize>(P::CU_POINTER_ATTRIBUTE_CONTEXT, address),
            Ok(second.cu_ctx() as usize)
        );
        assert_eq!(
            pointer_attribute::<u64>(P::CU_POINTER_ATTRIBUTE_HOST_POINTER, address),
            Err(INVALID)
        );
        let (mut base, mut bytes) = (0, 0);
        // SAFETY: valid output pointers.
        unsafe {
            sys::cuMemGetAddressRange_v2(&mut base, &mut bytes, address + 50)
                .result()
                .expect("known");
            assert_eq!((base, bytes), (address, 100));
            let not_found = sys::cuMemGetAddressRange_v2(&mut base, &mut bytes, address + 100);
            assert_eq!(not_found, CUresult::CUDA_ERROR_NOT_FOUND);
        }
        // A pointer that the driver does not know: zeros, and no error.
        let mut kind = 9_u32;
        let (mut which, mut data) =
            ([P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE], [(&raw mut kind).cast::<c_void>()]);
        // SAFETY: arrays of one element.
        unsafe { sys::cuPointerGetAttributes(1, which.as_mut_ptr(), data.as_mut_ptr(), 4096) }
            .result()
            .expect("no error");
        assert_eq!(kind, 0);
    });
}
