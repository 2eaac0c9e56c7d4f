//! Which products there are: NVIDIA, cuBLAS documentation, `cublasLtMatmul`, its tables of types, scales and restrictions.
//!
//! Only column-major matrices, single ones, the first transposed and the second not are offered here: that is how narrow
//! formats are multiplied on every chip. Whatever else a caller describes is not supported, rather than taken for this.

use super::object::{Description, Layout};
use super::{Result, Status};
use cudarc::cublaslt::sys::{
    cublasComputeType_t as Compute, cublasLtMatmulMatrixScale_t as Scale, cublasLtOrder_t as Order,
    cudaDataType_t as T,
};

/// `CUBLAS_OP_N` and `CUBLAS_OP_T` of cublas_api.h.
const STRAIGHT: u32 = 0;
const TURNED: u32 = 1;

/// Elements of A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// bfloat16.
    Bf16,
    /// Signed bytes.
    Int8,
    /// OCP E4M3.
    E4m3,
    /// OCP E2M1, two a byte, the low nibble first.
    E2m1,
}

impl Element {
    /// Bits of one.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Bf16 => 16,
            Self::Int8 | Self::E4m3 => 8,
            Self::E2m1 => 4,
        }
    }
}

/// What A and B are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// One f32 each, where there is a pointer.
    Whole,
    /// One f32 a row of the product for A, a column for B.
    Outer,
    /// One E8M0 per 32 along K.
    E8m0,
    /// One E4M3 without sign per 16 along K.
    Ue4m3,
}

/// One product, as far as it is known without addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Elements of A and B.
    pub element: Element,
    /// Their scales.
    pub scaling: Scaling,
    /// Rows of D, columns of A.
    pub m: u64,
    /// Columns of D and of B.
    pub n: u64,
    /// Rows of A and B.
    pub k: u64,
    /// Elements from one column to the next of A, B, D.
    pub strides: [u64; 3],
}

impl Shape {
    /// Whether D holds i32.
    #[must_use]
    pub fn integers(&self) -> bool {
        self.element == Element::Int8
    }
}

