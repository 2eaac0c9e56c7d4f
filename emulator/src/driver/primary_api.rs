//! The primary context of each device: counted, made at the first retain, ended at the last release or by a reset.

use super::context::Context;
use super::context_api::FLAGS;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::state::driver;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::Ordering;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) -> Code {
    guard("cuDevicePrimaryCtxRetain", || {
        let driver = driver()?;
        let device = driver.device(device)?;
        ensure(!context.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        let mut primary = lock(&device.primary);
        if primary.active.is_none() {
            primary.active = Some(Context::create(driver, device, primary.flags)?);
        }
        primary.retained += 1;
        let handle = primary.active.as_ref().map_or(std::ptr::null_mut(), |active| active.0);
        // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
        unsafe { store(context, handle) }
    })
}

/// Ends the primary context, if it is active.
fn end_primary(device: c_int) -> Result<()> {
    let driver = driver()?;
    let active = lock(&driver.device(device)?.primary).active.take();
    if let Some((handle, context)) = active {
        context.destroy(driver);
        driver.contexts.remove(handle)?;
    }
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Code {
    guard("cuDevicePrimaryCtxRelease", || {
        let last = {
            let mut primary = lock(&driver()?.device(device)?.primary);
            ensure(primary.retained > 0, Code::CUDA_ERROR_INVALID_CONTEXT)?;
            primary.retained -= 1;
            primary.retained == 0
        };
        if last { end_primary(device) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxReset_v2(device: c_int) -> Code {
    guard("cuDevicePrimaryCtxReset", || {
        // Those who retained it must still release it; a further retain makes a fresh one.
        end_primary(device)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, flags: c_uint) -> Code {
    guard("cuDevicePrimaryCtxSetFlags", || {
        let mut primary = lock(&driver()?.device(device)?.primary);
        ensure(flags & !FLAGS == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        primary.flags = flags;
        if let Some((_, context)) = &primary.active {
            context.flags.store(flags, Ordering::SeqCst);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxGetState(
    device: c_int,
    flags: *mut c_uint,
    active: *mut c_int,
) -> Code {
    guard("cuDevicePrimaryCtxGetState", || {
        let primary = lock(&driver()?.device(device)?.primary);
        // SAFETY: null or valid.
        unsafe {
            store(flags, primary.flags)?;
            store(active, c_int::from(primary.active.is_some()))
        }
    })
}
