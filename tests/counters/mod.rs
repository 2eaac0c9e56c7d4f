//! The emulated driver's counters, read by its own symbols.
#![allow(dead_code, reason = "each test crate uses what it needs")]

use std::ffi::{CStr, c_char};

use cudarc::driver::sys;

/// Longest text of a launch's counters.
const TEXT: usize = 4096;

/// A counter of the kernel that ended last.
pub fn counter(name: &str) -> u64 {
    type Counters = unsafe extern "C" fn(*mut u8, usize) -> usize;
    named(name, |text| {
        // SAFETY: the emulator's symbol has this signature; the text is as long as stated.
        unsafe {
            let counters = sys::culib().get::<Counters>(b"hostdyno_emulator_counters\0");
            counters.expect("the emulator exports it")(text.as_mut_ptr(), text.len())
        }
    })
}

/// A counter of the last launch of `kernel`, whatever has run since.
pub fn counter_of(kernel: &CStr, name: &str) -> u64 {
    type Counters = unsafe extern "C" fn(*const c_char, *mut u8, usize) -> usize;
    named(name, |text| {
        // SAFETY: as above; the kernel's name ends with a zero.
        unsafe {
            let counters = sys::culib().get::<Counters>(b"hostdyno_emulator_counters_of\0");
            let counters = counters.expect("the emulator exports it");
            counters(kernel.as_ptr(), text.as_mut_ptr(), text.len())
        }
    })
}

/// The counter `name` of the JSON that `read` writes, with a zero behind it; it tells the length of both.
fn named(name: &str, read: impl FnOnce(&mut [u8]) -> usize) -> u64 {
    let mut text = vec![0; TEXT];
    let used = read(&mut text);
    let counters: serde_json::Value = serde_json::from_slice(&text[..used - 1]).expect("JSON");
    counters[name].as_u64().expect(name)
}
