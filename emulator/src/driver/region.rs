//! Pages behind device memory: addresses that only the device understands, poisoned until written, paid for when touched.
//!
//! Device addresses lie above user space, so that a host program that dereferences one dies at that instruction, as it
//! would with a real device pointer. The bytes live in an anonymous mapping elsewhere. Every page first shows one shared
//! file of poison, copy-on-write: reading memory that was never written gives `0xCD`, and eighty gigabytes may be
//! "allocated" on a small machine as long as the program touches little of it.

use super::error::{Code, Result};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fresh device memory holds this byte.
pub const POISON: u8 = 0xCD;
/// Size of the file of poison; a mapping is made of pieces of it.
const PIECE: usize = 16 << 20;

/// A file of [`PIECE`] poisoned bytes, or the error of the system call that failed.
fn poison() -> Result<&'static File> {
    static POISONED: OnceLock<Option<File>> = OnceLock::new();
    let file = POISONED.get_or_init(|| {
        // SAFETY: the name is a C string; the call has no other precondition.
        let fd = unsafe { libc::memfd_create(c"hostdyno-poison".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return None;
        }
        // SAFETY: `fd` is open and owned by nobody else.
        let mut file = unsafe { File::from_raw_fd(fd) };
        std::io::Write::write_all(&mut file, &vec![POISON; PIECE]).ok().map(|()| file)
    });
    file.as_ref().ok_or(Code::CUDA_ERROR_OPERATING_SYSTEM)
}

/// Bytes behind one allocation or one host mapping.
#[derive(Debug)]
pub struct Region {
    /// The address that kernels and callers use.
    pub address: u64,
    /// Length.
    pub bytes: u64,
    /// Where the bytes are in this process.
    pub pointer: *mut u8,
    /// Length of the mapping to give back; 0 for memory that the program owns.
    mapped: usize,
    /// It was freed; work that was recorded before may still hold it.
    freed: AtomicBool,
}

// SAFETY: a region is an address range; who may touch its bytes when is decided by stream order, as on hardware.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Fresh poisoned memory, reachable by device address `address`.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` where the host has no address space or mappings left for it.
    pub fn device(address: u64, bytes: u64) -> Result<Self> {
        let length = usize::try_from(bytes).map_err(|_| Code::CUDA_ERROR_OUT_OF_MEMORY)?;
        let mapped = length.max(1).next_multiple_of(4096);
        let pointer = reserve(mapped)?;
        let region = Self { address, bytes, pointer, mapped, freed: AtomicBool::new(false) };
        for start in (0..mapped).step_by(PIECE) {
            let piece = PIECE.min(mapped - start);
            // SAFETY: the piece lies inside the mapping just made, which nobody else knows yet.
            let shown = unsafe {
                libc::mmap(
                    pointer.add(start).cast(),
                    piece,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED,
                    poison()?.as_raw_fd(),
                    0,
                )
            };
            if shown == libc::MAP_FAILED {
                return Err(Code::CUDA_ERROR_OUT_OF_MEMORY);
            }
        }
        Ok(region)
    }

    /// Page-locked host memory, zeroed, reachable by its own address.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` where the host has none left.
    pub fn host(bytes: u64) -> Result<Self> {
        let length = usize::try_from(bytes).map_err(|_| Code::CUDA_ERROR_OUT_OF_MEMORY)?;
        let mapped = length.max(1).next_multiple_of(4096);
        let pointer = reserve(mapped)?;
        Ok(Self { address: pointer as u64, bytes, pointer, mapped, freed: AtomicBool::new(false) })
    }

    /// Memory that the program owns and registers.
    #[must_use]
    pub fn registered(pointer: *mut u8, bytes: u64) -> Self {
        Self { address: pointer as u64, bytes, pointer, mapped: 0, freed: AtomicBool::new(false) }
    }

    /// Marks the memory as freed: no work may touch it any more.
    pub fn free(&self) {
        self.freed.store(true, Ordering::SeqCst);
    }

    /// Whether it was not freed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.freed.load(Ordering::SeqCst)
    }

    /// Whether kernels and the host use the same address.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.address == self.pointer as u64
    }

    /// Whether `address..address + bytes` lies inside.
    #[must_use]
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        address >= self.address
            && bytes <= self.bytes
            && address - self.address <= self.bytes - bytes
    }

    /// Where an address inside is in this process.
    #[must_use]
    pub fn at(&self, address: u64) -> *mut u8 {
        self.pointer.wrapping_add((address - self.address) as usize)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: the mapping was made by `reserve`, and the last user of the region is gone.
            unsafe { libc::munmap(self.pointer.cast(), self.mapped) };
        }
    }
}

/// Zeroed private pages, committed when touched.
fn reserve(bytes: usize) -> Result<*mut u8> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let pointer = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if pointer == libc::MAP_FAILED {
        Err(Code::CUDA_ERROR_OUT_OF_MEMORY)
    } else {
        Ok(pointer.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_memory_is_poisoned_and_writable_across_pieces() {
        let bytes = 2 * PIECE + 4097;
        let region = Region::device(1 << 47, bytes as u64).expect("mapping");
        // SAFETY: the region is this long and nobody else uses it.
        let data = unsafe { std::slice::from_raw_parts_mut(region.pointer, bytes) };
        assert!(data.iter().all(|&byte| byte == POISON));
        data[PIECE] = 1;
        let other = Region::device(1 << 48, PIECE as u64 + 1).expect("mapping");
        // SAFETY: as above.
        let other = unsafe { std::slice::from_raw_parts(other.pointer, PIECE + 1) };
        assert!(other.iter().all(|&byte| byte == POISON), "a write must stay private");
    }

    #[test]
    fn bounds_are_exact() {
        let region = Region::registered(std::ptr::null_mut::<u8>().wrapping_add(0x1000), 16);
        assert!(region.holds(0x1000, 16) && region.holds(0x1010, 0) && region.holds(0x100f, 1));
        assert!(!region.holds(0x1000, 17) && !region.holds(0xfff, 1) && !region.holds(0x1010, 1));
        assert!(!region.holds(0x1008, u64::MAX));
    }
}
