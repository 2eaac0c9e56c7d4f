//! What the kernels on kernels/gemm_block.cuh have in common on the host: a block a tile of C, or several that share one,
//! each with its part of K; their workspace and their launch.

use std::rc::Rc;

use cudarc::driver::sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED_BYTES;
use cudarc::driver::{CudaFunction, CudaSlice, DeviceRepr, LaunchConfig, PushKernelArg};

use super::mma::DECODE_ROWS;
use super::path::{Multiply, Operands};
use crate::Result;
use crate::cuda::Gpu;
use crate::cuda::gpu::{driver, launching};
use crate::cuda::kernels::Build;
use crate::workload::Gemm;

/// How C and K are divided among blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of C a block.
    pub m: u32,
    /// Columns of C a block.
    pub n: u32,
    /// Blocks that share a tile of C, each with its part of K.
    pub parts: u32,
    /// Threads a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory a block.
    pub shared_bytes: u32,
}

impl Blocks {
    /// Tiles that cover C.
    const fn tiles(self, problem: Gemm) -> u32 {
        (problem.m.div_ceil(self.m as usize) * problem.n.div_ceil(self.n as usize)) as u32
    }

    /// In how many parts K is worth a try: as many as give each multiprocessor a block, or two where few rows leave only
    /// the bytes under way to count; `most` at most, since each part is to fill the stages.
    pub fn parts_to_try(self, problem: Gemm, most: u32, multiprocessors: u32) -> Vec<u32> {
        let fills: &[u32] = if problem.m <= DECODE_ROWS { &[1, 2] } else { &[1] };
        let parts =
            |fill: &u32| (fill * multiprocessors / self.tiles(problem)).clamp(1, most.max(1));
        let mut parts: Vec<u32> = fills.iter().map(parts).collect();
        parts.dedup();
        parts
    }

    /// Compiles `build` and allocates what it needs besides A, B and C: partial sums and counters, where parts share a
    /// tile.
    ///
    /// # Errors
    /// When it does not compile or memory can't be had.
    pub fn prepare(
        self,
        gpu: &Rc<Gpu>,
        build: Build,
        operands: &Operands,
    ) -> Result<Box<dyn Multiply>> {
        let kernel = gpu.load(build)?;
        kernel
            .set_attribute(SHARED_BYTES, self.shared_bytes as i32)
            .map_err(|e| launching("reserve shared memory", e))?;
        let tiles = self.tiles(operands.problem);
        let (partial, arrived) = match self.parts {
            1 => (1, 1),
            parts => (tiles as usize * (parts * self.m * self.n) as usize, tiles as usize),
        };
        let zeros = |words| {
            gpu.stream().alloc_zeros::<u32>(words).map_err(|e| driver("allocate a workspace", e))
        };
        Ok(Box::new(Ready {
            gpu: Rc::clone(gpu),
            kernel,
            config: LaunchConfig {
                grid_dim: (tiles, self.parts, 1),
                block_dim: (self.threads, 1, 1),
                shared_mem_bytes: self.shared_bytes,
            },
            partial: zeros(partial)?,
            arrived: zeros(arrived)?,
        }))
    }
}

/// `90` of `sm_90a`.
pub(super) fn capability(architecture: &str) -> u32 {
    let digits: String = architecture.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Bytes of shared memory that a block can have (CUDA C++ Programming Guide, compute capabilities), less the kernels'
/// few static ones.
pub(super) fn shared_limit(architecture: &str) -> u32 {
    let kib = match capability(architecture) {
        80 | 87 => 163,
        90 | 100 | 103 => 227,
        _ => 99,
    };
    kib * 1024 - 16
}

/// `Operands` of the kernels.
#[repr(C)]
#[derive(Clone, Copy)]
struct Arguments {
    a: u64,
    b: u64,
    a_scale: u64,
    b_scale: u64,
    m: i32,
    n: i32,
    a_pitch: i32,
    b_pitch: i32,
}

// SAFETY: plain numbers, laid out as the kernels declare them.
unsafe impl DeviceRepr for Arguments {}

/// A compiled kernel and its workspace.
struct Ready {
    gpu: Rc<Gpu>,
    kernel: CudaFunction,
    config: LaunchConfig,
    partial: CudaSlice<u32>,
    arrived: CudaSlice<u32>,
}

impl Multiply for Ready {
    fn enqueue(&mut self, operands: &mut Operands, copy: usize) -> Result<()> {
        let (a, b) = (&operands.a[copy], &operands.b[copy]);
        let arguments = Arguments {
            a: a.codes(&self.gpu),
            b: b.codes(&self.gpu),
            a_scale: a.scales(&self.gpu),
            b_scale: b.scales(&self.gpu),
            // `Gemm::check` limits every dimension to 2^20.
            m: a.rows as i32,
            n: b.rows as i32,
            a_pitch: a.pitch as i32,
            b_pitch: b.pitch as i32,
        };
        let mut launch = self.gpu.stream().launch_builder(&self.kernel);
        launch.arg(&arguments).arg(&mut operands.c).arg(&mut self.partial).arg(&mut self.arrived);
        // SAFETY: the arguments are those of the kernels' files, sized as they ask, and outlive the launch.
        unsafe { launch.launch(self.config) }.map_err(|e| launching("launch a GEMM", e))?;
        Ok(())
    }
}
