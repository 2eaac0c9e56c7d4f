//! The kernels on Hopper's warpgroup products, kernels/gemm_wgmma_sm90.cuh: their tiles, how they are launched.
//!
//! fp8: the instruction keeps about 13 bits of a sum in flight, so every K = 128 is added in f32 (`promoted`). On an H100
//! with random operands the error of C, as a share of its norm, is then 1.1e-4 for every K; without it grows from 1.1e-4
//! at K = 128 to 1.9e-3 at 8192. What the instruction itself cuts off is allowed for by [`Sums::hopper_fp8`].

use std::rc::Rc;

use cudarc::driver::sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED_BYTES;
use cudarc::driver::{CudaFunction, DevicePtr, LaunchConfig, PushKernelArg};

use super::matrix::DeviceMatrix;
use super::path::{Multiply, Operands, Path};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::launching;
use crate::cuda::kernels::{self, Build};
use crate::cuda::tensor_map::{BOX_BYTES, Element, Map, TensorMap};
use crate::number::Format;
use crate::workload::{Gemm, Sums};

/// Threads a block: two warpgroups that multiply and one that copies.
const THREADS: u32 = 3 * 128;
/// Rows of a box of C.
const C_BOX_ROWS: u32 = 16;
/// Boxes of C in shared memory: two for each warp that multiplies.
const C_BOXES: u32 = 2 * 8;
/// Rows and columns of C whose tiles are at work together, so that L2 serves their operands.
const NEIGHBOURHOOD: u32 = 2048;

/// One tile of the kernel of one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wgmma {
    /// Format of A and B.
    pub format: Format,
    /// Rows of C a block: 128 or 256.
    pub m: u32,
    /// Columns of C a block: 128 or 256.
    pub n: u32,
    /// Stages of 128 bytes of K in shared memory.
    pub stages: u32,
    /// Blocks that share the longer side of their tiles by multicast: 1 or 2.
    pub cluster: u32,
}

/// Products of fp8 that are added in f32: one stage.
const RUN: usize = BOX_BYTES;

/// Tiles worth a try, best guess first: rows, columns, stages, blocks a cluster. The small one is for few tiles.
const TILES: [(u32, u32, u32, u32); 4] =
    [(128, 256, 4, 2), (256, 128, 4, 2), (256, 128, 4, 1), (128, 128, 6, 1)];

impl Wgmma {
    /// Tiles for `format` on `architecture`, best guess first: none where there is no such instruction.
    pub fn candidates(architecture: &str, format: Format) -> Vec<Self> {
        let has = architecture == "sm_90a" && kernel(format).is_some();
        let tiles = TILES.iter().filter(|_| has);
        tiles
            .map(|&(m, n, stages, cluster)| Self { format, m, n, stages, cluster })
            .filter(|tile| !tile.promoted() || tile.n == 128)
            .collect()
    }

    /// Whether every K = 128 is added in f32: twice the registers, so tiles of 128 columns only.
    pub const fn promoted(&self) -> bool {
        matches!(self.format, Format::Fp8E4m3)
    }

    /// The kernel with this tile; `None` where there is none for the format.
    pub fn build(&self) -> Option<Build> {
        let &Self { m, n, stages, cluster, .. } = self;
        let high = if self.shares_b() { m * cluster } else { m };
        Some(kernel(self.format)?.with([
            ("TILE_M", m),
            ("TILE_N", n),
            ("STAGES", stages),
            ("CLUSTER", cluster),
            ("GROUP", NEIGHBOURHOOD / high),
            ("PROMOTE", self.promoted().into()),
        ]))
    }

    /// Bytes of shared memory a block: stages, boxes of C, barriers, and what it takes to start at a multiple of 1024.
    pub const fn shared_bytes(&self) -> u32 {
        let boxes_of_c = C_BOXES * C_BOX_ROWS * BOX_BYTES as u32;
        1024 + boxes_of_c + self.stages * ((self.m + self.n) * BOX_BYTES as u32 + 2 * 8)
    }

    /// SHARE_B of the kernel.
    const fn shares_b(&self) -> bool {
        self.n >= self.m
    }

    /// Rows of a box of A and of B.
    const fn box_rows(&self) -> (u32, u32) {
        if self.shares_b() {
            (self.m, self.n / self.cluster)
        } else {
            (self.m / self.cluster, self.n)
        }
    }

    /// Tiles of C, rounded up.
    pub const fn tiles(&self, problem: Gemm) -> usize {
        problem.m.div_ceil(self.m as usize) * problem.n.div_ceil(self.n as usize)
    }

    /// Blocks: one a multiprocessor, or fewer where there are fewer tiles; whole clusters.
    fn blocks(&self, problem: Gemm, multiprocessors: u32) -> u32 {
        let (high, wide) = match self.shares_b() {
            true => (self.m * self.cluster, self.n),
            false => (self.m, self.n * self.cluster),
        };
        let tiles = problem.m.div_ceil(high as usize) * problem.n.div_ceil(wide as usize);
        let clusters = (multiprocessors / self.cluster).max(1);
        clusters.min(u32::try_from(tiles).unwrap_or(u32::MAX)) * self.cluster
    }
}

/// The kernel of a format.
fn kernel(format: Format) -> Option<kernels::Kernel> {
    match format {
        Format::Bf16 => Some(kernels::GEMM_BF16_WGMMA),
        Format::Int8 => Some(kernels::GEMM_INT8_WGMMA),
        Format::Fp8E4m3 => Some(kernels::GEMM_FP8_WGMMA),
        Format::Fp8E5m2 | Format::Mxfp4 => None,
    }
}

