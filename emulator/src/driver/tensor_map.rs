//! `cuTensorMapEncodeTiled`: checks the parameters as documented and writes the emulator's own 128 bytes.

use super::error::{Code, Result, ensure, guard};
use super::state::driver;
use crate::tensor::tensor_map::{
    DataType, ENCODED_BYTES, MAX_RANK, TensorMap, swizzle_from_number,
};
use std::ffi::{c_uint, c_void};

/// `CUtensorMap`: opaque, 64-byte aligned.
const ALIGNMENT: usize = 64;

/// The first `count` numbers of a caller's array.
///
/// # Safety
/// `array` must be null or hold `count` elements.
unsafe fn numbers<T: Copy>(array: *const T, count: usize) -> Result<Vec<T>> {
    ensure(count == 0 || !array.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
    // SAFETY: not null; as long as the caller promises.
    Ok((0..count).map(|index| unsafe { array.add(index).read() }).collect())
}

fn fill<T: Copy, const N: usize>(rest: T, first: &[T]) -> [T; N] {
    std::array::from_fn(|index| first.get(index).copied().unwrap_or(rest))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuTensorMapEncodeTiled(
    object: *mut [u8; ENCODED_BYTES],
    data_type: c_uint,
    rank: c_uint,
    address: *mut c_void,
    dims: *const u64,
    strides: *const u64,
    box_dims: *const u32,
    element_strides: *const u32,
    interleave: c_uint,
    swizzle: c_uint,
    l2_promotion: c_uint,
    out_of_bounds: c_uint,
) -> Code {
    guard("cuTensorMapEncodeTiled", || {
        let invalid = Code::CUDA_ERROR_INVALID_VALUE;
        let driver = driver()?;
        let supported = driver.devices.iter().any(|device| device.model.max_cluster() > 1);
        ensure(supported, Code::CUDA_ERROR_NOT_SUPPORTED)?;
        let aligned = !object.is_null() && (object as usize).is_multiple_of(ALIGNMENT);
        let rank = rank as usize;
        ensure(aligned && (1..=MAX_RANK).contains(&rank) && out_of_bounds <= 1, invalid)?;
        // SAFETY: the arrays are as long as the rank says, strides one shorter, as the C caller must pass them.
        let (dims, strides, box_dims, element_strides) = unsafe {
            (
                numbers(dims, rank)?,
                numbers(strides, rank - 1)?,
                numbers(box_dims, rank)?,
                numbers(element_strides, rank)?,
            )
        };
        let map = TensorMap {
            data_type: DataType::new(data_type).ok_or(invalid)?,
            rank,
            address: address as u64,
            dims: fill(1, &dims),
            strides: fill(0, &strides),
            box_dims: fill(1, &box_dims),
            element_strides: fill(1, &element_strides),
            interleave,
            swizzle: swizzle_from_number(swizzle).ok_or(invalid)?,
            l2_promotion,
            fill_nan: out_of_bounds == 1,
        };
        map.validate().map_err(|reason| {
            eprintln!("hostdyno emulator: cuTensorMapEncodeTiled: {reason}");
            invalid
        })?;
        // SAFETY: not null, aligned, and 128 bytes long.
        unsafe { object.write(map.encode()) };
        Ok(())
    })
}
