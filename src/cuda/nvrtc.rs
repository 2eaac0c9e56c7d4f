//! CUDA C++ to machine code at run time, for the exact device.
//!
//! A driver gets the machine code, not the PTX: an older driver refuses PTX of a newer NVRTC, and what was audited is
//! what runs. Only the emulated driver of the tests executes PTX.
//!
//! [`super::library`] says where NVRTC is looked for.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use cudarc::nvrtc::result::{self, NvrtcError};
use cudarc::nvrtc::sys;

use super::kernels::Build;
use super::library;
use crate::{Error, Result};

/// One kernel, compiled for one architecture.
#[derive(Debug)]
pub struct Compiled {
    /// What NVRTC made of the source.
    pub ptx: String,
    /// What its assembler made of that: an ELF image for the driver.
    pub cubin: Vec<u8>,
}

/// Compiles `build` for `architecture`, such as `sm_120a`: a real target, so that the assembler has seen it too.
///
/// # Errors
/// [`Error::Unavailable`] when there is no NVRTC or it does not know the architecture; [`Error::Wrong`] with the
/// compiler's log when the kernel does not compile.
pub fn compile(build: &Build, architecture: &str) -> Result<Compiled> {
    load()?;
    let file = build.kernel.file;
    let source = CString::new(build.source()).expect("sources have no NUL");
    let name = CString::new(file).expect("file names have no NUL");
    let program =
        Program(result::create_program(&source, Some(&name)).map_err(|e| failed(file, e))?);
    let options = options(architecture);
    // SAFETY: the program is alive.
    if unsafe { result::compile_program(program.0, &options) }.is_err() {
        // SAFETY: as above; the log is a NUL-terminated string.
        let log = unsafe { result::get_program_log(program.0) }.map_err(|e| failed(file, e))?;
        // SAFETY: as above.
        let log = unsafe { CStr::from_ptr(log.as_ptr()) }.to_string_lossy();
        return Err(refusal(build, architecture, &log));
    }
    // SAFETY: as above; it has been compiled.
    let ptx = unsafe { result::get_ptx(program.0) }.map_err(|e| failed(file, e))?;
    // SAFETY: as above; NVRTC ends the text with a NUL.
    let ptx = unsafe { CStr::from_ptr(ptx.as_ptr()) }.to_string_lossy().into_owned();
    Ok(Compiled { ptx, cubin: program.cubin().map_err(|e| failed(file, e))? })
}

/// What the compiler is asked for besides the source.
pub fn options(architecture: &str) -> [String; 2] {
    [format!("--gpu-architecture={architecture}"), "--std=c++17".into()]
}

/// Major and minor version of NVRTC.
///
/// # Errors
/// [`Error::Unavailable`] when there is no NVRTC.
pub fn version() -> Result<(i32, i32)> {
    load()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: NVRTC writes two numbers.
    unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) }
        .result()
        .map_err(|error| Error::Unavailable(format!("NVRTC has no version: {error:?}")))?;
    Ok((major, minor))
}

/// A program of NVRTC, destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    /// The machine code, once compiled.
    fn cubin(&self) -> std::result::Result<Vec<u8>, NvrtcError> {
        let mut bytes = 0;
        // SAFETY: the program is alive; NVRTC writes one size.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &raw mut bytes) }.result()?;
        let mut cubin = vec![0u8; bytes];
        // SAFETY: as above; the buffer has the size that NVRTC asked for.
        unsafe { sys::nvrtcGetCUBIN(self.0, cubin.as_mut_ptr().cast()) }.result()?;
        Ok(cubin)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. An error would only mean a leak.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn failed(file: &str, error: NvrtcError) -> Error {
    Error::Unavailable(format!("NVRTC can't compile {file}: {error:?}"))
}

fn refusal(build: &Build, architecture: &str, log: &str) -> Error {
    if log.contains("invalid value for --gpu-architecture") {
        return Error::Unavailable(format!("this NVRTC does not know {architecture}: update it"));
    }
    Error::Wrong(format!(
        "{} with {:?} does not compile for {architecture}: {log}",
        build.kernel.file, build.constants
    ))
}

/// Makes NVRTC available, or says how to install it. Searches once.
fn load() -> Result<()> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    // SAFETY: only asks the loader for the library; nothing is called in it.
    let present = || unsafe { sys::is_culib_present() };
    if *LOADED.get_or_init(|| library::find("libnvrtc.so", present)) {
        return Ok(());
    }
    Err(Error::Unavailable(
        "no NVRTC: run ./setup.sh, or install a CUDA toolkit and set CUDA_PATH to it".into(),
    ))
}