/// The product that these describe, if a chip of `capability` has it.
///
/// # Errors
/// `NOT_SUPPORTED` where it has not; `INVALID_VALUE` where the descriptions do not fit together or a scale is missing.
pub fn shape(
    capability: (u32, u32),
    description: &Description,
    [a, b, c, d]: [&Layout; 4],
) -> Result<Shape> {
    let supported = |yes| if yes { Ok(()) } else { Err(Status::CUBLAS_STATUS_NOT_SUPPORTED) };
    let valid = |yes| if yes { Ok(()) } else { Err(Status::CUBLAS_STATUS_INVALID_VALUE) };
    let all = [a, b, c, d];
    supported(all.iter().all(|one| one.order == Order::CUBLASLT_ORDER_COL as u32))?;
    supported(all.iter().all(|one| one.batch == 1))?;
    supported(description.operations == [TURNED, STRAIGHT])?;
    let (m, n, k) = (a.columns, b.columns, a.rows);
    valid(m > 0 && n > 0 && k > 0 && b.rows == k && (d.rows, d.columns) == (m, n))?;
    valid(c == d)?;
    let strides = [a, b, d].map(|one| u64::try_from(one.stride).unwrap_or(0));
    valid(strides[0] >= k && strides[1] >= k && strides[2] >= m)?;

    supported(a.data_type == b.data_type)?;
    let is = |one: &Layout, of: T| one.data_type == of as u32;
    let element = [
        (T::CUDA_R_16BF, Element::Bf16),
        (T::CUDA_R_8I, Element::Int8),
        (T::CUDA_R_8F_E4M3, Element::E4m3),
        (T::CUDA_R_4F_E2M1, Element::E2m1),
    ];
    let element = element.into_iter().find(|(of, _)| is(a, *of)).map(|(_, element)| element);
    let element = element.ok_or(Status::CUBLAS_STATUS_NOT_SUPPORTED)?;
    let (compute, scale, sum) = match element {
        Element::Int8 => (Compute::CUBLAS_COMPUTE_32I, T::CUDA_R_32I, T::CUDA_R_32I),
        _ => (Compute::CUBLAS_COMPUTE_32F, T::CUDA_R_32F, T::CUDA_R_32F),
    };
    supported(description.compute == compute as u32 && description.scale_type == scale as u32)?;
    supported(is(d, sum))?;

    supported(description.scale_modes[0] == description.scale_modes[1])?;
    let mode = |of: Scale| description.scale_modes[0] == of as u32;
    let scaling = if mode(Scale::CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F) {
        Scaling::Whole
    } else if mode(Scale::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F) {
        Scaling::Outer
    } else if mode(Scale::CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0) {
        Scaling::E8m0
    } else if mode(Scale::CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3) {
        Scaling::Ue4m3
    } else {
        return Err(Status::CUBLAS_STATUS_NOT_SUPPORTED);
    };
    // "The scaling mode for A scale requires a custom pointer" (NVIDIA/CUDALibrarySamples issue 274).
    valid(scaling == Scaling::Whole || description.scales.iter().all(|&scale| scale != 0))?;
    supported(match (element, scaling) {
        (Element::Bf16 | Element::Int8, Scaling::Whole) => {
            capability >= (8, 0) && description.scales == [0, 0]
        }
        (Element::E4m3, Scaling::Whole) => capability >= (8, 9),
        (Element::E4m3, Scaling::Outer) => capability == (9, 0),
        (Element::E4m3, Scaling::E8m0) | (Element::E2m1, Scaling::Ue4m3) => capability >= (10, 0),
        _ => false,
    })?;
    // Integers: 4 a step. Narrow floats: 16 bytes of every column.
    let step = match element {
        Element::Bf16 => 1,
        Element::Int8 => 4,
        Element::E4m3 | Element::E2m1 => 128 / element.bits(),
    };
    let along = [k, strides[0], strides[1]];
    supported(along.iter().all(|length| length.is_multiple_of(step)))?;
    supported(step == 1 || m.is_multiple_of(step.min(16)))?;
    Ok(Shape { element, scaling, m, n, k, strides })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fp8(mode: Scale, scales: [u64; 2]) -> (Description, [Layout; 3]) {
        let description = Description {
            compute: Compute::CUBLAS_COMPUTE_32F as u32,
            scale_type: T::CUDA_R_32F as u32,
            operations: [TURNED, STRAIGHT],
            scale_modes: [mode as u32; 2],
            scales,
        };
        let of = |data_type: T, rows, columns, stride| {
            Layout::new(data_type as u32, rows, columns, stride)
        };
        let e4m3 = T::CUDA_R_8F_E4M3;
        let sum = of(T::CUDA_R_32F, 32, 5, 32);
        (description, [of(e4m3, 64, 32, 64), of(e4m3, 64, 5, 80), sum])
    }

    const PLAIN: Scale = Scale::CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
    const BLOCKS: Scale = Scale::CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0;

    fn check(
        capability: (u32, u32),
        (description, [a, b, d]): &(Description, [Layout; 3]),
    ) -> Result<Shape> {
        shape(capability, description, [a, b, d, d])
    }

    #[test]
    fn what_a_chip_has_is_told_apart() {
        let not = Err(Status::CUBLAS_STATUS_NOT_SUPPORTED);
        let plain = fp8(PLAIN, [0; 2]);
        assert_eq!(check((8, 0), &plain), not);
        let shape = check((8, 9), &plain).expect("Ada has fp8");
        assert_eq!((shape.m, shape.n, shape.k, shape.strides), (32, 5, 64, [64, 80, 32]));
        assert_eq!(check((9, 0), &fp8(BLOCKS, [16; 2])), not);
        assert!(check((12, 0), &fp8(BLOCKS, [16; 2])).is_ok());
        let missing = Err(Status::CUBLAS_STATUS_INVALID_VALUE);
        assert_eq!(check((12, 0), &fp8(BLOCKS, [16, 0])), missing);
    }

    #[test]
    fn anything_but_what_is_offered_is_refused() {
        let good = fp8(PLAIN, [0; 2]);
        type Change = fn(&mut (Description, [Layout; 3]));
        let changes: [Change; 9] = [
            |g| g.0.operations = [STRAIGHT, STRAIGHT],
            |g| g.0.compute = Compute::CUBLAS_COMPUTE_32I as u32,
            |g| g.0.scale_modes[1] = BLOCKS as u32,
            |g| g.1[0].order = Order::CUBLASLT_ORDER_ROW as u32,
            |g| g.1[1].batch = 2,
            |g| g.1[1].data_type = T::CUDA_R_8I as u32,
            |g| g.1[2].data_type = T::CUDA_R_16BF as u32,
            |g| g.1[0].stride = 72,
            |g| g.1[1].stride = 48,
        ];
        assert!(check((9, 0), &good).is_ok());
        for (index, change) in changes.into_iter().enumerate() {
            let mut bad = good;
            change(&mut bad);
            assert!(check((9, 0), &bad).is_err(), "change {index}");
        }
    }
}
