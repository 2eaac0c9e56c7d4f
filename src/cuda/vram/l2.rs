//! Read bandwidth of the second-level cache.

use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::fill::{self, Fill};
use super::{POISON, grid};
use crate::Result;
use crate::cuda::gpu::{Gpu, launching};
use crate::cuda::kernels;
use crate::cuda::timed::{Task, Timed};
use crate::record::{Cache, Ceiling, MetricId, Work};
use crate::workload::Verified;

/// Share of the cache that the data take: chips whose cache has two halves keep a copy in each.
const SHARE: u64 = 4;
/// Bytes that one iteration reads on real devices.
const BYTES: u64 = 4 << 30;
/// Passes over the data on the emulated device.
const EMULATED_PASSES: u32 = 2;
/// Bytes of data on the emulated device.
const EMULATED_BYTES: u64 = 64 << 10;

/// Reads data that stay in the second-level cache.
pub struct L2Read {
    ordinal: usize,
    kernel: CudaFunction,
    grid: LaunchConfig,
    fill: Fill,
    data: CudaSlice<u32>,
    passes: u32,
    sum: CudaSlice<u32>,
}

impl L2Read {
    /// The metric on GPU `ordinal`.
    pub fn metric_of(ordinal: usize) -> MetricId {
        MetricId::new(["vram", "l2-read", &format!("gpu{ordinal}")])
    }

    /// Prepares it on `gpu`.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn subject(gpu: Rc<Gpu>, ordinal: usize) -> Result<Timed<Self>> {
        let (bytes, passes) = match gpu.disqualified() {
            Some(_) => (EMULATED_BYTES, EMULATED_PASSES),
            None => {
                let bytes = (gpu.l2_bytes()? / SHARE).max(1 << 20) & !15;
                (bytes, (BYTES / bytes) as u32)
            }
        };
        let grid = grid(&gpu)?;
        let task = Self {
            kernel: gpu.load(kernels::L2_READ)?,
            fill: Fill::new(&gpu, grid)?,
            data: fill::allocate(&gpu, bytes as usize / 4)?,
            sum: fill::allocate(&gpu, 1)?,
            ordinal,
            passes,
            grid,
        };
        task.fill.enqueue(&gpu, &task.data, rand::random())?;
        Timed::on(gpu, task)
    }
}

impl Task for L2Read {
    fn metric(&self) -> MetricId {
        Self::metric_of(self.ordinal)
    }

    fn work(&self) -> Work {
        let bytes_read = self.data.len() as u64 * 4 * u64::from(self.passes);
        Work { bytes_read, ..Work::default() }
    }

    /// No vendor publishes one.
    fn ceiling(&self, _: &Gpu) -> Option<Ceiling> {
        None
    }

    fn cache(&self) -> Cache {
        Cache::Hot
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<Verified> {
        let seed = rand::random();
        self.fill.enqueue(gpu, &self.data, seed)?;
        fill::poison(gpu, &self.sum)?;
        self.enqueue(gpu)?;
        let once = fill::sum(self.data.len(), seed);
        let expected = POISON.wrapping_add(once.wrapping_mul(self.passes));
        fill::compare_sum(gpu, &self.sum, expected)?;
        Ok(Verified { checked: self.data.len() as u64, error_over_tolerance: 0.0 })
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let vectors = self.data.len() as u32 / 4;
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.data).arg(&vectors).arg(&self.passes).arg(&mut self.sum);
        // SAFETY: the arguments are those of the kernel's file; the data are `vectors` x 16 bytes and outlive it.
        unsafe { launch.launch(self.grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }
}
