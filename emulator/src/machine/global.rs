//! Device memory: allocations at 64-bit addresses, every access checked.
//!
//! Allocations never touch each other (a guard gap follows each), so that one past the end is always a fault. Host memory
//! that the driver registers keeps its own address, as under CUDA's unified addressing; device allocations lie above
//! every user-space pointer, so the two never collide.

use std::cell::Cell;

/// First device address: above x86-64 and AArch64 user space (47 bits).
const FIRST_ADDRESS: u64 = 0x8000_0000_0000;
/// Every allocation starts at a multiple of this, as `cuMemAlloc` promises at least 256 bytes.
const ALIGNMENT: u64 = 512;
/// Unmapped bytes after each allocation.
const GUARD: u64 = 4096;
/// What fresh device memory holds.
pub(crate) const POISON: u8 = 0xCD;

/// A memory call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The device's capacity is spent.
    #[error("out of device memory: {requested} bytes asked for, {free} free")]
    OutOfMemory {
        /// Bytes asked for.
        requested: u64,
        /// Bytes left.
        free: u64,
    },
    /// The range is not inside one allocation.
    #[error("{bytes} bytes at {address:#x} are not inside one allocation")]
    OutOfBounds {
        /// First address.
        address: u64,
        /// Length.
        bytes: u64,
    },
    /// No allocation starts here.
    #[error("no allocation starts at {address:#x}")]
    NotAllocated {
        /// The address.
        address: u64,
    },
    /// A host range overlaps one that is already mapped.
    #[error("host memory at {address:#x} is already mapped")]
    AlreadyMapped {
        /// The address.
        address: u64,
    },
}

/// Bytes behind an allocation.
#[derive(Debug)]
enum Backing {
    Device(Box<[u8]>),
    Host(*mut u8),
}

#[derive(Debug)]
struct Allocation {
    start: u64,
    bytes: u64,
    backing: Backing,
}

/// All memory a kernel can reach by global addresses.
#[derive(Debug)]
pub struct GlobalMemory {
    /// Sorted by address.
    allocations: Vec<Allocation>,
    capacity: u64,
    used: u64,
    next: u64,
    /// Where the last access was: the next one is mostly there too.
    last: Cell<usize>,
}

// SAFETY: host pointers are used only through `&self`/`&mut self`; `map`'s caller promises that they stay valid.
unsafe impl Send for GlobalMemory {}

