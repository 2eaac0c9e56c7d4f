//! Modules: what is compiled, what is refused and with which code and log, variables, handles.

use crate::ptx::{SCALE, VARIABLES};
use crate::support::{device, on_emulator};
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUjit_option as J, CUresult};
use std::ffi::{CString, c_void};

/// Loads a text; the code, and what the error log says.
fn load(text: &str) -> (CUresult, String) {
    let image = CString::new(text).expect("no NUL");
    let mut log = vec![0x55_u8; 512];
    let mut options = [J::CU_JIT_ERROR_LOG_BUFFER, J::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
    let mut module = std::ptr::null_mut();
    // SAFETY: a C string, arrays of two elements, a buffer of the stated length.
    let code = unsafe {
        sys::cuModuleLoadDataEx(
            &mut module,
            image.as_ptr().cast(),
            2,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    assert_eq!(code == CUresult::CUDA_SUCCESS, !module.is_null());
    let used = values[1] as usize;
    if used > 0 {
        assert_eq!(log[used], 0, "terminated");
    }
    (code, String::from_utf8(log[..used].to_vec()).expect("text"))
}

fn with(version: &str, target: &str) -> String {
    SCALE
        .replace(".version 7.0", &format!(".version {version}"))
        .replace(".target sm_80", &format!(".target {target}"))
}

#[test]
fn a_target_that_the_device_is_not_is_refused_with_a_log() {
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", "h100")], || {
        let _context = device();
        assert_eq!(load(&with("8.0", "sm_90")), (CUresult::CUDA_SUCCESS, String::new()));
        assert_eq!(load(&with("8.0", "sm_90a")).0, CUresult::CUDA_SUCCESS);
        let (code, log) = load(&with("8.7", "sm_100"));
        assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX);
        assert!(log.contains("higher than default SM version"), "{log}");
        assert_eq!(load(&with("8.7", "sm_100a")).0, CUresult::CUDA_ERROR_INVALID_PTX);
    });
}

#[test]
fn an_architecture_specific_target_does_not_run_on_a_later_device() {
    on_emulator(&[("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000")], || {
        let _context = device();
        let (code, log) = load(&with("8.0", "sm_90a"));
        assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX);
        assert!(log.contains("sm_90a") && log.contains("sm_120"), "{log}");
        assert_eq!(load(&with("8.0", "sm_90")).0, CUresult::CUDA_SUCCESS);
        assert_eq!(load(&with("8.7", "sm_120a")).0, CUresult::CUDA_SUCCESS);
        assert_eq!(load(&with("9.0", "sm_120f")).0, CUresult::CUDA_SUCCESS);
    });
}

