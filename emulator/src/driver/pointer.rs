//! Pointer queries (`cuPointerGetAttribute`).

use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::Handle;
use super::space::{Allocation, Kind};
use super::state::Driver;
use cudarc::driver::sys::CUpointer_attribute as P;
use std::ffi::{c_int, c_uint, c_void};

/// An answer, in the type that `cuda.h` gives to the attribute.
enum Answer {
    Int(c_int),
    Uint(c_uint),
    Word(u64),
    Handle(Handle),
}

fn answer(driver: &Driver, which: c_uint, address: u64) -> Result<Answer> {
    let allocation = driver.space.find(address).filter(|a| a.region.holds(address, 1));
    let of = |f: &dyn Fn(&Allocation) -> Answer| {
        allocation.as_ref().map(f).ok_or(Code::CUDA_ERROR_INVALID_VALUE)
    };
    let is = |attribute: P| which == attribute as c_uint;
    if is(P::CU_POINTER_ATTRIBUTE_CONTEXT) {
        let id = allocation.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?.context;
        driver.context_handle(id).map(Answer::Handle)
    } else if is(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
        // CU_MEMORYTYPE_HOST 1, CU_MEMORYTYPE_DEVICE 2.
        of(&|a| Answer::Uint(if matches!(a.kind, Kind::Device(_)) { 2 } else { 1 }))
    } else if is(P::CU_POINTER_ATTRIBUTE_DEVICE_POINTER) {
        of(&|_| Answer::Word(address))
    } else if is(P::CU_POINTER_ATTRIBUTE_HOST_POINTER) {
        let host = allocation.filter(|a| !matches!(a.kind, Kind::Device(_)));
        host.map(|_| Answer::Word(address)).ok_or(Code::CUDA_ERROR_INVALID_VALUE)
    } else if is(P::CU_POINTER_ATTRIBUTE_BUFFER_ID) {
        of(&|a| Answer::Word(a.id))
    } else if is(P::CU_POINTER_ATTRIBUTE_IS_MANAGED) {
        of(&|_| Answer::Uint(0))
    } else if is(P::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
        of(&|a| Answer::Int(if let Kind::Device(ordinal) = a.kind { ordinal as c_int } else { 0 }))
    } else if is(P::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR) {
        of(&|a| Answer::Word(a.region.address))
    } else if is(P::CU_POINTER_ATTRIBUTE_RANGE_SIZE) {
        of(&|a| Answer::Word(a.region.bytes))
    } else if is(P::CU_POINTER_ATTRIBUTE_MAPPED) {
        Ok(Answer::Uint(c_uint::from(allocation.is_some())))
    } else {
        Err(Code::CUDA_ERROR_NOT_SUPPORTED)
    }
}

/// What `cuPointerGetAttributes` says of a pointer that the driver does not know, as documented.
fn unknown(which: c_uint) -> Answer {
    let is = |attribute: P| which == attribute as c_uint;
    if is(P::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
        Answer::Int(-2)
    } else if is(P::CU_POINTER_ATTRIBUTE_MEMORY_TYPE) || is(P::CU_POINTER_ATTRIBUTE_IS_MANAGED) {
        Answer::Uint(0)
    } else {
        Answer::Word(0)
    }
}

/// # Safety
/// `data` must be null or valid for the attribute's type.
unsafe fn deliver(data: *mut c_void, answer: Answer) -> Result<()> {
    // SAFETY: as the caller promises.
    unsafe {
        match answer {
            Answer::Int(value) => store(data.cast(), value),
            Answer::Uint(value) => store(data.cast(), value),
            Answer::Word(value) => store(data.cast(), value),
            Answer::Handle(value) => store(data.cast(), value),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuPointerGetAttribute(data: *mut c_void, which: c_uint, address: u64) -> Code {
    guard("cuPointerGetAttribute", || {
        let (driver, _) = current()?;
        // SAFETY: null or valid, as the C caller must pass it.
        unsafe { deliver(data, answer(driver, which, address)?) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuPointerGetAttributes(
    count: c_uint,
    which: *const c_uint,
    data: *const *mut c_void,
    address: u64,
) -> Code {
    guard("cuPointerGetAttributes", || {
        let (driver, _) = current()?;
        let valid = count > 0 && !which.is_null() && !data.is_null();
        ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
        for index in 0..count as usize {
            // SAFETY: both arrays have `count` elements.
            let (which, data) = unsafe { (which.add(index).read(), data.add(index).read()) };
            // A pointer that the driver does not know gives zeros and no error, as documented.
            let answer = match answer(driver, which, address) {
                Err(Code::CUDA_ERROR_INVALID_VALUE) => unknown(which),
                answer => answer?,
            };
            // SAFETY: null or valid for the attribute.
            unsafe { deliver(data, answer)? };
        }
        Ok(())
    })
}
