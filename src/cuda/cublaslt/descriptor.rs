//! The library's descriptions of matrices, of an operation and of a preference: made, filled in, destroyed when dropped.

use std::ffi::c_void;

use cudarc::cublaslt::sys::{
    self, cublasLtMatmulDescAttributes_t as Attribute,
    cublasLtMatmulPreferenceAttributes_t as Preferred, cudaDataType_t as Type,
};

use super::handle::check;
use super::numbers::Scaling;
use crate::Result;
use crate::cuda::gemm::Numbers;

/// `CUBLAS_OP_N` and `CUBLAS_OP_T` of cublas_api.h, which cudarc's bindings of cublasLt.h leave out.
const AS_IT_IS: i32 = 0;
const TRANSPOSED: i32 = 1;

/// A column-major matrix, which is what the library calls a row-major one transposed.
pub(super) struct Layout(pub(super) sys::cublasLtMatrixLayout_t);

impl Layout {
    /// `rows` consecutive elements a column, `columns` columns that start `stride` elements apart.
    pub(super) fn new(of: Type, rows: usize, columns: usize, stride: usize) -> Result<Self> {
        let mut layout = std::ptr::null_mut();
        let (rows, columns, stride) = (rows as u64, columns as u64, stride as i64);
        // SAFETY: the library writes one handle.
        let status =
            unsafe { sys::cublasLtMatrixLayoutCreate(&raw mut layout, of, rows, columns, stride) };
        check(status, "describe a matrix")?;
        Ok(Self(layout))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. An error would only mean a leak.
        let _ = unsafe { sys::cublasLtMatrixLayoutDestroy(self.0) };
    }
}

/// A product: types of its sums, which operand is transposed, where the scales are.
pub(super) struct Description(pub(super) sys::cublasLtMatmulDesc_t);

impl Description {
    /// The first operand transposed, the second not (the only way in which the library multiplies narrow formats on every
    /// chip), and the scales of both at device addresses `scales`.
    pub(super) fn new(numbers: Numbers, scaling: Scaling, scales: [u64; 2]) -> Result<Self> {
        let (compute, scale, _) = numbers.sums();
        let mut description = std::ptr::null_mut();
        // SAFETY: the library writes one handle.
        let status = unsafe { sys::cublasLtMatmulDescCreate(&raw mut description, compute, scale) };
        check(status, "describe a product")?;
        let description = Self(description);
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &AS_IT_IS)?;
        if let Some(mode) = scaling.mode() {
            description.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &(mode as i32))?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &(mode as i32))?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &scales[0])?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scales[1])?;
        }
        Ok(description)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<()> {
        let value = std::ptr::from_ref(value).cast::<c_void>();
        // SAFETY: the description is alive; the library reads as many bytes as are given.
        let status = unsafe {
            sys::cublasLtMatmulDescSetAttribute(self.0, attribute, value, size_of::<T>())
        };
        check(status, &format!("set {attribute:?}"))
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. An error would only mean a leak.
        let _ = unsafe { sys::cublasLtMatmulDescDestroy(self.0) };
    }
}

/// What algorithms may use.
pub(super) struct Preference(pub(super) sys::cublasLtMatmulPreference_t);

impl Preference {
    /// Up to `workspace` bytes of device memory.
    pub(super) fn new(workspace: usize) -> Result<Self> {
        let mut preference = std::ptr::null_mut();
        // SAFETY: the library writes one handle.
        let status = unsafe { sys::cublasLtMatmulPreferenceCreate(&raw mut preference) };
        check(status, "state a preference")?;
        let preference = Self(preference);
        let attribute = Preferred::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let value = (&raw const workspace).cast::<c_void>();
        // SAFETY: the preference is alive; the library reads as many bytes as are given.
        let status = unsafe {
            sys::cublasLtMatmulPreferenceSetAttribute(
                preference.0,
                attribute,
                value,
                size_of::<usize>(),
            )
        };
        check(status, "limit the workspace")?;
        Ok(preference)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. An error would only mean a leak.
        let _ = unsafe { sys::cublasLtMatmulPreferenceDestroy(self.0) };
    }
}
