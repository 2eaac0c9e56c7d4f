//! Reads by mapping a file and touching every page: what a lazy loader costs when all of it is used.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use super::sigbus;
use crate::storage::layout::Tensor;

/// Smallest page that a fault brings in.
const PAGE: usize = 4096;

/// A file's content, mapped read-only and shared with the page cache.
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// Maps the first `bytes` of `file`; nothing is read yet.
    ///
    /// # Errors
    /// What `mmap` answers.
    pub fn new(file: &File, bytes: u64) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        if bytes == 0 {
            return Ok(Self { start: NonNull::dangling(), bytes });
        }
        // SAFETY: a new read-only mapping, at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, bytes }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Reads one byte of every page of the file, first to last.
    ///
    /// # Errors
    /// When a page can't be read: the file has shrunk, or the device failed.
    pub fn touch(&self) -> io::Result<()> {
        self.with(|bytes| {
            let words = bytes.iter().step_by(PAGE);
            std::hint::black_box(words.fold(0_u8, |sum, &byte| sum.wrapping_add(byte)));
        })
    }

    /// Reads one byte of every page of every tensor, tensor by tensor: what a lazy loader of the format does by the time
    /// that all weights were used.
    ///
    /// # Errors
    /// As for [`Self::touch`].
    pub fn touch_tensors(&self, tensors: &[Tensor]) -> io::Result<()> {
        let place = |tensor: &Tensor| {
            Some((usize::try_from(tensor.offset).ok()?, usize::try_from(tensor.bytes).ok()?))
        };
        self.with(|bytes| {
            let data = tensors.iter().filter_map(|tensor| {
                let (offset, length) = place(tensor)?;
                bytes.get(offset..offset.checked_add(length)?)
            });
            let sum = |data: &[u8]| {
                data.iter().step_by(PAGE).fold(0_u8, |sum, &byte| sum.wrapping_add(byte))
            };
            std::hint::black_box(data.map(sum).fold(0_u8, u8::wrapping_add));
        })
    }

    /// Hands the content to `operation`.
    ///
    /// # Errors
    /// As for [`Self::touch`]; what `operation` saw is then not the file.
    pub fn with<R>(&self, operation: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        sigbus::guarded(self.start.as_ptr(), self.bytes, || {
            // SAFETY: mapped for as long as `self` lives. Another process may change the file: then the bytes are
            // garbage, which the hash shows, and a page that is gone is replaced by zeros, which the guard reports.
            operation(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) })
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: exactly what was mapped; no slice of it outlives `with`.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
        }
    }
}
