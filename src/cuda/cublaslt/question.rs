//! What the library is asked before anything is uploaded: whether it has the product.

use cudarc::driver::DevicePtr;

use super::algorithm::{Algorithm, algorithms};
use super::descriptor::{Description, Layout};
use super::handle::Handle;
use super::numbers::Scaling;
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gemm::Numbers;
use crate::cuda::gpu::driver;
use crate::workload::Gemm;

/// Bytes of device memory that algorithms may use: what NVIDIA recommends from Hopper on, eight times what it does before
/// (cuBLAS documentation, `cublasSetWorkspace`).
pub(super) const WORKSPACE: usize = 32 << 20;

/// How the library sees B, A and C. It counts columns first: our B[N,K] is its first matrix of K x N, transposed in the
/// product; our A[M,K] its second, K x M; and our C[M,N] is its N x M.
///
/// # Errors
/// When the library refuses.
pub(super) fn layouts(Gemm { m, n, k }: Gemm, numbers: Numbers) -> Result<[Layout; 3]> {
    let (of, (_, _, sum)) = (numbers.data_type(), numbers.sums());
    // Elements in a row that is padded to 16 bytes.
    let stride = numbers.row_bytes(k).next_multiple_of(16) * 2 / numbers.row_bytes(2);
    Ok([Layout::new(of, k, n, stride)?, Layout::new(of, k, m, stride)?, Layout::new(sum, n, m, n)?])
}

/// The first way of scaling for which the library names algorithms, and those; `None` where it has none.
///
/// # Errors
/// When it refuses the question.
pub(super) fn choices(
    gpu: &Gpu,
    handle: &Handle,
    numbers: Numbers,
    [b, a, c]: &[Layout; 3],
) -> Result<Option<(Scaling, Vec<Algorithm>)>> {
    // The heuristic wants an address, and does not read it.
    let scales = gpu.stream().alloc_zeros::<u8>(16).map_err(|e| driver("allocate a scale", e))?;
    let address = scales.device_ptr(gpu.stream()).0;
    let mut refused = None;
    for &scaling in numbers.scalings() {
        let found = Description::new(numbers, scaling, [address; 2])
            .and_then(|description| algorithms(handle, &description, [b, a, c], WORKSPACE));
        match found {
            Ok(found) if found.is_empty() => {}
            Ok(found) => return Ok(Some((scaling, found))),
            // An old library does not know a way of scaling: the next may do.
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), Err)
}
