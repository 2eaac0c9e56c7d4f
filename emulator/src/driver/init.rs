//! Initialisation, versions, entry points by name, and what marks this driver as an emulator.

use super::error::{Code, Result, ensure, guard, store};
use super::handle::lock;
use super::launch::{COUNTERS_OF, LAST_COUNTERS};
use super::not_offered::NOT_OFFERED;
use super::state::{driver, init};
use crate::machine::Counters;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> Code {
    guard("cuInit", || {
        ensure(flags == 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        init()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Code {
    guard("cuDriverGetVersion", || {
        // Answers before `cuInit`, too, as documented.
        let answer = driver()
            .map_or_else(|_| super::jit::newest_driver(), |driver| driver.settings.driver_version);
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(version, answer as c_int) }
    })
}

/// The address of an exported symbol of this library.
fn exported(name: &str) -> Option<*mut c_void> {
    let name = CString::new(name).ok()?;
    let mut here = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is one of this library's functions; the output is valid for writing.
    let found = unsafe { libc::dladdr(cuInit as *const c_void, here.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY: filled in by the call; the library is loaded already, so this only names it.
    let library = unsafe {
        let path = here.assume_init().dli_fname;
        libc::dlopen(path, libc::RTLD_NOLOAD | libc::RTLD_LAZY)
    };
    if library.is_null() {
        return None;
    }
    // SAFETY: an open library and a C string; the library stays loaded, whatever this reference does.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

/// The entry point that a name of `cuda.h` stands for in a program of a CUDA version: the newest of its versions that such
/// a program knows and the emulator offers.
fn entry_point(name: &str, version: c_int) -> Option<*mut c_void> {
    // From 12.0 on the header's macro renames this one.
    let name = match name {
        "cuGraphInstantiate" if version >= 12000 => "cuGraphInstantiateWithFlags",
        name => name,
    };
    // Among what is offered only `cuCtxCreate` has a third and a fourth version.
    let suffixes = [("_v4", 12050), ("_v3", 11040), ("_v2", 0), ("", 0)];
    let known = suffixes.iter().filter(|(_, since)| version >= *since);
    let names: Vec<_> = known.map(|(suffix, _)| format!("{name}{suffix}")).collect();
    let find = |wanted: &dyn Fn(&str) -> bool| {
        names.iter().filter(|name| wanted(name)).find_map(|name| exported(name))
    };
    find(&|name| !NOT_OFFERED.contains(&name)).or_else(|| find(&|_| true))
}

fn look_up(
    name: *const c_char,
    pointer: *mut *mut c_void,
    version: c_int,
    flags: u64,
) -> Result<bool> {
    /// `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`.
    const PER_THREAD: u64 = 2;
    // The `_ptsz` variants, whose null stream is the thread's own, are not offered; the others would be silently wrong.
    ensure(flags & PER_THREAD == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
    ensure(!name.is_null() && !pointer.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    // SAFETY: not null; a C string, as the C caller must pass it.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default();
    let found = entry_point(name, version).filter(|_| name.starts_with("cu"));
    // SAFETY: not null and valid.
    unsafe { store(pointer, found.unwrap_or(std::ptr::null_mut())) }?;
    Ok(found.is_some())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetProcAddress_v2(
    name: *const c_char,
    pointer: *mut *mut c_void,
    version: c_int,
    flags: u64,
    status: *mut c_uint,
) -> Code {
    /// `CU_GET_PROC_ADDRESS_SUCCESS`, `CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND`.
    const ANSWERS: [c_uint; 2] = [0, 1];
    guard("cuGetProcAddress", || {
        let found = look_up(name, pointer, version, flags)?;
        // SAFETY: not null, then valid.
        unsafe {
            if !status.is_null() {
                store(status, ANSWERS[usize::from(!found)])?;
            }
        }
        ensure(found, Code::CUDA_ERROR_NOT_FOUND)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetProcAddress(
    name: *const c_char,
    pointer: *mut *mut c_void,
    version: c_int,
    flags: u64,
) -> Code {
    guard("cuGetProcAddress", || {
        ensure(look_up(name, pointer, version, flags)?, Code::CUDA_ERROR_NOT_FOUND)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStart() -> Code {
    guard("cuProfilerStart", || super::context::current().map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStop() -> Code {
    guard("cuProfilerStop", || super::context::current().map(|_| ()))
}

/// The emulator's version, as a C string. Only the emulator exports this symbol: a program that finds it in `libcuda`
/// must mark what it measures as emulated.
#[unsafe(no_mangle)]
extern "C" fn hostdyno_emulator_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    CStr::from_bytes_with_nul(VERSION.as_bytes()).map_or(c"".as_ptr(), CStr::as_ptr)
}

/// Adds a plan of faults ([`super::faults`]) to a running process; moments count from now.
#[unsafe(no_mangle)]
unsafe extern "C" fn hostdyno_emulator_inject(plan: *const c_char) -> Code {
    guard("hostdyno_emulator_inject", || {
        let driver = driver()?;
        ensure(!plan.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null; a C string, as the caller must pass it.
        let plan = unsafe { CStr::from_ptr(plan) }.to_string_lossy();
        driver.settings.faults.add(&plan).map_err(|error| {
            eprintln!("hostdyno emulator: {error}");
            Code::CUDA_ERROR_INVALID_VALUE
        })
    })
}

/// Writes the counters of the kernel that ended last as a JSON object, cut to `bytes` with its NUL; returns the length that
/// the whole text needs with its NUL, 0 while no kernel has ended.
#[unsafe(no_mangle)]
unsafe extern "C" fn hostdyno_emulator_counters(buffer: *mut c_char, bytes: usize) -> usize {
    let Some(counters) = *lock(&LAST_COUNTERS) else { return 0 };
    // SAFETY: as the caller must pass it.
    unsafe { write_counters(&counters, buffer, bytes) }
}

/// [`hostdyno_emulator_counters`] of the last launch of `kernel` that ended, whatever has run since; 0 while none has.
#[unsafe(no_mangle)]
unsafe extern "C" fn hostdyno_emulator_counters_of(
    kernel: *const c_char,
    buffer: *mut c_char,
    bytes: usize,
) -> usize {
    if kernel.is_null() {
        return 0;
    }
    // SAFETY: not null; a C string, as the caller must pass it.
    let kernel = unsafe { CStr::from_ptr(kernel) }.to_string_lossy();
    let Some(counters) = lock(&COUNTERS_OF).get(kernel.as_ref()).copied() else { return 0 };
    // SAFETY: as the caller must pass it.
    unsafe { write_counters(&counters, buffer, bytes) }
}

/// Counters as text, as both of these give them.
///
/// # Safety
/// `buffer` is null or valid for `bytes` bytes.
unsafe fn write_counters(counters: &Counters, buffer: *mut c_char, bytes: usize) -> usize {
    let text = serde_json::to_string(counters).unwrap_or_default();
    if !buffer.is_null() && bytes > 0 {
        let kept = text.len().min(bytes - 1);
        // SAFETY: the buffer is valid for `bytes` bytes, of which `kept + 1` are written.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), kept);
            buffer.add(kept).write(0);
        }
    }
    text.len() + 1
}
