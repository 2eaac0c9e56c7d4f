//! What a kernel is to the subject that times it, and which kernels there are for a problem.

use std::rc::Rc;

use cudarc::driver::CudaSlice;

use super::dequant::Dequant;
use super::matrix::DeviceMatrix;
use super::mma::{DECODE_ROWS, Mma};
use super::numbers::Numbers;
use super::wgmma::Wgmma;
use crate::cuda::Gpu;
use crate::number::Format;
use crate::workload::{Gemm, Sums};
use crate::{Error, Result};

/// In which formats A and B are stored and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Both in one format, multiplied as they are.
    Native(Numbers),
    /// A in bf16; B, the weights, in this narrower format, expanded exactly to bf16 on the way to the tensor cores: weight-
    /// only quantisation (W8A16, W4A16).
    WeightOnly(Format),
}

impl Product {
    /// Format of A.
    pub const fn activations(self) -> Numbers {
        match self {
            Self::Native(numbers) => numbers,
            Self::WeightOnly(_) => Numbers::Plain(Format::Bf16),
        }
    }

    /// Format of B.
    pub const fn weights(self) -> Numbers {
        match self {
            Self::Native(numbers) => numbers,
            Self::WeightOnly(format) => Numbers::Plain(format),
        }
    }

    /// What the tensor cores multiply.
    pub const fn multiplied(self) -> Numbers {
        self.activations()
    }

    /// What metrics call it: `mxfp4`, `mxfp4-to-bf16`.
    pub fn name(self) -> String {
        match self {
            Self::Native(numbers) => numbers.name().into(),
            Self::WeightOnly(format) => format!("{format}-to-bf16"),
        }
    }
}

impl<N: Into<Numbers>> From<N> for Product {
    fn from(numbers: N) -> Self {
        Self::Native(numbers.into())
    }
}

/// The operands of one problem in device memory.
pub struct Operands {
    /// Shape.
    pub problem: Gemm,
    /// Formats of A and B.
    pub product: Product,
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

/// The kernels that can multiply `problem` on `gpu`, best guess first.
///
/// On sm_90a only those on `wgmma`, which `mma.sync` can't keep up with, except where memory is what counts: with few rows
/// those on `mma.sync` alone, and also those, behind the others, where the tiles of `wgmma` would leave multiprocessors idle
/// that a product split along K gives work.
///
/// # Errors
/// [`Error::Unavailable`] with the cause when the chip has no instruction for the format.
pub fn paths(gpu: &Gpu, problem: Gemm, product: Product) -> Result<Vec<Box<dyn Path>>> {
    let (architecture, multiprocessors) = (gpu.architecture(), gpu.multiprocessors()?);
    let numbers = match product {
        Product::Native(numbers) => numbers,
        Product::WeightOnly(format) => {
            return Dequant::candidates(architecture, multiprocessors, problem, format)
                .map(boxed)
                .map_err(Error::Unavailable);
        }
    };
    let wgmma = match numbers {
        Numbers::Plain(format) => Wgmma::candidates(architecture, format),
        Numbers::Blocked(_) => Vec::new(),
    };
    let few_rows = problem.m <= DECODE_ROWS && Mma::lacks(architecture, numbers).is_none();
    let few_tiles = |path: &Wgmma| path.tiles(problem) < multiprocessors as usize;
    let idle = wgmma.iter().all(few_tiles);
    let splitting = Mma::candidates(architecture, multiprocessors, problem, numbers).map(boxed);
    match splitting {
        Ok(splitting) if few_rows => Ok(splitting),
        Ok(splitting) if idle => Ok(boxed(wgmma).into_iter().chain(splitting).collect()),
        Err(cause) if wgmma.is_empty() => Err(Error::Unavailable(cause)),
        _ => Ok(boxed(wgmma)),
    }
}

/// Whether weights in `format` are worth expanding on `architecture`: where no `mma.sync` takes the format, unless `wgmma`
/// does and there are rows enough for it.
pub fn worth_expanding(architecture: &str, problem: Gemm, format: Format) -> bool {
    Dequant::expands(format)
        && Mma::lacks(architecture, format).is_some()
        && (problem.m <= DECODE_ROWS || Wgmma::candidates(architecture, format).is_empty())
}

fn boxed<P: Path + 'static>(paths: Vec<P>) -> Vec<Box<dyn Path>> {
    paths.into_iter().map(|path| Box::new(path) as Box<dyn Path>).collect()
}