#[test]
fn ptx_newer_than_the_driver_is_refused() {
    on_emulator(&[("HOSTDYNO_EMULATED_DRIVER", "12.8")], || {
        let _context = device();
        let mut version = 0;
        // SAFETY: a valid output pointer.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().expect("a version");
        assert_eq!(version, 12080);
        assert_eq!(load(&with("8.7", "sm_80")).0, CUresult::CUDA_SUCCESS);
        let (code, log) = load(&with("9.0", "sm_80"));
        assert_eq!(code, CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
        assert!(log.contains("9.0"), "{log}");
    });
}

#[test]
fn machine_code_garbage_and_nothing_are_refused() {
    on_emulator(&[], || {
        let _context = device();
        let mut module = std::ptr::null_mut();
        let mut load_image = |image: *const c_void| {
            // SAFETY: null, machine code of eight bytes, or a C string.
            unsafe { sys::cuModuleLoadData(&mut module, image) }
        };
        let none = CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU;
        assert_eq!(load_image([0x7f, b'E', b'L', b'F', 2, 1, 1, 0_u8].as_ptr().cast()), none);
        assert_eq!(load_image(0x0001_0001_ba55_ed50_u64.to_le_bytes().as_ptr().cast()), none);
        assert_eq!(load_image(std::ptr::null()), CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(load_image(c"\xff\xfe".as_ptr().cast()), CUresult::CUDA_ERROR_INVALID_IMAGE);
        let (code, log) = load(&SCALE.replace("mul.f32", "mull.f32"));
        assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX);
        let line = SCALE.lines().position(|line| line.contains("mul.f32")).expect("there") + 1;
        assert!(log.contains(&format!("line {line}")), "{log}");
        assert_eq!(load("").0, CUresult::CUDA_ERROR_INVALID_PTX);
        assert_eq!(load("hello").0, CUresult::CUDA_ERROR_INVALID_PTX);
        // SAFETY: a C string.
        let missing = unsafe { sys::cuModuleLoad(&mut module, c"/no/such/file".as_ptr()) };
        assert_eq!(missing, CUresult::CUDA_ERROR_FILE_NOT_FOUND);
    });
}

#[test]
fn variables_are_shared_by_host_and_kernels() {
    on_emulator(&[], || {
        let _context = device();
        let image = CString::new(VARIABLES).expect("no NUL");
        // SAFETY: a C string; a live module.
        let (module, bump) = unsafe {
            let module = result::module::load_data(image.as_ptr().cast()).expect("loaded");
            let name = CString::new("bump").expect("a name");
            (module, result::module::get_function(module, name).expect("an entry"))
        };
        let variable = |name: &str| {
            let name = CString::new(name).expect("a name");
            // SAFETY: a live module.
            unsafe { result::module::get_global(module, name) }
        };
        let (counter, bytes) = variable("counter").expect("a variable");
        assert_eq!(bytes, 4);
        assert_eq!(variable("table").expect("a variable").1, 16);
        assert_eq!(variable("bump").map_err(|error| error.0), Err(CUresult::CUDA_ERROR_NOT_FOUND));
        let mut value = [0_u32];
        // SAFETY: four bytes.
        unsafe { result::memcpy_dtoh_sync(&mut value, counter) }.expect("a copy");
        assert_eq!(value, [7]);
        // SAFETY: four bytes.
        unsafe { result::memcpy_htod_sync(counter, &[1000_u32]) }.expect("a copy");
        let mut before = [0_u32; 4];
        // SAFETY: sixteen bytes; the arguments are the kernel's.
        unsafe {
            let out = result::malloc_sync(16).expect("memory");
            let mut arguments = [(&raw const out).cast_mut().cast::<c_void>()];
            result::launch_kernel(
                bump,
                (1, 1, 1),
                (4, 1, 1),
                0,
                std::ptr::null_mut(),
                &mut arguments,
            )
            .expect("a launch");
            result::memcpy_dtoh_sync(&mut before, out).expect("a copy");
        }
        before.sort_unstable();
        assert_eq!(before[0], 1000);
        // SAFETY: four bytes.
        unsafe { result::memcpy_dtoh_sync(&mut value, counter) }.expect("a copy");
        assert_eq!(value, [1100]);
    });
}

#[test]
fn handles_of_unloaded_modules_are_dead() {
    on_emulator(&[], || {
        let _context = device();
        let image = CString::new(VARIABLES).expect("no NUL");
        let name = CString::new("bump").expect("a name");
        let invalid = CUresult::CUDA_ERROR_INVALID_HANDLE;
        // SAFETY: live handles, then dead ones.
        unsafe {
            let module = result::module::load_data(image.as_ptr().cast()).expect("loaded");
            let function = result::module::get_function(module, name.clone()).expect("an entry");
            assert_eq!(
                result::module::get_function(module, name.clone()),
                Ok(function),
                "the same each time"
            );
            let missing =
                result::module::get_function(module, CString::new("bum").expect("a name"));
            assert_eq!(missing.map_err(|error| error.0), Err(CUresult::CUDA_ERROR_NOT_FOUND));
            let (counter, _) =
                result::module::get_global(module, CString::new("counter").expect("a name"))
                    .expect("a variable");
            result::module::unload(module).expect("unloaded");
            assert_eq!(sys::cuModuleUnload(module), invalid);
            let mut value = 0;
            let which = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_NUM_REGS;
            assert_eq!(sys::cuFuncGetAttribute(&mut value, which, function), invalid);
            assert_eq!(sys::cuMemsetD8_v2(counter, 0, 4), CUresult::CUDA_ERROR_INVALID_VALUE);
        }
    });
}

#[test]
fn a_library_gives_kernels() {
    on_emulator(&[], || {
        let _context = device();
        let image = CString::new(VARIABLES).expect("no NUL");
        let (mut library, mut kernel, mut function) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        let none: *mut c_void = std::ptr::null_mut();
        // SAFETY: live handles, valid output pointers.
        unsafe {
            sys::cuLibraryLoadData(
                &mut library,
                image.as_ptr().cast(),
                none.cast(),
                none.cast(),
                0,
                none.cast(),
                none.cast(),
                0,
            )
            .result()
            .expect("loaded");
            sys::cuLibraryGetKernel(&mut kernel, library, c"bump".as_ptr())
                .result()
                .expect("a kernel");
            sys::cuKernelGetFunction(&mut function, kernel).result().expect("a function");
            let mut value = 0;
            let which = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_BINARY_VERSION;
            sys::cuFuncGetAttribute(&mut value, which, function).result().expect("an attribute");
            assert_eq!(value, 90);
            sys::cuLibraryUnload(library).result().expect("unloaded");
        }
    });
}
