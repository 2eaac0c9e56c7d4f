//! The context calls: own contexts, the stack of each thread, limits.

use super::context::{
    Context, current, current_any, current_handle, pop_current, push_current, set_current,
};
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::state::driver;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::Ordering;

/// `CU_CTX_SCHED_*`, `CU_CTX_MAP_HOST`, `CU_CTX_LMEM_RESIZE_TO_MAX`, `CU_CTX_SYNC_MEMOPS` and the core-dump flags.
pub const FLAGS: c_uint = 0xff;

fn create(context: *mut Handle, flags: c_uint, device: c_int) -> Result<()> {
    let driver = driver()?;
    let device = driver.device(device)?;
    let valid = !context.is_null() && flags & !FLAGS == 0;
    ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
    let (handle, _) = Context::create(driver, device, flags)?;
    push_current(handle);
    // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
    unsafe { store(context, handle) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v2(context: *mut Handle, flags: c_uint, device: c_int) -> Code {
    guard("cuCtxCreate", || create(context, flags, device))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v3(
    context: *mut Handle,
    _affinity: *mut c_void,
    affinities: c_int,
    flags: c_uint,
    device: c_int,
) -> Code {
    guard("cuCtxCreate", || {
        ensure(affinities == 0, Code::CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY)?;
        create(context, flags, device)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v4(
    context: *mut Handle,
    params: *mut c_void,
    flags: c_uint,
    device: c_int,
) -> Code {
    guard("cuCtxCreate", || {
        // Affinity and graphics interoperation are what the parameters ask for.
        ensure(params.is_null(), Code::CUDA_ERROR_NOT_SUPPORTED)?;
        create(context, flags, device)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxDestroy_v2(handle: Handle) -> Code {
    guard("cuCtxDestroy", || {
        let driver = driver()?;
        let context = driver.contexts.get(handle).map_err(|_| Code::CUDA_ERROR_INVALID_CONTEXT)?;
        let primary = lock(&context.device.primary).active.as_ref().map(|active| active.0);
        ensure(primary != Some(handle), Code::CUDA_ERROR_INVALID_CONTEXT)?;
        context.destroy(driver);
        driver.contexts.remove(handle)?;
        // The current context of this thread is popped, as documented.
        if current_handle() == handle {
            pop_current()?;
        }
        Ok(())
    })
}

/// Refuses a handle that is no live context; null is none.
fn live(handle: Handle) -> Result<()> {
    let driver = driver()?;
    if !handle.is_null() {
        driver.contexts.get(handle).map_err(|_| Code::CUDA_ERROR_INVALID_CONTEXT)?;
    }
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> Code {
    guard("cuCtxSetCurrent", || {
        live(context)?;
        set_current(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Code {
    guard("cuCtxGetCurrent", || {
        driver()?;
        // SAFETY: null or valid.
        unsafe { store(context, current_handle()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> Code {
    guard("cuCtxPushCurrent", || {
        ensure(!context.is_null(), Code::CUDA_ERROR_INVALID_CONTEXT)?;
        live(context)?;
        push_current(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut Handle) -> Code {
    guard("cuCtxPopCurrent", || {
        driver()?;
        let popped = pop_current()?;
        // SAFETY: not null, then valid.
        unsafe {
            if !context.is_null() {
                store(context, popped)?;
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> Code {
    guard("cuCtxGetDevice", || {
        let (_, context) = current_any()?;
        // SAFETY: null or valid.
        unsafe { store(device, context.device.ordinal as c_int) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Code {
    guard("cuCtxSynchronize", || {
        let (driver, context) = current()?;
        driver.captures.refuse_synchronization(&context)?;
        context.synchronize()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetFlags(flags: *mut c_uint) -> Code {
    guard("cuCtxGetFlags", || {
        let (_, context) = current_any()?;
        // SAFETY: null or valid.
        unsafe { store(flags, context.flags.load(Ordering::SeqCst)) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetFlags(flags: c_uint) -> Code {
    guard("cuCtxSetFlags", || {
        let (_, context) = current_any()?;
        ensure(flags & !FLAGS == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        context.flags.store(flags, Ordering::SeqCst);
        Ok(())
    })
}

/// The context of a handle; null is the current one.
fn of(handle: Handle) -> Result<std::sync::Arc<Context>> {
    if handle.is_null() {
        return current_any().map(|current| current.1);
    }
    driver()?.contexts.get(handle).map_err(|_| Code::CUDA_ERROR_INVALID_CONTEXT)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetId(context: Handle, id: *mut u64) -> Code {
    // SAFETY: null or valid.
    guard("cuCtxGetId", || unsafe { store(id, of(context)?.id) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetApiVersion(context: Handle, version: *mut c_uint) -> Code {
    /// What every driver of the last years answers.
    const API_VERSION: c_uint = 3020;
    guard("cuCtxGetApiVersion", || {
        of(context)?;
        // SAFETY: null or valid.
        unsafe { store(version, API_VERSION) }
    })
}

/// Default of each `CUlimit`: stack 1 KiB, printf FIFO 1 MiB, malloc heap 8 MiB, device-runtime depth 2 and launches 2048,
/// L2 fetch granularity 64 B, persisting L2 0 B.
const LIMITS: [usize; 7] = [1024, 1 << 20, 8 << 20, 2, 2048, 64, 0];

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetLimit(value: *mut usize, limit: c_uint) -> Code {
    guard("cuCtxGetLimit", || {
        let (_, context) = current()?;
        let default = LIMITS.get(limit as usize).ok_or(Code::CUDA_ERROR_UNSUPPORTED_LIMIT)?;
        let set = lock(&context.limits).get(&limit).copied();
        // SAFETY: null or valid.
        unsafe { store(value, set.unwrap_or(*default)) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetLimit(limit: c_uint, value: usize) -> Code {
    guard("cuCtxSetLimit", || {
        let (_, context) = current()?;
        ensure((limit as usize) < LIMITS.len(), Code::CUDA_ERROR_UNSUPPORTED_LIMIT)?;
        lock(&context.limits).insert(limit, value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCacheConfig(config: *mut c_uint) -> Code {
    guard("cuCtxGetCacheConfig", || {
        current()?;
        // CU_FUNC_CACHE_PREFER_NONE, as on every device whose L1 and shared memory are not fixed.
        // SAFETY: null or valid.
        unsafe { store(config, 0) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCacheConfig(config: c_uint) -> Code {
    guard("cuCtxSetCacheConfig", || {
        current()?;
        ensure(config <= 3, Code::CUDA_ERROR_INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxResetPersistingL2Cache() -> Code {
    guard("cuCtxResetPersistingL2Cache", || current().map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxEnablePeerAccess(peer: Handle, flags: c_uint) -> Code {
    guard("cuCtxEnablePeerAccess", || {
        let (_, context) = current()?;
        ensure(flags == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        ensure(of(peer)?.id != context.id, Code::CUDA_ERROR_INVALID_CONTEXT)?;
        // As `cuDeviceCanAccessPeer` says.
        Err(Code::CUDA_ERROR_PEER_ACCESS_UNSUPPORTED)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxDisablePeerAccess(peer: Handle) -> Code {
    guard("cuCtxDisablePeerAccess", || {
        current()?;
        of(peer)?;
        Err(Code::CUDA_ERROR_PEER_ACCESS_NOT_ENABLED)
    })
}
