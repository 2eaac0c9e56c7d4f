//! Stream-ordered allocation: an address at once, the memory given back where the stream has come to the free.
//!
//! Pools are bookkeeping only: all draw on the device's memory, nothing is kept for reuse, so the reserved bytes of a pool
//! are its used bytes and every release threshold is satisfied.

use super::command::Command;
use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::{Handle, lock};
use super::memory::{DevicePointer, allocate};
use super::space::Kind;
use super::state::{Driver, driver};
use super::stream;
use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A memory pool.
#[derive(Debug, Default)]
pub struct Pool {
    device: usize,
    settings: Mutex<HashMap<c_uint, u64>>,
    used: AtomicU64,
    high: AtomicU64,
}

impl Pool {
    fn gave(&self, bytes: u64) {
        let used = self.used.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.high.fetch_max(used, Ordering::SeqCst);
    }

    /// Counts bytes that came back.
    pub fn gave_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// Pools that devices have chosen; the default pool is made on first use.
#[derive(Debug, Default)]
struct Chosen {
    default: HashMap<usize, usize>,
    current: HashMap<usize, usize>,
}

static CHOSEN: Mutex<Option<Chosen>> = Mutex::new(None);

/// A device's default or current pool.
fn pool_of(driver: &Driver, device: c_int, current: bool) -> Result<Handle> {
    let device = driver.device(device)?.ordinal;
    let mut chosen = lock(&CHOSEN);
    let chosen = chosen.get_or_insert_default();
    if current && let Some(handle) = chosen.current.get(&device) {
        return Ok(*handle as Handle);
    }
    let make = || driver.pools.insert(Arc::new(Pool { device, ..Default::default() })) as usize;
    Ok(*chosen.default.entry(device).or_insert_with(make) as Handle)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut Handle, device: c_int) -> Code {
    guard("cuDeviceGetDefaultMemPool", || {
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(pool, pool_of(driver()?, device, false)?) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut Handle, device: c_int) -> Code {
    guard("cuDeviceGetMemPool", || {
        // SAFETY: null or valid.
        unsafe { store(pool, pool_of(driver()?, device, true)?) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceSetMemPool(device: c_int, pool: Handle) -> Code {
    guard("cuDeviceSetMemPool", || {
        let driver = driver()?;
        let device = driver.device(device)?.ordinal;
        ensure(driver.pools.get(pool)?.device == device, Code::CUDA_ERROR_INVALID_VALUE)?;
        lock(&CHOSEN).get_or_insert_default().current.insert(device, pool as usize);
        Ok(())
    })
}

/// The head of `CUmemPoolProps`: what is looked at.
#[repr(C)]
struct PoolProperties {
    allocation_type: c_uint,
    handle_types: c_uint,
    location_type: c_uint,
    location_id: c_int,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolCreate(pool: *mut Handle, properties: *const c_void) -> Code {
    /// `CU_MEM_ALLOCATION_TYPE_PINNED`.
    const PINNED: c_uint = 1;
    /// `CU_MEM_LOCATION_TYPE_DEVICE`.
    const ON_DEVICE: c_uint = 1;
    guard("cuMemPoolCreate", || {
        let driver = driver()?;
        ensure(!pool.is_null() && !properties.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null; a `CUmemPoolProps`, whose head this is.
        let head = unsafe { properties.cast::<PoolProperties>().read() };
        let valid = head.allocation_type == PINNED && head.location_type == ON_DEVICE;
        ensure(valid, Code::CUDA_ERROR_INVALID_VALUE)?;
        ensure(head.handle_types == 0, Code::CUDA_ERROR_NOT_SUPPORTED)?;
        let device = driver.device(head.location_id)?.ordinal;
        let made = driver.pools.insert(Arc::new(Pool { device, ..Default::default() }));
        // SAFETY: not null and valid.
        unsafe { store(pool, made) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolDestroy(pool: Handle) -> Code {
    guard("cuMemPoolDestroy", || {
        let driver = driver()?;
        let mut chosen = lock(&CHOSEN);
        let chosen = chosen.get_or_insert_default();
        let is_default = chosen.default.values().any(|handle| *handle == pool as usize);
        ensure(!is_default, Code::CUDA_ERROR_INVALID_VALUE)?;
        chosen.current.retain(|_, handle| *handle != pool as usize);
        driver.pools.remove(pool).map(|_| ())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolTrimTo(pool: Handle, _keep: usize) -> Code {
    // Nothing is kept for reuse, so there is nothing to trim.
    guard("cuMemPoolTrimTo", || driver()?.pools.get(pool).map(|_| ()))
}

/// `CU_MEMPOOL_ATTR_*`: 1 to 3 are ints, 4 to 8 are 64 bits wide.
fn is_int(which: c_uint) -> bool {
    which <= 3
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolGetAttribute(
    pool: Handle,
    which: c_uint,
    value: *mut c_void,
) -> Code {
    guard("cuMemPoolGetAttribute", || {
        let pool = driver()?.pools.get(pool)?;
        let answer = match which {
            1..=3 => lock(&pool.settings).get(&which).copied().unwrap_or(1),
            4 => lock(&pool.settings).get(&which).copied().unwrap_or(0),
            5 | 7 => pool.used.load(Ordering::SeqCst),
            6 | 8 => pool.high.load(Ordering::SeqCst),
            _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
        };
        // SAFETY: null or valid for the attribute's type.
        unsafe {
            match is_int(which) {
                true => store(value.cast::<c_int>(), answer as c_int),
                false => store(value.cast::<u64>(), answer),
            }
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolSetAttribute(
    pool: Handle,
    which: c_uint,
    value: *mut c_void,
) -> Code {
    guard("cuMemPoolSetAttribute", || {
        let pool = driver()?.pools.get(pool)?;
        ensure(!value.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null; valid for the attribute's type.
        let given = unsafe {
            match is_int(which) {
                true => value.cast::<c_int>().read() as u64,
                false => value.cast::<u64>().read(),
            }
        };
        match which {
            1..=4 => {
                lock(&pool.settings).insert(which, given);
            }
            // High-water marks can only be reset.
            6 | 8 if given == 0 => {
                pool.high.store(pool.used.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
        }
        Ok(())
    })
}

fn allocate_async(
    pointer: *mut DevicePointer,
    bytes: usize,
    pool: Option<Handle>,
    stream: Handle,
) -> Result<()> {
    let (driver, context) = current()?;
    ensure(!pointer.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    let stream = stream::resolve(stream)?;
    // Memory nodes of graphs are not offered.
    ensure(!stream.is_capturing(), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
    let device = context.device.ordinal as c_int;
    let pool = driver.pools.get(pool.map_or_else(|| pool_of(driver, device, true), Ok)?)?;
    let region = allocate(driver, &stream.context, bytes, Some(pool.clone()))?;
    pool.gave(region.bytes);
    // SAFETY: not null and valid.
    unsafe { store(pointer, region.address) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(
    pointer: *mut DevicePointer,
    bytes: usize,
    stream: Handle,
) -> Code {
    guard("cuMemAllocAsync", || allocate_async(pointer, bytes, None, stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocFromPoolAsync(
    pointer: *mut DevicePointer,
    bytes: usize,
    pool: Handle,
    stream: Handle,
) -> Code {
    guard("cuMemAllocFromPoolAsync", || allocate_async(pointer, bytes, Some(pool), stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(pointer: DevicePointer, stream: Handle) -> Code {
    guard("cuMemFreeAsync", || {
        let (driver, _) = current()?;
        let stream = stream::resolve(stream)?;
        ensure(!stream.is_capturing(), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
        let freed = driver.space.remove(pointer, |kind| matches!(kind, Kind::Device(_)));
        let freed = freed.ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        if let Some(pool) = freed.pool {
            pool.gave_back(freed.region.bytes);
        }
        stream.submit(Command::Free(freed.region)).map(|_| ())
    })
}
