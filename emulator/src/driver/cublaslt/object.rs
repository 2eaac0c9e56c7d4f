//! Matrices, operations and preferences: numbers that the caller sets one by one.

use super::super::handle::{Handle, Table, lock};
use super::{Result, Status};
use cudarc::cublaslt::sys::{
    cublasLtMatmulDescAttributes_t as D, cublasLtMatmulPreferenceAttributes_t as P,
    cublasLtMatrixLayoutAttribute_t as L, cublasLtOrder_t as Order,
};
use std::ffi::{c_int, c_void};
use std::sync::{Arc, LazyLock, Mutex};

/// `cublasLtMatrixLayout_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `cudaDataType`.
    pub data_type: u32,
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// Elements from one column to the next.
    pub stride: i64,
    /// `cublasLtOrder_t`.
    pub order: u32,
    /// Matrices of a batch.
    pub batch: i32,
}

impl Layout {
    /// A column-major matrix.
    #[must_use]
    pub const fn new(data_type: u32, rows: u64, columns: u64, stride: i64) -> Self {
        let order = Order::CUBLASLT_ORDER_COL as u32;
        Self { data_type, rows, columns, stride, order, batch: 1 }
    }

    fn set(&mut self, attribute: c_int, value: Value) -> Result<()> {
        match attribute {
            a if a == L::CUBLASLT_MATRIX_LAYOUT_TYPE as c_int => self.data_type = value.word()?,
            a if a == L::CUBLASLT_MATRIX_LAYOUT_ORDER as c_int => self.order = value.word()?,
            a if a == L::CUBLASLT_MATRIX_LAYOUT_ROWS as c_int => self.rows = value.long()?,
            a if a == L::CUBLASLT_MATRIX_LAYOUT_COLS as c_int => self.columns = value.long()?,
            a if a == L::CUBLASLT_MATRIX_LAYOUT_LD as c_int => self.stride = value.long()? as i64,
            a if a == L::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT as c_int => {
                self.batch = value.word()? as i32;
            }
            _ => return Err(Status::CUBLAS_STATUS_INVALID_VALUE),
        }
        Ok(())
    }
}

/// `cublasLtMatmulDesc_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `cublasComputeType_t`.
    pub compute: u32,
    /// `cudaDataType` of alpha and beta.
    pub scale_type: u32,
    /// `cublasOperation_t` of A and B.
    pub operations: [u32; 2],
    /// `cublasLtMatmulMatrixScale_t` of A and B.
    pub scale_modes: [u32; 2],
    /// Device addresses of the scales of A and B; 0 for none.
    pub scales: [u64; 2],
}

impl Description {
    fn set(&mut self, attribute: c_int, value: Value) -> Result<()> {
        match attribute {
            a if a == D::CUBLASLT_MATMUL_DESC_TRANSA as c_int => {
                self.operations[0] = value.word()?
            }
            a if a == D::CUBLASLT_MATMUL_DESC_TRANSB as c_int => {
                self.operations[1] = value.word()?
            }
            a if a == D::CUBLASLT_MATMUL_DESC_A_SCALE_MODE as c_int => {
                self.scale_modes[0] = value.word()?;
            }
            a if a == D::CUBLASLT_MATMUL_DESC_B_SCALE_MODE as c_int => {
                self.scale_modes[1] = value.word()?;
            }
            a if a == D::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER as c_int => {
                self.scales[0] = value.long()?;
            }
            a if a == D::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER as c_int => {
                self.scales[1] = value.long()?;
            }
            // Everything else that the header has changes the result, and nobody here would heed it.
            _ => return Err(Status::CUBLAS_STATUS_NOT_SUPPORTED),
        }
        Ok(())
    }
}

/// `cublasLtMatmulPreference_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    /// Bytes of workspace that an algorithm may use.
    pub workspace: u64,
}

impl Preference {
    fn set(&mut self, attribute: c_int, value: Value) -> Result<()> {
        if attribute != P::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES as c_int {
            return Err(Status::CUBLAS_STATUS_NOT_SUPPORTED);
        }
        self.workspace = value.long()?;
        Ok(())
    }
}

/// An attribute's value: the caller's bytes, whose number must be that of the attribute's type.
#[derive(Clone, Copy)]
pub struct Value {
    pointer: *const c_void,
    bytes: usize,
}

impl Value {
    /// # Safety
    /// A pointer that is not null must be valid for reading `bytes`.
    pub const unsafe fn new(pointer: *const c_void, bytes: usize) -> Self {
        Self { pointer, bytes }
    }

    fn word(self) -> Result<u32> {
        // SAFETY: as `new` was promised; the number of bytes is checked.
        unsafe { self.read() }
    }

    fn long(self) -> Result<u64> {
        // SAFETY: as above.
        unsafe { self.read() }
    }

    /// # Safety
    /// `T` must be a plain number.
    unsafe fn read<T>(self) -> Result<T> {
        if self.pointer.is_null() || self.bytes != size_of::<T>() {
            return Err(Status::CUBLAS_STATUS_INVALID_VALUE);
        }
        // SAFETY: not null, valid for as many bytes.
        Ok(unsafe { self.pointer.cast::<T>().read_unaligned() })
    }
}

/// Something that the caller makes, sets and destroys.
pub trait Object: Copy + 'static {
    /// All that live.
    fn table() -> &'static Table<Mutex<Self>>;

    /// Sets an attribute.
    ///
    /// # Errors
    /// `INVALID_VALUE` for a size or number that is none, `NOT_SUPPORTED` for what is not offered.
    fn assign(&mut self, attribute: c_int, value: Value) -> Result<()>;

    /// Takes in a new one.
    fn insert(self) -> Handle {
        Self::table().insert(Arc::new(Mutex::new(self)))
    }

    /// As it is now.
    ///
    /// # Errors
    /// `INVALID_VALUE` unless it is live and of this kind.
    fn get(handle: Handle) -> Result<Self> {
        let object = Self::table().get(handle);
        object.map(|object| *lock(&object)).map_err(|_| Status::CUBLAS_STATUS_INVALID_VALUE)
    }

    /// Sets an attribute of the one behind a handle.
    ///
    /// # Errors
    /// As [`Self::assign`] and [`Self::get`].
    fn set(handle: Handle, attribute: c_int, value: Value) -> Result<()> {
        let object = Self::table().get(handle);
        let object = object.map_err(|_| Status::CUBLAS_STATUS_INVALID_VALUE)?;
        lock(&object).assign(attribute, value)
    }

    /// Takes one out.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn remove(handle: Handle) -> Result<()> {
        let object = Self::table().remove(handle);
        object.map(|_| ()).map_err(|_| Status::CUBLAS_STATUS_INVALID_VALUE)
    }
}

macro_rules! objects {
    ($($kind:ty: $number:literal;)*) => {$(
        impl Object for $kind {
            fn table() -> &'static Table<Mutex<Self>> {
                static TABLE: LazyLock<Table<Mutex<$kind>>> = LazyLock::new(|| Table::new($number));
                &TABLE
            }

            fn assign(&mut self, attribute: c_int, value: Value) -> Result<()> {
                self.set(attribute, value)
            }
        }
    )*};
}

// The driver's tables have the numbers below 16.
objects! {
    Layout: 16;
    Description: 17;
    Preference: 18;
}
