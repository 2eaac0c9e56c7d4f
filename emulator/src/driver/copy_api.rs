//! The copy calls. What the driver API documents about their asynchrony is kept: pinned memory is read and written when
//! the stream comes to the copy; pageable sources are taken at once; pageable targets make the call wait.

use super::command::Command;
use super::context::current;
use super::copy::{Copy, Place, Side};
use super::cost::Route;
use super::error::{Code, Result, ensure, guard};
use super::handle::Handle;
use super::memory::DevicePointer;
use super::state::Driver;
use super::stream;
use std::ffi::{c_uint, c_void};

/// When a copy happens.
enum When {
    /// Before the call returns, in the legacy default stream.
    Now,
    /// In a stream.
    In(Handle),
}

fn perform(driver: &Driver, mut copy: Copy, when: When) -> Result<()> {
    if copy.width == 0 || copy.rows == 0 {
        return Ok(());
    }
    if matches!(copy.route(), Route::Pinned | Route::Pageable) {
        copy.slow = driver.settings.faults.next_copy();
    }
    match when {
        When::Now => {
            let stream = stream::legacy()?;
            driver.captures.refuse_unsafe_call()?;
            stream.submit_and_wait(Command::Copy(copy))
        }
        When::In(stream) => {
            let stream = stream::resolve(stream)?;
            if copy.must_wait() {
                ensure(!stream.is_capturing(), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
                return stream.submit_and_wait(Command::Copy(copy));
            }
            stream.submit(Command::Copy(copy.staged())).map(|_| ())
        }
    }
}

fn to_device(target: DevicePointer, source: *const c_void, bytes: usize, when: When) -> Result<()> {
    let (driver, _) = current()?;
    let target = Place::device(driver, target, bytes as u64)?;
    let source = Place::host(driver, source.cast_mut().cast(), bytes as u64)?;
    perform(driver, Copy::linear(source, target, bytes), when)
}

fn to_host(target: *mut c_void, source: DevicePointer, bytes: usize, when: When) -> Result<()> {
    let (driver, _) = current()?;
    let source = Place::device(driver, source, bytes as u64)?;
    let target = Place::host(driver, target.cast(), bytes as u64)?;
    perform(driver, Copy::linear(source, target, bytes), when)
}

fn on_device(target: DevicePointer, source: DevicePointer, bytes: usize, when: When) -> Result<()> {
    let (driver, _) = current()?;
    let source = Place::device(driver, source, bytes as u64)?;
    let target = Place::device(driver, target, bytes as u64)?;
    perform(driver, Copy::linear(source, target, bytes), when)
}

fn unified(target: DevicePointer, source: DevicePointer, bytes: usize, when: When) -> Result<()> {
    let (driver, _) = current()?;
    let source = Place::any(driver, source, bytes as u64)?;
    let target = Place::any(driver, target, bytes as u64)?;
    perform(driver, Copy::linear(source, target, bytes), when)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(
    target: DevicePointer,
    source: *const c_void,
    bytes: usize,
) -> Code {
    guard("cuMemcpyHtoD", || to_device(target, source, bytes, When::Now))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    target: DevicePointer,
    source: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemcpyHtoDAsync", || to_device(target, source, bytes, When::In(stream)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(
    target: *mut c_void,
    source: DevicePointer,
    bytes: usize,
) -> Code {
    guard("cuMemcpyDtoH", || to_host(target, source, bytes, When::Now))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    target: *mut c_void,
    source: DevicePointer,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemcpyDtoHAsync", || to_host(target, source, bytes, When::In(stream)))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(target: DevicePointer, source: DevicePointer, bytes: usize) -> Code {
    guard("cuMemcpyDtoD", || on_device(target, source, bytes, When::Now))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(
    target: DevicePointer,
    source: DevicePointer,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemcpyDtoDAsync", || on_device(target, source, bytes, When::In(stream)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy(target: DevicePointer, source: DevicePointer, bytes: usize) -> Code {
    guard("cuMemcpy", || unified(target, source, bytes, When::Now))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyAsync(
    target: DevicePointer,
    source: DevicePointer,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemcpyAsync", || unified(target, source, bytes, When::In(stream)))
}

fn between_contexts(
    (target, target_context): (DevicePointer, Handle),
    (source, source_context): (DevicePointer, Handle),
    bytes: usize,
    when: When,
) -> Result<()> {
    let (driver, _) = current()?;
    driver.contexts.get(target_context).map_err(|_| Code::CUDA_ERROR_INVALID_CONTEXT)?.healthy()?;
    driver.contexts.get(source_context).map_err(|_| Code::CUDA_ERROR_INVALID_CONTEXT)?.healthy()?;
    on_device(target, source, bytes, when)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeer(
    target: DevicePointer,
    target_context: Handle,
    source: DevicePointer,
    source_context: Handle,
    bytes: usize,
) -> Code {
    guard("cuMemcpyPeer", || {
        between_contexts((target, target_context), (source, source_context), bytes, When::Now)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeerAsync(
    target: DevicePointer,
    target_context: Handle,
    source: DevicePointer,
    source_context: Handle,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemcpyPeerAsync", || {
        let when = When::In(stream);
        between_contexts((target, target_context), (source, source_context), bytes, when)
    })
}

/// `CUDA_MEMCPY2D` of `cuda.h`, its enumerations as plain numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy2D {
    source: Side2D,
    target: Side2D,
    width: usize,
    height: usize,
}

/// One half of `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Side2D {
    x: usize,
    y: usize,
    memory_type: c_uint,
    host: *mut c_void,
    device: DevicePointer,
    array: *mut c_void,
    pitch: usize,
}

const _: () = assert!(size_of::<Copy2D>() == size_of::<cudarc::driver::sys::CUDA_MEMCPY2D_st>());

impl Side2D {
    /// The side as a place, checked to hold all rows.
    fn resolve(&self, driver: &Driver, width: usize, height: usize) -> Result<Side> {
        let invalid = Code::CUDA_ERROR_INVALID_VALUE;
        let pitch = if self.pitch == 0 { width } else { self.pitch };
        let within = self.x.checked_add(width).is_some_and(|end| end <= pitch || height <= 1);
        ensure(within, invalid)?;
        let offset = self.y.checked_mul(pitch).and_then(|rows| rows.checked_add(self.x));
        let offset = offset.ok_or(invalid)? as u64;
        let rows = pitch.checked_mul(height.saturating_sub(1));
        let bytes = rows.and_then(|rows| rows.checked_add(width)).ok_or(invalid)? as u64;
        // CU_MEMORYTYPE_HOST 1, DEVICE 2, ARRAY 3, UNIFIED 4.
        let place = match self.memory_type {
            1 => Place::host(driver, self.host.cast::<u8>().wrapping_add(offset as usize), bytes)?,
            2 => Place::device(driver, self.device.checked_add(offset).ok_or(invalid)?, bytes)?,
            4 => Place::any(driver, self.device.checked_add(offset).ok_or(invalid)?, bytes)?,
            3 => return Err(Code::CUDA_ERROR_NOT_SUPPORTED),
            _ => return Err(invalid),
        };
        Ok(Side { place, pitch })
    }
}

fn rectangle(copy: *const Copy2D, when: When) -> Result<()> {
    let (driver, _) = current()?;
    ensure(!copy.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    // SAFETY: not null; a `CUDA_MEMCPY2D`, as the C caller must pass it.
    let Copy2D { source, target, width, height } = unsafe { copy.read() };
    let source = source.resolve(driver, width, height)?;
    let target = target.resolve(driver, width, height)?;
    perform(driver, Copy { source, target, width, rows: height, slow: 1.0 }, when)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy2D_v2(copy: *const Copy2D) -> Code {
    guard("cuMemcpy2D", || rectangle(copy, When::Now))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy2DUnaligned_v2(copy: *const Copy2D) -> Code {
    guard("cuMemcpy2DUnaligned", || rectangle(copy, When::Now))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: *const Copy2D, stream: Handle) -> Code {
    guard("cuMemcpy2DAsync", || rectangle(copy, When::In(stream)))
}
