//! Device attributes. Those of features that the emulator does not offer (textures, surfaces, managed memory, virtual
//! memory management, interoperation) report 0: not supported.

use super::device::{Device, pci_bus};
use super::error::{Code, Result};
use super::model::{
    BLOCK_DIMENSIONS, GRID_DIMENSIONS, REGISTERS, RESERVED_SHARED_PER_BLOCK, SHARED_PER_BLOCK,
    THREADS_PER_BLOCK,
};
use super::state::driver;
use cudarc::driver::sys::CUdevice_attribute as A;

/// Highest attribute number of any `cuda.h` up to 13.4; a number above it is an error, one below that this version does
/// not know is 0.
const LAST: u32 = 161;

/// The answer of `cuDeviceGetAttribute`.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for a number that no header defines.
pub fn value(device: &Device, which: u32) -> Result<i32> {
    if which == 0 || which > LAST {
        return Err(Code::CUDA_ERROR_INVALID_VALUE);
    }
    if which == A::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE as u32 {
        return Ok(driver()?.settings.compute_mode as i32);
    }
    // Only the NUMA ids are above `i32::MAX`: they wrap to -1, "unknown".
    let found = table(device).into_iter().find(|row| row.0 as u32 == which);
    Ok(found.map_or(0, |row| row.1 as i32))
}

/// Every attribute that is not 0.
fn table(device: &Device) -> Vec<(A, u32)> {
    let model = device.model;
    let limits = model.limits();
    let hopper = u32::from(model.capability.0 >= 9);
    vec![
        (A::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, THREADS_PER_BLOCK),
        (A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, BLOCK_DIMENSIONS[0]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, BLOCK_DIMENSIONS[1]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, BLOCK_DIMENSIONS[2]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, GRID_DIMENSIONS[0]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, GRID_DIMENSIONS[1]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, GRID_DIMENSIONS[2]),
        (A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, SHARED_PER_BLOCK),
        (A::CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 64 << 10),
        (A::CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32),
        (A::CU_DEVICE_ATTRIBUTE_MAX_PITCH, i32::MAX as u32),
        (A::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, REGISTERS),
        (A::CU_DEVICE_ATTRIBUTE_CLOCK_RATE, model.clock_khz),
        (A::CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512),
        (A::CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1),
        (A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, model.multiprocessors),
        (A::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1),
        (A::CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1),
        (A::CU_DEVICE_ATTRIBUTE_ECC_ENABLED, 1),
        (A::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, pci_bus(device) as u32),
        (A::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, model.memory_clock_khz()),
        (A::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, model.bus_bits),
        (A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, model.l2_mib << 20),
        (A::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, limits.threads),
        (A::CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2),
        (A::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1),
        (A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, model.capability.0),
        (A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, model.capability.1),
        (A::CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, limits.shared),
        (A::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, REGISTERS),
        (A::CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1),
        (A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, limits.shared_per_block_optin),
        (A::CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, limits.blocks),
        (A::CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, RESERVED_SHARED_PER_BLOCK),
        (A::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1),
        (A::CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, hopper),
        (A::CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED, hopper),
        (A::CU_DEVICE_ATTRIBUTE_NUMA_ID, u32::MAX),
        (A::CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, u32::MAX),
        (A::CU_DEVICE_ATTRIBUTE_GPU_PCI_DEVICE_ID, model.pci_id),
    ]
}
