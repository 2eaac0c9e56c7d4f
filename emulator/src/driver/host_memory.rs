//! Page-locked host memory: allocated by the driver, or the program's own, registered. Kernels reach both by the host's
//! address, on every device, as under unified addressing.

use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::memory::DevicePointer;
use super::region::Region;
use super::space::Kind;
use super::state::Driver;
use std::ffi::{c_uint, c_void};
use std::sync::Arc;

/// `CU_MEMHOSTALLOC_PORTABLE | DEVICEMAP | WRITECOMBINED`.
const ALLOC_FLAGS: c_uint = 0x7;
/// `CU_MEMHOSTREGISTER_PORTABLE | DEVICEMAP | IOMEMORY | READ_ONLY`.
const REGISTER_FLAGS: c_uint = 0xf;
/// `CU_MEMHOSTREGISTER_IOMEMORY`: third-party device memory, which this device cannot reach.
const REGISTER_IOMEMORY: c_uint = 0x4;

fn show(driver: &Driver, region: &Arc<Region>) {
    for device in &driver.devices {
        device.show(region);
    }
}

/// Takes host memory out of everybody's reach.
fn hide(driver: &Driver, region: &Region) {
    region.free();
    for device in &driver.devices {
        device.hide(region.address);
    }
}

fn allocate(pointer: *mut *mut c_void, bytes: usize, flags: c_uint) -> Result<()> {
    let (driver, context) = current()?;
    driver.captures.refuse_unsafe_call()?;
    let valid = !pointer.is_null() && bytes > 0 && flags & !ALLOC_FLAGS == 0;
    ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
    let region = Arc::new(Region::host(bytes as u64)?);
    driver.space.insert(region.clone(), Kind::Host(flags), context.id, None)?;
    show(driver, &region);
    // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
    unsafe { store(pointer, region.pointer.cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(
    pointer: *mut *mut c_void,
    bytes: usize,
    flags: c_uint,
) -> Code {
    guard("cuMemHostAlloc", || allocate(pointer, bytes, flags))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocHost_v2(pointer: *mut *mut c_void, bytes: usize) -> Code {
    guard("cuMemAllocHost", || allocate(pointer, bytes, 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> Code {
    guard("cuMemFreeHost", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        context.synchronize()?;
        let address = pointer as u64;
        let freed = driver.space.remove(address, |kind| matches!(kind, Kind::Host(_)));
        hide(driver, &freed.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?.region);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostRegister_v2(
    pointer: *mut c_void,
    bytes: usize,
    flags: c_uint,
) -> Code {
    guard("cuMemHostRegister", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        let fits = (pointer as usize).checked_add(bytes).is_some();
        let valid = !pointer.is_null() && bytes > 0 && fits && flags & !REGISTER_FLAGS == 0;
        ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
        ensure(flags & REGISTER_IOMEMORY == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
        let region = Arc::new(Region::registered(pointer.cast(), bytes as u64));
        driver.space.insert(region.clone(), Kind::Registered(flags), context.id, None)?;
        show(driver, &region);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostUnregister(pointer: *mut c_void) -> Code {
    guard("cuMemHostUnregister", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        ensure(!pointer.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        context.synchronize()?;
        let address = pointer as u64;
        let freed = driver.space.remove(address, |kind| matches!(kind, Kind::Registered(_)));
        hide(driver, &freed.ok_or(Code::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)?.region);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostGetDevicePointer_v2(
    device_pointer: *mut DevicePointer,
    pointer: *mut c_void,
    flags: c_uint,
) -> Code {
    guard("cuMemHostGetDevicePointer", || {
        let (driver, _) = current()?;
        ensure(flags == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let allocation = driver.space.range(pointer as u64, 1)?;
        let is_host = !matches!(allocation.kind, Kind::Device(_));
        ensure(is_host, Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid.
        unsafe { store(device_pointer, pointer as u64) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostGetFlags(flags: *mut c_uint, pointer: *mut c_void) -> Code {
    guard("cuMemHostGetFlags", || {
        let (driver, _) = current()?;
        let Kind::Host(answer) = driver.space.range(pointer as u64, 1)?.kind else {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        };
        // SAFETY: null or valid.
        unsafe { store(flags, answer) }
    })
}
