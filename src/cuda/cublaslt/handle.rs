//! The library: found, opened, asked for its version.

use std::sync::OnceLock;

use cudarc::cublaslt::sys::{self, cublasStatus_t as Status};

use crate::cuda::gpu::{Gpu, driver};
use crate::cuda::library;
use crate::{Error, Result};

/// An open cuBLASLt on one device.
pub struct Handle(pub(super) sys::cublasLtHandle_t);

impl Handle {
    /// Opens the library in `gpu`'s context.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not installed, with the command that installs it, or does not suit the driver.
    pub fn open(gpu: &Gpu) -> Result<Self> {
        version()?;
        gpu.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the library writes one handle.
        let status = unsafe { sys::cublasLtCreate(&raw mut handle) };
        check(
            status,
            "be opened (a driver older than the library's CUDA can't run it: `nvidia-smi` shows the driver's)",
        )?;
        Ok(Self(handle))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. An error would only mean a leak.
        let _ = unsafe { sys::cublasLtDestroy(self.0) };
    }
}

/// Version of the library: `13.10.0`.
///
/// # Errors
/// [`Error::Unavailable`] when it is not installed, with the command that installs it.
pub fn version() -> Result<String> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    // SAFETY: only asks the loader for the library; nothing is called in it.
    let present = || unsafe { sys::is_culib_present() };
    if !*LOADED.get_or_init(|| library::find("libcublasLt.so", present)) {
        return Err(Error::Unavailable(
            "no cuBLASLt: run `./setup.sh --cublas` (downloads about 450 MB), or install a CUDA toolkit and set \
             CUDA_PATH to it"
                .into(),
        ));
    }
    // SAFETY: the library is there; the call has no preconditions.
    Ok(version_of(unsafe { sys::cublasLtGetVersion() }))
}

/// `major x 10000 + minor x 100 + patch` as text (cublasLt.h, CUBLAS_VERSION).
fn version_of(number: usize) -> String {
    format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
}

/// [`Error::Unavailable`] with the library's version and its own name for `status` unless it is success.
pub(super) fn check(status: Status, what: &str) -> Result<()> {
    match status {
        Status::CUBLAS_STATUS_SUCCESS => Ok(()),
        status => {
            let version = version().unwrap_or_default();
            Err(Error::Unavailable(format!("cuBLASLt {version} could not {what}: {status:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_library_read_as_its_packages_do() {
        assert_eq!([120_805, 130_000, 131_000].map(version_of), ["12.8.5", "13.0.0", "13.10.0"]);
    }

    #[test]
    fn a_refusal_carries_the_library_s_own_word() {
        let error = check(Status::CUBLAS_STATUS_NOT_SUPPORTED, "multiply").unwrap_err();
        assert!(error.to_string().contains("CUBLAS_STATUS_NOT_SUPPORTED"), "{error}");
    }
}
