//! Tensor maps: what the copy engine of a multiprocessor (TMA, sm_90 up) has to know of a matrix.
//!
//! A kernel takes one as a `const __grid_constant__` parameter: `TensorMap` of kernels/ptx/tma.cuh.

use std::ffi::c_void;

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::{self, CUtensorMapDataType as DataType};

use super::gpu::driver;
use crate::Result;

/// Bytes of a row in a box: one line of the 128-byte swizzle.
pub const BOX_BYTES: usize = 128;

/// What a matrix consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// fp8, int8: a byte, whatever it means.
    Byte,
    /// bfloat16.
    Bf16,
    /// f32.
    F32,
}

impl Element {
    const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    const fn data_type(self) -> DataType {
        match self {
            Self::Byte => DataType::CU_TENSOR_MAP_DATA_TYPE_UINT8,
            Self::Bf16 => DataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            Self::F32 => DataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        }
    }
}

/// A row-major matrix in device memory, to be copied in boxes of 128 bytes of some rows, swizzled in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// What it consists of.
    pub element: Element,
    /// Device address of its first element: a multiple of 16.
    pub address: u64,
    /// Rows.
    pub rows: usize,
    /// Elements of a row: what lies beyond reads as zero and is not written.
    pub columns: usize,
    /// Bytes from one row to the next: a multiple of 16.
    pub pitch: usize,
    /// Rows of a box: 1 to 256.
    pub box_rows: u32,
}

/// A [`Map`] as the driver encodes it.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct TensorMap(sys::CUtensorMap);

// SAFETY: 128 bytes without pointers to the host, which a kernel takes by value.
unsafe impl DeviceRepr for TensorMap {}

impl Map {
    /// Encodes it.
    ///
    /// # Errors
    /// When the driver refuses it: an address or a pitch that is no multiple of 16, a chip before sm_90.
    pub fn encode(&self) -> Result<TensorMap> {
        let mut map = TensorMap(sys::CUtensorMap { opaque: [0; 16] });
        let sizes = [self.columns as u64, self.rows as u64];
        let pitch = [self.pitch as u64];
        let box_sizes = [(BOX_BYTES / self.element.bytes()) as u32, self.box_rows];
        // SAFETY: two dimensions, one stride; the driver reads the arrays and writes the map.
        let encoded = unsafe {
            sys::cuTensorMapEncodeTiled(
                &raw mut map.0,
                self.element.data_type(),
                sizes.len() as u32,
                self.address as *mut c_void,
                sizes.as_ptr(),
                pitch.as_ptr(),
                box_sizes.as_ptr(),
                [1, 1].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        encoded.result().map_err(|e| driver(&format!("encode a tensor map of {self:?}"), e))?;
        Ok(map)
    }
}
