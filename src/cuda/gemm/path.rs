//! What a kernel is to the subject that times it, and which kernels there are for a problem.

use std::rc::Rc;

use cudarc::driver::CudaSlice;

use super::matrix::DeviceMatrix;
use super::mma::{DECODE_ROWS, Mma};
use super::wgmma::Wgmma;
use crate::cuda::Gpu;
use crate::number::Format;
use crate::workload::{Gemm, Sums};
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

    /// How its unit adds up, as far as that is not as good as f32.
    fn sums(&self) -> Sums {
        Sums::F32
    }
}

/// The kernels that can multiply `problem` in `format` on `gpu`, best guess first.
///
/// On sm_90a only those on `wgmma`, which `mma.sync` can't keep up with, except for few rows, where memory is what counts.
///
/// # Errors
/// [`Error::Unavailable`] with the cause when the chip has no instruction for the format.
pub fn paths(gpu: &Gpu, problem: Gemm, format: Format) -> Result<Vec<Box<dyn Path>>> {
    let wgmma = Wgmma::candidates(gpu.architecture(), format);
    let few_rows = problem.m <= DECODE_ROWS && Mma::lacks(gpu.architecture(), format).is_none();
    if !wgmma.is_empty() && !few_rows {
        return Ok(boxed(wgmma));
    }
    Mma::candidates(gpu.architecture(), gpu.multiprocessors()?, problem, format)
        .map(boxed)
        .map_err(Error::Unavailable)
}

fn boxed<P: Path + 'static>(paths: Vec<P>) -> Vec<Box<dyn Path>> {
    paths.into_iter().map(|path| Box::new(path) as Box<dyn Path>).collect()
}
