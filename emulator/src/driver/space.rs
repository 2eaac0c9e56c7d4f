//! Unified addressing: one table of what every address means, to the host and to all devices.
//!
//! This is bookkeeping of the driver, consulted when a call is made. What a running kernel can reach is the device's own
//! memory map, which follows in stream order.

use super::error::{Code, Result, ensure};
use super::handle::lock;
use super::pool::Pool;
use super::region::Region;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What kind of memory an allocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Device memory of the device with this ordinal.
    Device(usize),
    /// Page-locked host memory that the driver allocated, with its `CU_MEMHOSTALLOC_*` flags.
    Host(u32),
    /// Host memory that the program allocated and registered, with its `CU_MEMHOSTREGISTER_*` flags.
    Registered(u32),
}

/// One allocation.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Its bytes.
    pub region: Arc<Region>,
    /// Its kind.
    pub kind: Kind,
    /// Number of the context it belongs to.
    pub context: u64,
    /// Its number, unique in the process (`CU_POINTER_ATTRIBUTE_BUFFER_ID`).
    pub id: u64,
    /// The pool it came from, for stream-ordered allocations.
    pub pool: Option<Arc<Pool>>,
}

/// All live allocations, by address.
#[derive(Debug)]
pub struct AddressSpace {
    allocations: Mutex<BTreeMap<u64, Allocation>>,
    next_address: AtomicU64,
    next_id: AtomicU64,
}

/// First device address: above the 47 bits of user space on x86-64 and the usual AArch64.
pub const FIRST_ADDRESS: u64 = 0x8000_0000_0000;
/// `cuMemAlloc` promises at least 256; the device gives 512.
const ALIGNMENT: u64 = 512;
/// Unmapped bytes after each allocation, so that one past the end is always a fault.
const GUARD: u64 = 4096;

impl Default for AddressSpace {
    fn default() -> Self {
        Self {
            allocations: Mutex::default(),
            next_address: AtomicU64::new(FIRST_ADDRESS),
            next_id: AtomicU64::new(1),
        }
    }
}

impl AddressSpace {
    /// Fresh device addresses, never given out before.
    pub fn reserve(&self, bytes: u64) -> u64 {
        let step = bytes.next_multiple_of(ALIGNMENT) + GUARD;
        self.next_address.fetch_add(step, Ordering::SeqCst)
    }

    /// Takes an allocation in.
    ///
    /// # Errors
    /// `CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED` where it overlaps another.
    pub fn insert(
        &self,
        region: Arc<Region>,
        kind: Kind,
        context: u64,
        pool: Option<Arc<Pool>>,
    ) -> Result<()> {
        let mut allocations = lock(&self.allocations);
        let (start, end) = (region.address, region.address + region.bytes);
        let before = allocations.range(..end).next_back();
        let free = before.is_none_or(|(_, a)| a.region.address + a.region.bytes <= start);
        ensure(free, Code::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED)?;
        let id = self.next_id.fetch_add(1, Ordering::SeqCst);
        allocations.insert(start, Allocation { region, kind, context, id, pool });
        Ok(())
    }

    /// Takes out the allocation that starts at an address, if `fits` it.
    #[must_use]
    pub fn remove(&self, address: u64, fits: impl Fn(Kind) -> bool) -> Option<Allocation> {
        let mut allocations = lock(&self.allocations);
        if !allocations.get(&address).is_some_and(|allocation| fits(allocation.kind)) {
            return None;
        }
        allocations.remove(&address)
    }

    /// Takes out all allocations of a context.
    pub fn remove_context(&self, context: u64) -> Vec<Arc<Region>> {
        let mut taken = Vec::new();
        lock(&self.allocations).retain(|_, allocation| {
            let mine = allocation.context == context;
            if mine {
                taken.push(allocation.region.clone());
            }
            !mine
        });
        taken
    }

    /// The allocation that holds an address; one past the end still counts, as for an empty range there.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<Allocation> {
        let allocations = lock(&self.allocations);
        let (_, allocation) = allocations.range(..=address).next_back()?;
        (address <= allocation.region.address + allocation.region.bytes).then(|| allocation.clone())
    }

    /// The allocation that holds a whole range.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` where none does.
    pub fn range(&self, address: u64, bytes: u64) -> Result<Allocation> {
        let allocation = self.find(address).filter(|a| a.region.holds(address, bytes));
        allocation.ok_or(Code::CUDA_ERROR_INVALID_VALUE)
    }
}
