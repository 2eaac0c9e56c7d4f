//! An emulated device: its model, its memory as kernels see it, its primary context.

use super::context::Context;
use super::error::{Code, Result, ensure};
use super::handle::{Handle, lock};
use super::model::Model;
use super::region::Region;
use super::state::Driver;
use crate::machine::GlobalMemory;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

/// What a kernel's device does not yet know of the memory calls made since the last kernel.
#[derive(Debug)]
enum Change {
    Map(Arc<Region>),
    Unmap(u64),
}

/// The memory of one device as kernels reach it. One kernel runs at a time.
#[derive(Debug)]
pub struct Machine {
    /// The map.
    pub memory: GlobalMemory,
    /// Keeps what is mapped alive until it is unmapped.
    mapped: HashMap<u64, Arc<Region>>,
}

/// One device.
#[derive(Debug)]
pub struct Device {
    /// Its number.
    pub ordinal: usize,
    /// What it stands for.
    pub model: &'static Model,
    /// Bytes of memory.
    pub capacity: u64,
    /// It fell off the bus (fault `lost`).
    pub lost: AtomicBool,
    /// The primary context.
    pub primary: Mutex<Primary>,
    used: Mutex<u64>,
    changes: Mutex<Vec<Change>>,
    machine: Mutex<Machine>,
}

/// The primary context's state.
#[derive(Debug, Default)]
pub struct Primary {
    /// How often it was retained.
    pub retained: usize,
    /// Flags for the next activation.
    pub flags: u32,
    /// The context while it is active.
    pub active: Option<(Handle, Arc<Context>)>,
}

// SAFETY: the handle is a number, never dereferenced.
unsafe impl Send for Primary {}

impl Device {
    /// A device of a model, with its memory or `memory` bytes.
    #[must_use]
    pub fn new(ordinal: usize, model: &'static Model, memory: Option<u64>) -> Self {
        let capacity = memory.unwrap_or(model.memory_gib << 30);
        Self {
            ordinal,
            model,
            capacity,
            lost: AtomicBool::new(false),
            primary: Mutex::default(),
            used: Mutex::new(0),
            changes: Mutex::default(),
            machine: Mutex::new(Machine {
                memory: GlobalMemory::new(capacity),
                mapped: HashMap::new(),
            }),
        }
    }

    /// Bytes not allocated.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.capacity - *lock(&self.used)
    }

    /// Allocates device memory and shows it to kernels.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` beyond the capacity.
    pub fn allocate(&self, driver: &Driver, bytes: u64) -> Result<Arc<Region>> {
        let mut used = lock(&self.used);
        ensure(bytes <= self.capacity - *used, Code::CUDA_ERROR_OUT_OF_MEMORY)?;
        let region = Arc::new(Region::device(driver.space.reserve(bytes), bytes)?);
        *used += bytes;
        self.show(&region);
        Ok(region)
    }

    /// Takes device memory of [`Self::allocate`] back.
    pub fn release(&self, region: &Region) {
        region.free();
        if !region.is_host() {
            *lock(&self.used) -= region.bytes;
        }
        self.hide(region.address);
    }

    /// Shows memory to the kernels that start from now on.
    pub fn show(&self, region: &Arc<Region>) {
        lock(&self.changes).push(Change::Map(region.clone()));
    }

    /// Hides memory from the kernels that start from now on.
    pub fn hide(&self, address: u64) {
        lock(&self.changes).push(Change::Unmap(address));
    }

    /// The device for one kernel, its memory map up to date.
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        let mut machine = lock(&self.machine);
        let Machine { memory, mapped } = &mut *machine;
        for change in std::mem::take(&mut *lock(&self.changes)) {
            match change {
                Change::Map(region) => {
                    // SAFETY: `mapped` keeps the region until it is unmapped; see `Region` on who writes when.
                    let shown = unsafe { memory.map(region.address, region.pointer, region.bytes) };
                    shown.expect("the address space keeps allocations apart");
                    mapped.insert(region.address, region);
                }
                Change::Unmap(address) => {
                    if mapped.remove(&address).is_some() {
                        memory.unmap(address).expect("it was mapped above");
                    }
                }
            }
        }
        machine
    }
}

impl Driver {
    /// The device with an ordinal, as the C caller passed it (`CUdevice` is the ordinal).
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_DEVICE`.
    pub fn device(&self, ordinal: c_int) -> Result<&Device> {
        let index = usize::try_from(ordinal).map_err(|_| Code::CUDA_ERROR_INVALID_DEVICE)?;
        self.devices.get(index).ok_or(Code::CUDA_ERROR_INVALID_DEVICE)
    }
}

/// PCI bus of a device; domain and device number are 0.
#[must_use]
pub fn pci_bus(device: &Device) -> usize {
    device.ordinal + 1
}