impl Path for Wgmma {
    fn name(&self) -> String {
        let Self { format, m, n, stages, cluster, .. } = self;
        let k = BOX_BYTES * 8 / format.element_bits();
        let promoted = if self.promoted() { "/promoted" } else { "" };
        format!("wgmma.{format}/{m}x{n}x{k}s{stages}c{cluster}{promoted}")
    }

    fn prepare(&self, gpu: &Rc<Gpu>, operands: &Operands) -> Result<Box<dyn Multiply>> {
        let build = self.build().ok_or_else(|| {
            crate::Error::Unavailable(format!("no wgmma kernel for {}", self.format))
        })?;
        let kernel = gpu.load(build)?;
        let shared_bytes = self.shared_bytes();
        kernel
            .set_attribute(SHARED_BYTES, shared_bytes as i32)
            .map_err(|e| launching("reserve shared memory", e))?;
        let (a_rows, b_rows) = self.box_rows();
        let maps = |matrices: &[DeviceMatrix], box_rows| {
            matrices
                .iter()
                .map(|matrix| operand_map(gpu, self.format, matrix, box_rows).encode())
                .collect::<Result<Vec<_>>>()
        };
        let a = maps(&operands.a, a_rows)?;
        let b = maps(&operands.b, b_rows)?;
        // Where N is no multiple of 4 the kernel stores from registers and does not read the map.
        let c = match operands.problem.n % 4 {
            0 => c_map(gpu, operands).encode()?,
            _ => a[0],
        };
        Ok(Box::new(Ready {
            gpu: Rc::clone(gpu),
            kernel,
            config: LaunchConfig {
                grid_dim: (self.blocks(operands.problem, gpu.multiprocessors()?), 1, 1),
                block_dim: (THREADS, 1, 1),
                shared_mem_bytes: shared_bytes,
            },
            a,
            b,
            c,
            sums: if self.promoted() { Sums::hopper_fp8(RUN) } else { Sums::F32 },
        }))
    }
}

/// A or B: zeros beyond K, so that every K will do.
fn operand_map(gpu: &Gpu, format: Format, matrix: &DeviceMatrix, box_rows: u32) -> Map {
    Map {
        element: if format == Format::Bf16 { Element::Bf16 } else { Element::Byte },
        address: matrix.codes(gpu),
        rows: matrix.rows,
        columns: matrix.columns,
        pitch: matrix.pitch,
        box_rows,
    }
}

/// C, for an N that is a multiple of 4.
fn c_map(gpu: &Gpu, operands: &Operands) -> Map {
    let Gemm { m, n, .. } = operands.problem;
    Map {
        element: Element::F32,
        address: operands.c.device_ptr(gpu.stream()).0,
        rows: m,
        columns: n,
        pitch: n * size_of::<f32>(),
        box_rows: C_BOX_ROWS,
    }
}

/// The compiled kernel and the maps of its operands, one of each copy of A and B.
struct Ready {
    gpu: Rc<Gpu>,
    kernel: CudaFunction,
    config: LaunchConfig,
    a: Vec<TensorMap>,
    b: Vec<TensorMap>,
    c: TensorMap,
    sums: Sums,
}

impl Multiply for Ready {
    fn enqueue(&mut self, operands: &mut Operands, copy: usize) -> Result<()> {
        let scales = (operands.a[copy].scales(&self.gpu), operands.b[copy].scales(&self.gpu));
        // `Gemm::check` limits every dimension to 2^20.
        let [m, n, k] =
            [operands.problem.m, operands.problem.n, operands.problem.k].map(|d| d as i32);
        let mut launch = self.gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.a[copy]).arg(&self.b[copy]).arg(&self.c).arg(&mut operands.c);
        launch.arg(&scales.0).arg(&scales.1).arg(&m).arg(&n).arg(&k);
        // SAFETY: the arguments are those of the kernel's file, sized as it asks, and outlive the launch.
        unsafe { launch.launch(self.config) }.map_err(|e| launching("launch a GEMM", e))?;
        Ok(())
    }

    fn sums(&self) -> Sums {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shared memory of a block on sm_90 (CUDA C++ Programming Guide, compute capabilities).
    const SHARED_LIMIT: u32 = 227 * 1024;

    #[test]
    fn offered_on_hopper_alone_and_fit_there() {
        for format in Format::MAIN {
            assert!(Wgmma::candidates("sm_100a", format).is_empty());
            for tile in Wgmma::candidates("sm_90a", format) {
                assert!(tile.shared_bytes() <= SHARED_LIMIT, "{}", tile.name());
                assert!(tile.build().is_some());
            }
        }
        let count = |format| Wgmma::candidates("sm_90a", format).len();
        assert_eq!(Format::MAIN.map(count).iter().filter(|&&count| count > 0).count(), 3);
    }

    #[test]
    fn names_tell_kernel_format_tile_and_sums() {
        let tile = |format| Wgmma { format, m: 256, n: 128, stages: 4, cluster: 2 };
        assert_eq!(tile(Format::Bf16).name(), "wgmma.bf16/256x128x64s4c2");
        assert_eq!(tile(Format::Fp8E4m3).name(), "wgmma.fp8/256x128x128s4c2/promoted");
    }

    #[test]
    fn clusters_are_whole_and_no_more_than_there_is_work_for() {
        let tile = Wgmma { format: Format::Bf16, m: 128, n: 256, stages: 4, cluster: 2 };
        assert_eq!(tile.blocks(Gemm::new(4096, 4096, 64), 132), 132);
        assert_eq!(tile.blocks(Gemm::new(1, 257, 64), 132), 4);
        assert_eq!(tile.blocks(Gemm::new(4096, 4096, 64), 1), 2);
    }
}
