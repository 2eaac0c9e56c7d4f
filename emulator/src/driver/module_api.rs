//! The module and library calls.

use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::Handle;
use super::jit::{self, Refusal};
use super::memory::DevicePointer;
use super::module::{load, text_of};
use super::state::driver;
use std::ffi::{CStr, c_char, c_uint, c_void};

/// `CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES`.
const INFO_LOG_BYTES: c_uint = 4;
/// `CU_JIT_ERROR_LOG_BUFFER`.
const ERROR_LOG: c_uint = 5;
/// `CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES`.
const ERROR_LOG_BYTES: c_uint = 6;

/// The JIT options of a load: an array of numbers and one of values, both the caller's.
struct JitOptions {
    count: usize,
    options: *const c_uint,
    values: *mut *mut c_void,
}

impl JitOptions {
    const NONE: Self = Self { count: 0, options: std::ptr::null(), values: std::ptr::null_mut() };

    /// Where the value of an option is.
    fn slot(&self, option: c_uint) -> Option<*mut *mut c_void> {
        (0..self.count).find_map(|index| {
            // SAFETY: both arrays have `count` elements, as the C caller must pass them.
            let found = unsafe { self.options.add(index).read() } == option;
            found.then(|| self.values.wrapping_add(index))
        })
    }

    /// Fills the error log, and sets the sizes to what was written.
    fn write_log(&self, log: &str) {
        // SAFETY: slots lie in the caller's array; the buffer is as long as its size option says.
        unsafe {
            if let Some(bytes) = self.slot(INFO_LOG_BYTES) {
                bytes.write(std::ptr::null_mut());
            }
            let Some(bytes) = self.slot(ERROR_LOG_BYTES) else { return };
            let room = bytes.read() as usize & c_uint::MAX as usize;
            let buffer = self.slot(ERROR_LOG).map_or(std::ptr::null_mut(), |slot| slot.read());
            let kept = log.len().min(room.saturating_sub(1));
            if room > 0 && !buffer.is_null() {
                std::ptr::copy_nonoverlapping(log.as_ptr(), buffer.cast(), kept);
                buffer.cast::<u8>().add(kept).write(0);
            }
            bytes.write(kept as *mut c_void);
        }
    }
}

