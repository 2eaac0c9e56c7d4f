//! The NVIDIA GPU, as far as it can be told apart from its absence.
//!
//! cudarc panics when libcuda is missing, so everything here asks first.

pub mod kernels;
pub mod nvrtc;

use cudarc::driver::{result, sys};

use crate::{Error, Result};

/// The first CUDA device's name.
///
/// # Errors
/// [`Error::Unavailable`] with the cause: no driver, no device, or a driver that refuses.
pub fn device_name() -> Result<String> {
    // SAFETY: only asks the loader for the library; nothing is called in it.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::Unavailable(
            "no NVIDIA driver: libcuda.so.1 was not found by the loader".into(),
        ));
    }
    let refused = |what: &str, e: result::DriverError| {
        Error::Unavailable(format!("the NVIDIA driver refused to {what}: {e}"))
    };
    result::init().map_err(|e| refused("start", e))?;
    if result::device::get_count().map_err(|e| refused("count devices", e))? == 0 {
        return Err(Error::Unavailable("the NVIDIA driver sees no device".into()));
    }
    let device = result::device::get(0).map_err(|e| refused("open device 0", e))?;
    result::device::get_name(device).map_err(|e| refused("name device 0", e))
}

/// Why no GPU metric can be measured here: the driver's answer, or that this version has no kernels for the device.
pub fn why_skipped() -> String {
    match device_name() {
        Err(cause) => cause.to_string(),
        Ok(name) => format!("{name} is here, but this version of hostdyno has no CUDA kernels"),
    }
}
