//! The device queries.

use super::attribute;
use super::device::{Device, pci_bus};
use super::error::{Code, Result, ensure, guard, store};
use super::state::driver;
use std::ffi::{CStr, c_char, c_int, c_uint};

/// UUID of a device: recognisable, and different for each ordinal.
fn uuid(device: &Device) -> [u8; 16] {
    let mut uuid = *b"hostdyno-emu-\0\0\0";
    uuid[14] = device.model.capability.0 as u8;
    uuid[15] = device.ordinal as u8;
    uuid
}

/// Copies a C string into a buffer of `length` bytes, cut to fit, always terminated.
///
/// # Safety
/// A buffer that is not null must be valid for `length` bytes.
unsafe fn store_text(buffer: *mut c_char, length: c_int, text: &str) -> Result<()> {
    ensure(!buffer.is_null() && length > 0, Code::CUDA_ERROR_INVALID_VALUE)?;
    let kept = text.len().min(length as usize - 1);
    // SAFETY: the buffer is valid for `length` bytes, of which `kept + 1` are written.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), kept);
        buffer.add(kept).write(0);
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Code {
    guard("cuDeviceGet", || {
        driver()?.device(ordinal)?;
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(device, ordinal) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Code {
    // SAFETY: null or valid.
    guard("cuDeviceGetCount", || unsafe { store(count, driver()?.devices.len() as c_int) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Code {
    guard("cuDeviceGetName", || {
        let driver = driver()?;
        let slice = driver.settings.mig.as_ref().map_or(String::new(), |mig| format!(" MIG {mig}"));
        let text = format!("{}{slice} (emulated)", driver.device(device)?.model.name);
        // SAFETY: null or valid for `length` bytes.
        unsafe { store_text(name, length, &text) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid(id: *mut [u8; 16], device: c_int) -> Code {
    // SAFETY: null or valid.
    guard("cuDeviceGetUuid", || unsafe { store(id, uuid(driver()?.device(device)?)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(id: *mut [u8; 16], device: c_int) -> Code {
    // SAFETY: null or valid.
    unsafe { cuDeviceGetUuid(id, device) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> Code {
    guard("cuDeviceTotalMem", || {
        let capacity = driver()?.device(device)?.capacity;
        // SAFETY: null or valid.
        unsafe { store(bytes, capacity as usize) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, which: c_uint, dev: c_int) -> Code {
    guard("cuDeviceGetAttribute", || {
        let answer = attribute::value(driver()?.device(dev)?, which)?;
        // SAFETY: null or valid.
        unsafe { store(value, answer) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceComputeCapability(
    major: *mut c_int,
    minor: *mut c_int,
    device: c_int,
) -> Code {
    guard("cuDeviceComputeCapability", || {
        let capability = driver()?.device(device)?.model.capability;
        // SAFETY: null or valid.
        unsafe {
            store(major, capability.0 as c_int)?;
            store(minor, capability.1 as c_int)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetPCIBusId(id: *mut c_char, length: c_int, device: c_int) -> Code {
    guard("cuDeviceGetPCIBusId", || {
        let text = format!("0000:{:02X}:00.0", pci_bus(driver()?.device(device)?));
        ensure(length as usize > text.len(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid for `length` bytes.
        unsafe { store_text(id, length, &text) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetByPCIBusId(device: *mut c_int, id: *const c_char) -> Code {
    guard("cuDeviceGetByPCIBusId", || {
        ensure(!id.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: a C string, as the C caller must pass it.
        let text = unsafe { CStr::from_ptr(id) }.to_string_lossy();
        let parts = text.rsplit_once('.').map_or(&*text, |parts| parts.0);
        let mut numbers = parts.rsplit(':').map(|part| usize::from_str_radix(part, 16));
        let (slot, bus, domain) = (numbers.next(), numbers.next(), numbers.next());
        let (Some(Ok(slot)), Some(Ok(bus))) = (slot, bus) else {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        };
        let domain = domain.unwrap_or(Ok(0)).map_err(|_| Code::CUDA_ERROR_INVALID_VALUE)?;
        let devices = &driver()?.devices;
        let found =
            devices.iter().find(|device| (domain, slot) == (0, 0) && pci_bus(device) == bus);
        let ordinal = found.ok_or(Code::CUDA_ERROR_INVALID_DEVICE)?.ordinal;
        // SAFETY: null or valid.
        unsafe { store(device, ordinal as c_int) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) -> Code {
    guard("cuDeviceCanAccessPeer", || {
        driver()?.device(device)?;
        driver()?.device(peer)?;
        // Kernels reach their own device's memory only; copies between devices work without peer access.
        // SAFETY: null or valid.
        unsafe { store(can, 0) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetP2PAttribute(
    value: *mut c_int,
    which: c_uint,
    device: c_int,
    peer: c_int,
) -> Code {
    guard("cuDeviceGetP2PAttribute", || {
        driver()?.device(device)?;
        driver()?.device(peer)?;
        ensure(device != peer, Code::CUDA_ERROR_INVALID_DEVICE)?;
        // CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK .. CUDA_ARRAY_ACCESS_SUPPORTED: none is.
        ensure((1..=5).contains(&which), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid.
        unsafe { store(value, 0) }
    })
}