/// Loads an image; fills the log and reports a refusal.
fn load_with(
    module: *mut Handle,
    text: std::result::Result<&str, Refusal>,
    options: &JitOptions,
) -> Result<()> {
    current()?;
    ensure(!module.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    let arrays = options.count == 0 || (!options.options.is_null() && !options.values.is_null());
    ensure(arrays, Code::CUDA_ERROR_INVALID_VALUE)?;
    let loaded = match text {
        Ok(text) => load(text)?,
        Err(refusal) => Err(refusal),
    };
    options.write_log(loaded.as_ref().err().map_or("", |refusal| &refusal.log));
    // SAFETY: not null; valid, as the C caller must pass it. The same holds for every output pointer below.
    unsafe { store(module, jit::report(loaded)?) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> Code {
    guard("cuModuleLoadData", || {
        // SAFETY: null or an image.
        load_with(module, unsafe { text_of(image) }, &JitOptions::NONE)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    count: c_uint,
    options: *const c_uint,
    values: *mut *mut c_void,
) -> Code {
    guard("cuModuleLoadDataEx", || {
        let options = JitOptions { count: count as usize, options, values };
        // SAFETY: null or an image.
        load_with(module, unsafe { text_of(image) }, &options)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadFatBinary(module: *mut Handle, image: *const c_void) -> Code {
    // SAFETY: null or an image.
    unsafe { cuModuleLoadData(module, image) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> Code {
    guard("cuModuleLoad", || {
        current()?;
        let bytes = std::fs::read(c_string(path)?).map_err(|_| Code::CUDA_ERROR_FILE_NOT_FOUND)?;
        let mut image = bytes;
        image.push(0);
        // SAFETY: ends in NUL, as pushed above.
        load_with(module, unsafe { text_of(image.as_ptr().cast()) }, &JitOptions::NONE)
    })
}

/// A name that the C caller passed.
fn c_string<'a>(text: *const c_char) -> Result<&'a str> {
    ensure(!text.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    // SAFETY: not null; a C string, as the C caller must pass it.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Code::CUDA_ERROR_NOT_FOUND)
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: Handle) -> Code {
    guard("cuModuleUnload", || {
        let (driver, context) = current()?;
        driver.captures.refuse_unsafe_call()?;
        let module = driver.modules.get(module).and_then(|_| driver.modules.remove(module))?;
        // Kernels under way may still use the variables.
        let outcome = context.synchronize();
        module.unload(driver);
        outcome
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> Code {
    guard("cuModuleGetFunction", || {
        let (driver, _) = current()?;
        ensure(!function.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        let handle = driver.modules.get(module)?.function(driver, c_string(name)?)?;
        // SAFETY: not null and valid.
        unsafe { store(function, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunctionCount(count: *mut c_uint, module: Handle) -> Code {
    guard("cuModuleGetFunctionCount", || {
        let functions = driver()?.modules.get(module)?.image.module.functions.len();
        // SAFETY: null or valid.
        unsafe { store(count, functions as c_uint) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetGlobal_v2(
    pointer: *mut DevicePointer,
    bytes: *mut usize,
    module: Handle,
    name: *const c_char,
) -> Code {
    guard("cuModuleGetGlobal", || {
        let (driver, _) = current()?;
        let (address, size) = driver.modules.get(module)?.variable(c_string(name)?)?;
        // Both are optional.
        // SAFETY: not null, then valid.
        unsafe {
            if !pointer.is_null() {
                store(pointer, address)?;
            }
            if !bytes.is_null() {
                store(bytes, size as usize)?;
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetLoadingMode(mode: *mut c_uint) -> Code {
    /// `CU_MODULE_EAGER_LOADING`.
    const EAGER: c_uint = 1;
    guard("cuModuleGetLoadingMode", || {
        driver()?;
        // SAFETY: null or valid.
        unsafe { store(mode, EAGER) }
    })
}

// Libraries are modules of the current context here: a program with one context sees no difference.

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLibraryLoadData(
    library: *mut Handle,
    image: *const c_void,
    jit_options: *const c_uint,
    jit_values: *mut *mut c_void,
    jit_count: c_uint,
    _library_options: *const c_uint,
    _library_values: *mut *mut c_void,
    _library_count: c_uint,
) -> Code {
    guard("cuLibraryLoadData", || {
        let options =
            JitOptions { count: jit_count as usize, options: jit_options, values: jit_values };
        // SAFETY: null or an image.
        load_with(library, unsafe { text_of(image) }, &options)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuLibraryUnload(library: Handle) -> Code {
    cuModuleUnload(library)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLibraryGetKernel(
    kernel: *mut Handle,
    library: Handle,
    name: *const c_char,
) -> Code {
    // SAFETY: null or valid.
    unsafe { cuModuleGetFunction(kernel, library, name) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLibraryGetModule(module: *mut Handle, library: Handle) -> Code {
    guard("cuLibraryGetModule", || {
        driver()?.modules.get(library)?;
        // SAFETY: null or valid.
        unsafe { store(module, library) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLibraryGetGlobal(
    pointer: *mut DevicePointer,
    bytes: *mut usize,
    library: Handle,
    name: *const c_char,
) -> Code {
    // SAFETY: null or valid.
    unsafe { cuModuleGetGlobal_v2(pointer, bytes, library, name) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuKernelGetFunction(function: *mut Handle, kernel: Handle) -> Code {
    guard("cuKernelGetFunction", || {
        driver()?.functions.get(kernel)?;
        // SAFETY: null or valid.
        unsafe { store(function, kernel) }
    })
}
