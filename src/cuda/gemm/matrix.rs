//! Quantised matrices in device memory, as the kernels take them.

use cudarc::driver::{CudaSlice, DevicePtr};

use super::numbers::Numbers;
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::number::{BlockMatrix, Matrix, Scales};

/// Bytes to which rows are padded: what asynchronous copies and tensor maps move at least.
const ALIGNMENT: usize = 16;

/// A [`Matrix`] in device memory: rows of [`Self::pitch`] bytes, zero after the last element, and the scales.
pub struct DeviceMatrix {
    /// Number of rows.
    pub rows: usize,
    /// Elements a row.
    pub columns: usize,
    /// Bytes from one row to the next: those of its elements, up to the next multiple of 16.
    pub pitch: usize,
    codes: CudaSlice<u8>,
    scales: CudaSlice<u8>,
}

impl DeviceMatrix {
    /// Uploads `matrix` as often as `copies` says.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn upload(gpu: &Gpu, matrix: &Matrix, copies: usize) -> Result<Vec<Self>> {
        let scales = match &matrix.scales {
            // A kernel does not read it, but an allocation has at least a byte.
            Scales::None => vec![0; ALIGNMENT],
            Scales::PerRow(scales) => scales.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Scales::PerBlock(scales) => pad(scales, scales.len() / matrix.rows),
        };
        let row_bytes = matrix.format.row_bytes(matrix.columns);
        let shape = (matrix.rows, matrix.columns, row_bytes);
        Self::upload_parts(gpu, shape, &matrix.codes, &scales, copies)
    }

    /// [`Self::upload`] of a block-scaled matrix.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn upload_blocked(gpu: &Gpu, matrix: &BlockMatrix, copies: usize) -> Result<Vec<Self>> {
        let row_bytes = matrix.format.row_bytes(matrix.columns);
        let scales = pad(&matrix.scales, matrix.scales.len() / matrix.rows);
        let shape = (matrix.rows, matrix.columns, row_bytes);
        Self::upload_parts(gpu, shape, &matrix.codes, &scales, copies)
    }

    /// Uploads a matrix of (rows, columns, bytes a row of codes), with `scales` as they are.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub(in crate::cuda) fn upload_parts(
        gpu: &Gpu,
        (rows, columns, row_bytes): (usize, usize, usize),
        codes: &[u8],
        scales: &[u8],
        copies: usize,
    ) -> Result<Vec<Self>> {
        let codes = pad(codes, row_bytes);
        let stream = gpu.stream();
        let upload =
            |bytes: &[u8]| stream.clone_htod(bytes).map_err(|e| driver("upload a matrix", e));
        (0..copies)
            .map(|_| {
                Ok(Self {
                    rows,
                    columns,
                    pitch: row_bytes.next_multiple_of(ALIGNMENT),
                    codes: upload(&codes)?,
                    scales: upload(scales)?,
                })
            })
            .collect()
    }

    /// Bytes of device memory that one copy of a matrix takes.
    pub fn bytes(numbers: Numbers, rows: usize, columns: usize) -> u64 {
        let pitch = numbers.row_bytes(columns).next_multiple_of(ALIGNMENT);
        let stored = numbers.stored_row_bytes(columns) - numbers.row_bytes(columns);
        (rows * (pitch + stored.next_multiple_of(ALIGNMENT))) as u64
    }

    /// Device address of the first row.
    pub fn codes(&self, gpu: &Gpu) -> u64 {
        self.codes.device_ptr(gpu.stream()).0
    }

    /// Device address of the scales: f32 a row, or E8M0 bytes in rows padded to a multiple of 16.
    pub fn scales(&self, gpu: &Gpu) -> u64 {
        self.scales.device_ptr(gpu.stream()).0
    }
}

/// `bytes` in rows of `row_bytes`, each filled with zeros to a multiple of [`ALIGNMENT`].
fn pad(bytes: &[u8], row_bytes: usize) -> Vec<u8> {
    let pitch = row_bytes.next_multiple_of(ALIGNMENT);
    if pitch == row_bytes {
        return bytes.to_vec();
    }
    let mut padded = vec![0; bytes.len() / row_bytes * pitch];
    for (to, from) in padded.chunks_exact_mut(pitch).zip(bytes.chunks_exact(row_bytes)) {
        to[..row_bytes].copy_from_slice(from);
    }
    padded
}