impl GlobalMemory {
    /// Memory of a device with `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self { allocations: Vec::new(), capacity, used: 0, next: FIRST_ADDRESS, last: Cell::new(0) }
    }

    /// Bytes the device has.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes not allocated.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.capacity - self.used
    }

    /// Allocates poisoned device memory, aligned to 512 bytes.
    ///
    /// # Errors
    /// [`MemoryError::OutOfMemory`] beyond the capacity, or where the host itself has not enough.
    pub fn allocate(&mut self, bytes: u64) -> Result<u64, MemoryError> {
        let refused = MemoryError::OutOfMemory { requested: bytes, free: self.free_bytes() };
        if bytes > self.free_bytes() {
            return Err(refused);
        }
        let length = usize::try_from(bytes).map_err(|_| refused)?;
        let mut data = Vec::new();
        data.try_reserve_exact(length).map_err(|_| refused)?;
        data.resize(length, POISON);
        let start = self.next;
        self.next += bytes.next_multiple_of(ALIGNMENT) + GUARD.next_multiple_of(ALIGNMENT);
        self.used += bytes;
        // Addresses only grow and lie above all host mappings: the new one is always the last.
        self.allocations.push(Allocation {
            start,
            bytes,
            backing: Backing::Device(data.into_boxed_slice()),
        });
        Ok(start)
    }

    /// Frees an allocation of [`Self::allocate`].
    ///
    /// # Errors
    /// [`MemoryError::NotAllocated`] unless `address` is the start of one.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        let index = self.index_of_start(address, false)?;
        self.used -= self.allocations.remove(index).bytes;
        self.last.set(0);
        Ok(())
    }

    /// Makes the caller's memory reachable at `start`: host memory at its own address (`cuMemHostAlloc`,
    /// `cuMemHostRegister`), or device memory that the driver keeps itself.
    ///
    /// # Errors
    /// [`MemoryError::AlreadyMapped`] where it overlaps mapped memory.
    ///
    /// # Safety
    /// `pointer..pointer + bytes` must stay readable and writable until [`Self::unmap`]. Others may access it while a
    /// kernel runs, as the host does with pinned memory under CUDA; what the kernel then reads is a race as there.
    pub unsafe fn map(
        &mut self,
        start: u64,
        pointer: *mut u8,
        bytes: u64,
    ) -> Result<(), MemoryError> {
        let index = self.allocations.partition_point(|a| a.start < start);
        let overlaps_before = index > 0 && {
            let before = &self.allocations[index - 1];
            before.start + before.bytes > start
        };
        let overlaps_after =
            self.allocations.get(index).is_some_and(|after| start + bytes > after.start);
        if overlaps_before || overlaps_after {
            return Err(MemoryError::AlreadyMapped { address: start });
        }
        self.allocations
            .insert(index, Allocation { start, bytes, backing: Backing::Host(pointer) });
        self.last.set(0);
        Ok(())
    }

    /// Ends a mapping of [`Self::map`].
    ///
    /// # Errors
    /// [`MemoryError::NotAllocated`] unless `address` is the start of one.
    pub fn unmap(&mut self, address: u64) -> Result<(), MemoryError> {
        let index = self.index_of_start(address, true)?;
        self.allocations.remove(index);
        self.last.set(0);
        Ok(())
    }

    /// Start and length of the allocation or mapping that holds `address` (`cuMemGetAddressRange`).
    #[must_use]
    pub fn range_of(&self, address: u64) -> Option<(u64, u64)> {
        self.find(address, 1).map(|i| (self.allocations[i].start, self.allocations[i].bytes))
    }

    /// The bytes at an address.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`] unless they lie inside one allocation.
    pub fn slice(&self, address: u64, bytes: u64) -> Result<&[u8], MemoryError> {
        let index = self.find(address, bytes).ok_or(MemoryError::OutOfBounds { address, bytes })?;
        let allocation = &self.allocations[index];
        let offset = (address - allocation.start) as usize;
        Ok(match &allocation.backing {
            Backing::Device(data) => &data[offset..offset + bytes as usize],
            // SAFETY: `find` checked the bounds; `map`'s caller promised valid, unaliased memory.
            Backing::Host(pointer) => unsafe {
                std::slice::from_raw_parts(pointer.add(offset), bytes as usize)
            },
        })
    }

    /// The bytes at an address, to be written.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`] unless they lie inside one allocation.
    pub fn slice_mut(&mut self, address: u64, bytes: u64) -> Result<&mut [u8], MemoryError> {
        let index = self.find(address, bytes).ok_or(MemoryError::OutOfBounds { address, bytes })?;
        let allocation = &mut self.allocations[index];
        let offset = (address - allocation.start) as usize;
        Ok(match &mut allocation.backing {
            Backing::Device(data) => &mut data[offset..offset + bytes as usize],
            // SAFETY: `find` checked the bounds; `map`'s caller promised valid, unaliased memory.
            Backing::Host(pointer) => unsafe {
                std::slice::from_raw_parts_mut(pointer.add(offset), bytes as usize)
            },
        })
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// As [`Self::slice`].
    pub fn write(&mut self, address: u64, data: &[u8]) -> Result<(), MemoryError> {
        if !data.is_empty() {
            self.slice_mut(address, data.len() as u64)?.copy_from_slice(data);
        }
        Ok(())
    }

    /// Sets bytes.
    ///
    /// # Errors
    /// As [`Self::slice`].
    pub fn fill(&mut self, address: u64, bytes: u64, value: u8) -> Result<(), MemoryError> {
        if bytes > 0 {
            self.slice_mut(address, bytes)?.fill(value);
        }
        Ok(())
    }

    fn index_of_start(&self, address: u64, host: bool) -> Result<usize, MemoryError> {
        self.allocations
            .binary_search_by_key(&address, |a| a.start)
            .ok()
            .filter(|&i| matches!(self.allocations[i].backing, Backing::Host(_)) == host)
            .ok_or(MemoryError::NotAllocated { address })
    }

    fn find(&self, address: u64, bytes: u64) -> Option<usize> {
        let holds = |a: &Allocation| {
            address >= a.start && bytes <= a.bytes && address - a.start <= a.bytes - bytes
        };
        let last = self.last.get();
        if self.allocations.get(last).is_some_and(holds) {
            return Some(last);
        }
        let index = self.allocations.partition_point(|a| a.start <= address).checked_sub(1)?;
        holds(&self.allocations[index]).then(|| {
            self.last.set(index);
            index
        })
    }
}
