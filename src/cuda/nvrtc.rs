//! CUDA C++ to PTX at run time, for the exact device.
//!
//! NVRTC is looked for by the loader (an installed CUDA toolkit), then under `CUDA_PATH`, then in the Python wheel that
//! `setup.sh` puts into `.cuda/`. Opening a library by its full path makes its soname known to the loader, so that
//! cudarc, which asks by name, finds it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts, sys};

use super::kernels::Kernel;
use crate::{Error, Result};

/// The PTX of `kernel` for `architecture`, such as `sm_120a`: a real target, so that the assembler has seen it too.
///
/// # Errors
/// [`Error::Unavailable`] when there is no NVRTC or it does not know the architecture; [`Error::Wrong`] with the
/// compiler's log when the kernel does not compile.
pub fn compile(kernel: &Kernel, architecture: &str) -> Result<Ptx> {
    load()?;
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into()],
        name: Some(kernel.file.into()),
        ..Default::default()
    };
    compile_ptx_with_opts(kernel.source(), options).map_err(|e| refusal(kernel, architecture, e))
}

fn refusal(kernel: &Kernel, architecture: &str, error: CompileError) -> Error {
    match error {
        CompileError::CompileError { log, options, .. } => {
            let log = log.to_string_lossy();
            if log.contains("invalid value for --gpu-architecture") {
                return Error::Unavailable(format!(
                    "this NVRTC does not know {architecture}: update it"
                ));
            }
            Error::Wrong(format!(
                "{} does not compile for {architecture} ({options:?}): {log}",
                kernel.file
            ))
        }
        other => Error::Unavailable(format!("NVRTC can't compile for {architecture}: {other:?}")),
    }
}

/// Makes NVRTC available, or says how to install it. Searches once.
fn load() -> Result<()> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        // SAFETY: only asks the loader for the library; nothing is called in it.
        let present = || unsafe { sys::is_culib_present() };
        present() || (candidates().iter().any(|path| open_for_good(path)) && present())
    });
    if *loaded {
        return Ok(());
    }
    Err(Error::Unavailable(
        "no NVRTC: run ./setup.sh, or install a CUDA toolkit and set CUDA_PATH to it".into(),
    ))
}

/// Opens the library at `path` and leaves it open, so that its soname stays known.
fn open_for_good(path: &Path) -> bool {
    // SAFETY: NVRTC's initialisers have no preconditions.
    unsafe { libloading::Library::new(path) }.map(std::mem::forget).is_ok()
}

/// NVRTC libraries that the loader does not know, best first.
fn candidates() -> Vec<PathBuf> {
    let toolkit = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let toolkit = toolkit.iter().flat_map(|root| [root.join("lib64"), root.join("lib")]);
    // Wheels of CUDA 13 unpack to nvidia/cu13/lib, those of CUDA 12 to nvidia/cuda_nvrtc/lib.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let wheels = entries(&here.join(".cuda/nvidia")).into_iter().map(|package| package.join("lib"));
    toolkit
        .chain(wheels)
        .flat_map(|directory| entries(&directory))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc.so"))
        })
        .collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
