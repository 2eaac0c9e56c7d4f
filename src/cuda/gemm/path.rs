//! What a kernel is to the subject that times it, and which kernels there are for a problem.

use std::rc::Rc;

use cudarc::driver::CudaSlice;

use super::matrix::DeviceMatrix;
use super::mma::Mma;
use crate::cuda::Gpu;
use crate::number::Format;
use crate::workload::Gemm;
use crate::{Error, Result};

/// The operands of one problem in device memory.
pub struct Operands {
    /// Shape.
    pub problem: Gemm,
    /// Format of A and B.
    pub format: Format,
    /// Copies of A.
    pub a: Vec<DeviceMatrix>,
    /// Copies of B, as many as of A.
    pub b: Vec<DeviceMatrix>,
    /// M x N, row-major; all copies write the same.
    pub c: CudaSlice<f32>,
}

/// One kernel with one tile.
pub trait Path {
    /// Kernel and tile as they are recorded: `mma.bf16/128x256x64s3`.
    fn name(&self) -> String;

    /// Compiles the kernel for `gpu` and prepares what it needs for `operands`: tensor maps, a workspace.
    ///
    /// # Errors
    /// When it does not compile or memory can't be had.
    fn prepare(&self, gpu: &Rc<Gpu>, operands: &Operands) -> Result<Box<dyn Multiply>>;
}

/// A kernel that is ready for the operands that it was prepared with.
pub trait Multiply {
    /// Queues the product of copy `copy` on the GPU's stream.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    fn enqueue(&mut self, operands: &mut Operands, copy: usize) -> Result<()>;
}

/// The kernels that can multiply `problem` in `format` on `gpu`, best guess first.
///
/// # Errors
/// [`Error::Unavailable`] with the cause when the chip has no instruction for the format.
pub fn paths(gpu: &Gpu, problem: Gemm, format: Format) -> Result<Vec<Box<dyn Path>>> {
    let mut paths: Vec<Box<dyn Path>> = Vec::new();
    let mma = Mma::candidates(gpu.architecture(), gpu.multiprocessors()?, problem, format);
    let lacking = match mma {
        Ok(candidates) => {
            paths.extend(candidates.into_iter().map(|c| Box::new(c) as Box<dyn Path>));
            None
        }
        Err(cause) => Some(cause),
    };
    match lacking {
        Some(cause) if paths.is_empty() => Err(Error::Unavailable(cause)),
        _ => Ok(paths),
    }
}
