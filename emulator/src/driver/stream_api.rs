//! The stream calls.

use super::command::{Command, HostFunction, StreamCallback, UserData};
use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::state::driver;
use super::stream::{Order, PRIORITIES, Stream, is_default, refuse_while_capturing, resolve};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;

fn create(stream: *mut Handle, flags: c_uint, priority: c_int) -> Result<()> {
    let (driver, context) = current()?;
    let valid = !stream.is_null() && flags & !NON_BLOCKING == 0;
    ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
    let order = if flags == NON_BLOCKING { Order::Free } else { Order::Blocking };
    // Priorities outside the range are clamped, as documented.
    let priority = priority.clamp(PRIORITIES.1, PRIORITIES.0);
    let made = driver.streams.insert(Arc::new(Stream::new(context, order, priority)));
    // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
    unsafe { store(stream, made) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: c_uint) -> Code {
    guard("cuStreamCreate", || create(stream, flags, 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut Handle,
    flags: c_uint,
    priority: c_int,
) -> Code {
    guard("cuStreamCreateWithPriority", || create(stream, flags, priority))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Code {
    guard("cuStreamDestroy", || {
        ensure(!is_default(stream), Code::CUDA_ERROR_INVALID_HANDLE)?;
        let stream = driver()?.streams.remove(stream)?;
        if let Some(leg) = lock(&stream.leg).take() {
            leg.capture.spoil();
        }
        stream.close();
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> Code {
    guard("cuStreamSynchronize", || {
        let stream = resolve(stream)?;
        refuse_while_capturing(&stream)?;
        match stream.order {
            // The legacy default stream's work comes after that of all blocking streams.
            Order::Legacy => stream.submit_and_wait(Command::Marker),
            _ => {
                stream.last().wait();
                stream.context.healthy()
            }
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> Code {
    guard("cuStreamQuery", || {
        let stream = resolve(stream)?;
        refuse_while_capturing(&stream)?;
        stream.context.healthy()?;
        ensure(stream.last().time().is_some(), Code::CUDA_ERROR_NOT_READY)?;
        stream.context.healthy()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetPriority(stream: Handle, priority: *mut c_int) -> Code {
    // SAFETY: null or valid.
    guard("cuStreamGetPriority", || unsafe { store(priority, resolve(stream)?.priority) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetFlags(stream: Handle, flags: *mut c_uint) -> Code {
    guard("cuStreamGetFlags", || {
        let order = resolve(stream)?.order;
        // SAFETY: null or valid.
        unsafe { store(flags, if order == Order::Free { NON_BLOCKING } else { 0 }) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetId(stream: Handle, id: *mut u64) -> Code {
    guard("cuStreamGetId", || {
        let resolved = resolve(stream)?;
        // The default streams are made for each call; their handle is their number.
        let number = if is_default(stream) { (stream as u64).max(1) } else { resolved.id };
        // SAFETY: null or valid.
        unsafe { store(id, number) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetCtx(stream: Handle, context: *mut Handle) -> Code {
    guard("cuStreamGetCtx", || {
        let handle = driver()?.context_handle(resolve(stream)?.context.id)?;
        // SAFETY: null or valid.
        unsafe { store(context, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetDevice(stream: Handle, device: *mut c_int) -> Code {
    guard("cuStreamGetDevice", || {
        let ordinal = resolve(stream)?.context.device.ordinal;
        // SAFETY: null or valid.
        unsafe { store(device, ordinal as c_int) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<HostFunction>,
    data: *mut c_void,
) -> Code {
    guard("cuLaunchHostFunc", || {
        let function = function.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        resolve(stream)?.submit(Command::Host(function, UserData(data))).map(|_| ())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamAddCallback(
    handle: Handle,
    callback: Option<StreamCallback>,
    data: *mut c_void,
    flags: c_uint,
) -> Code {
    guard("cuStreamAddCallback", || {
        let callback = callback.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        ensure(flags == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let stream = resolve(handle)?;
        refuse_while_capturing(&stream)?;
        let command = Command::Callback(callback, UserData(handle), UserData(data));
        stream.submit(command).map(|_| ())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> Code {
    guard("cuCtxGetStreamPriorityRange", || {
        current()?;
        // Both are optional.
        // SAFETY: not null, then valid.
        unsafe {
            if !least.is_null() {
                store(least, PRIORITIES.0)?;
            }
            if !greatest.is_null() {
                store(greatest, PRIORITIES.1)?;
            }
        }
        Ok(())
    })
}
