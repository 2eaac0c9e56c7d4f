//! Device memory calls: allocate, free, ask.

use super::context::{Context, current};
use super::error::{Code, Result, ensure, guard, store};
use super::pool::Pool;
use super::region::Region;
use super::space::Kind;
use super::state::Driver;
use std::ffi::c_uint;
use std::sync::Arc;

/// A device pointer (`CUdeviceptr`).
pub type DevicePointer = u64;

/// Allocates device memory for a context, or fails as the fault plan says.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for nothing, `CUDA_ERROR_OUT_OF_MEMORY`.
pub fn allocate(
    driver: &Driver,
    context: &Context,
    bytes: usize,
    pool: Option<Arc<Pool>>,
) -> Result<Arc<Region>> {
    ensure(bytes > 0, Code::CUDA_ERROR_INVALID_VALUE)?;
    ensure(!driver.settings.faults.next_allocation_fails(), Code::CUDA_ERROR_OUT_OF_MEMORY)?;
    let region = context.device.allocate(driver, bytes as u64)?;
    let kind = Kind::Device(context.device.ordinal);
    driver.space.insert(region.clone(), kind, context.id, pool)?;
    Ok(region)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(pointer: *mut DevicePointer, bytes: usize) -> Code {
    guard("cuMemAlloc", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        ensure(!pointer.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        let region = allocate(driver, &context, bytes, None)?;
        // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
        unsafe { store(pointer, region.address) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocPitch_v2(
    pointer: *mut DevicePointer,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element: c_uint,
) -> Code {
    /// Rows start at multiples of the texture alignment, as `CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT` reports it.
    const ROW_ALIGNMENT: usize = 512;
    guard("cuMemAllocPitch", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        let valid = !pointer.is_null() && !pitch.is_null() && [4, 8, 16].contains(&element);
        ensure(valid && width > 0 && height > 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let row = width.checked_next_multiple_of(ROW_ALIGNMENT);
        let bytes = row.and_then(|row| row.checked_mul(height));
        let bytes = bytes.ok_or(Code::CUDA_ERROR_OUT_OF_MEMORY)?;
        let region = allocate(driver, &context, bytes, None)?;
        // SAFETY: not null and valid.
        unsafe {
            store(pitch, bytes / height)?;
            store(pointer, region.address)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocManaged(
    pointer: *mut DevicePointer,
    bytes: usize,
    flags: c_uint,
) -> Code {
    guard("cuMemAllocManaged", || {
        current()?;
        let valid = !pointer.is_null() && bytes > 0 && (flags == 1 || flags == 2);
        ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
        // As on a device whose CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY is 0.
        Err(Code::CUDA_ERROR_NOT_SUPPORTED)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(pointer: DevicePointer) -> Code {
    guard("cuMemFree", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        if pointer == 0 {
            return Ok(());
        }
        // Work under way may still use the memory.
        context.synchronize()?;
        let freed = driver.space.remove(pointer, |kind| matches!(kind, Kind::Device(_)));
        let freed = freed.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        if let Kind::Device(ordinal) = freed.kind {
            driver.devices[ordinal].release(&freed.region);
        }
        if let Some(pool) = freed.pool {
            pool.gave_back(freed.region.bytes);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    guard("cuMemGetInfo", || {
        let (_, context) = current()?;
        // SAFETY: null or valid.
        unsafe {
            store(free, context.device.free_bytes() as usize)?;
            store(total, context.device.capacity as usize)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetAddressRange_v2(
    base: *mut DevicePointer,
    bytes: *mut usize,
    pointer: DevicePointer,
) -> Code {
    guard("cuMemGetAddressRange", || {
        let (driver, _) = current()?;
        let region = driver.space.find(pointer).ok_or(Code::CUDA_ERROR_NOT_FOUND)?.region;
        ensure(region.holds(pointer, 1), Code::CUDA_ERROR_NOT_FOUND)?;
        // Both are optional.
        // SAFETY: not null, then valid.
        unsafe {
            if !base.is_null() {
                store(base, region.address)?;
            }
            if !bytes.is_null() {
                store(bytes, region.bytes as usize)?;
            }
        }
        Ok(())
    })
}
