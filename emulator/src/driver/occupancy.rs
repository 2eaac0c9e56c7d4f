//! Occupancy from what is known: threads, blocks and shared memory of a multiprocessor. Registers are left out, because
//! only `ptxas` knows how many a kernel takes; so these are upper bounds.

use super::context::current;
use super::error::{Code, Result, ensure, guard, store};
use super::handle::Handle;
use super::launch_api::LaunchConfigEx;
use super::model::{Model, RESERVED_SHARED_PER_BLOCK};
use super::module::Function;
use std::ffi::{c_int, c_uint};

/// Shared memory is given out in units of this many bytes (capability 8.0 on).
const SHARED_UNIT: u32 = 128;
/// Threads of a warp.
const WARP: u32 = 32;

/// Blocks of `threads` threads that a multiprocessor holds at a time.
fn blocks(model: &Model, function: &Function, threads: u32, dynamic_shared: u64) -> u32 {
    let limits = model.limits();
    if threads == 0 || threads > function.max_threads() {
        return 0;
    }
    let own = u64::from(function.declared().static_shared) + dynamic_shared;
    if own > u64::from(limits.shared_per_block_optin) {
        return 0;
    }
    let shared = own as u32 + RESERVED_SHARED_PER_BLOCK;
    let by_shared = limits.shared / shared.next_multiple_of(SHARED_UNIT);
    limits.blocks.min(limits.threads / threads.next_multiple_of(WARP)).min(by_shared)
}

fn find(function: Handle) -> Result<(&'static Model, std::sync::Arc<Function>)> {
    let (driver, context) = current()?;
    Ok((context.device.model, driver.functions.get(function)?))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    count: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic_shared: usize,
) -> Code {
    guard("cuOccupancyMaxActiveBlocksPerMultiprocessor", || {
        let (model, function) = find(function)?;
        ensure(threads > 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let answer = blocks(model, &function, threads as u32, dynamic_shared as u64);
        // SAFETY: null or valid, as the C caller must pass it; the same holds for every output pointer below.
        unsafe { store(count, answer as c_int) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    count: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic_shared: usize,
    _flags: c_uint,
) -> Code {
    // SAFETY: null or valid.
    unsafe { cuOccupancyMaxActiveBlocksPerMultiprocessor(count, function, threads, dynamic_shared) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyAvailableDynamicSMemPerBlock(
    bytes: *mut usize,
    function: Handle,
    wanted: c_int,
    threads: c_int,
) -> Code {
    guard("cuOccupancyAvailableDynamicSMemPerBlock", || {
        let (model, function) = find(function)?;
        let limits = model.limits();
        let fits = wanted > 0
            && threads > 0
            && wanted as u32 <= blocks(model, &function, threads as u32, 0);
        ensure(fits, Code::CUDA_ERROR_INVALID_VALUE)?;
        let each = limits.shared / wanted as u32 / SHARED_UNIT * SHARED_UNIT;
        let own = each.saturating_sub(RESERVED_SHARED_PER_BLOCK).min(limits.shared_per_block_optin);
        // SAFETY: null or valid.
        unsafe { store(bytes, own.saturating_sub(function.declared().static_shared) as usize) }
    })
}

/// `CUoccupancyB2DSize`: dynamic shared memory of a block of so many threads.
type SharedOfBlock = unsafe extern "C" fn(c_int) -> usize;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: *mut c_int,
    block: *mut c_int,
    function: Handle,
    shared_of_block: Option<SharedOfBlock>,
    dynamic_shared: usize,
    limit: c_int,
) -> Code {
    guard("cuOccupancyMaxPotentialBlockSize", || {
        let (model, function) = find(function)?;
        ensure(limit >= 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let most = if limit == 0 { u32::MAX } else { limit as u32 };
        let most = most.min(function.max_threads());
        let sizes = (WARP..=most).step_by(WARP as usize);
        let active = sizes.map(|threads| {
            // SAFETY: the caller gives a function for any block size.
            let shared = shared_of_block.map_or(dynamic_shared, |f| unsafe { f(threads as c_int) });
            let count = blocks(model, &function, threads, shared as u64);
            (count * threads, threads, count)
        });
        // Of the sizes that keep most threads busy, the largest.
        let (_, threads, count) = active.max().ok_or(Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid.
        unsafe {
            store(block, threads as c_int)?;
            store(grid, (count * model.multiprocessors) as c_int)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    grid: *mut c_int,
    block: *mut c_int,
    function: Handle,
    shared_of_block: Option<SharedOfBlock>,
    dynamic_shared: usize,
    limit: c_int,
    _flags: c_uint,
) -> Code {
    // SAFETY: null or valid.
    unsafe {
        cuOccupancyMaxPotentialBlockSize(
            grid,
            block,
            function,
            shared_of_block,
            dynamic_shared,
            limit,
        )
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialClusterSize(
    size: *mut c_int,
    function: Handle,
    config: *const LaunchConfigEx,
) -> Code {
    guard("cuOccupancyMaxPotentialClusterSize", || {
        let (model, _) = find(function)?;
        ensure(!config.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: null or valid.
        unsafe { store(size, model.max_cluster() as c_int) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveClusters(
    count: *mut c_int,
    function: Handle,
    config: *const LaunchConfigEx,
) -> Code {
    guard("cuOccupancyMaxActiveClusters", || {
        let (model, function) = find(function)?;
        ensure(!config.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null; valid, as the C caller must pass it.
        let request = unsafe { &*config }.request()?;
        let cluster: u32 = request.cluster.map_or(1, |cluster| cluster.iter().product());
        let threads = request.block.iter().product();
        let resident = blocks(model, &function, threads, u64::from(request.dynamic_shared));
        let clusters = (resident * model.multiprocessors).checked_div(cluster).unwrap_or(0);
        // SAFETY: null or valid.
        unsafe { store(count, clusters as c_int) }
    })
}
