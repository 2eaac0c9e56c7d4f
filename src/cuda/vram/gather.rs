//! Reading chunks of device memory in random order: what the experts of a mixture-of-experts model ask of it.

use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use super::fill::{self, Fill};
use super::stream::sizes;
use super::{POISON, grid, theoretical};
use crate::Result;
use crate::cuda::gpu::{Gpu, driver, launching};
use crate::cuda::kernels;
use crate::cuda::timed::{Task, Timed};
use crate::measure::Rotation;
use crate::record::{Cache, Ceiling, MetricId, Work};
use crate::workload::Verified;

/// How much lies together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// 512 bytes: keys of one position of one head, of 256 elements in bf16.
    Row,
    /// 4 KiB: a page of 16 positions with one head of 128 elements in bf16.
    Page,
    /// 7 MiB: one matrix of an expert of DeepSeek-R1, 2,048 x 7,168 of 4 bits.
    Expert,
}

impl Chunk {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Row, Self::Page, Self::Expert];

    const fn bytes(self) -> u64 {
        match self {
            Self::Row => 512,
            Self::Page => 4 << 10,
            Self::Expert => 7 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Row => "512B",
            Self::Page => "4KiB",
            Self::Expert => "7MiB",
        }
    }

    /// The metric on GPU `ordinal`.
    pub fn metric(self, ordinal: usize) -> MetricId {
        MetricId::new(["vram", "gather", &format!("gpu{ordinal}"), self.name()])
    }
}

/// Reads every chunk of its memory once, in random order.
pub struct Gather {
    chunk: Chunk,
    ordinal: usize,
    kernel: CudaFunction,
    grid: LaunchConfig,
    fill: Fill,
    copies: Vec<CudaSlice<u32>>,
    order: CudaSlice<u32>,
    /// Bytes of one chunk: fewer on the emulated device, which has less memory.
    bytes: u64,
    sum: CudaSlice<u32>,
    rotation: Rotation,
}

impl Gather {
    /// Prepares it on `gpu`.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn subject(gpu: Rc<Gpu>, ordinal: usize, chunk: Chunk) -> Result<Timed<Self>> {
        let (total, cache) = sizes(&gpu)?;
        let bytes = chunk.bytes().min(total / 8);
        let chunks = total / bytes;
        let copies = Rotation::copies(total, cache);
        let mut order: Vec<u32> = (0..chunks as u32).collect();
        order.shuffle(&mut Pcg64Mcg::seed_from_u64(rand::random()));
        let grid = grid(&gpu)?;
        let fill = Fill::new(&gpu, grid)?;
        let filled = |index| {
            let copy = fill::allocate(&gpu, (chunks * bytes) as usize / 4)?;
            fill.enqueue(&gpu, &copy, index as u32)?;
            Ok(copy)
        };
        let order = gpu.stream().clone_htod(&order).map_err(|e| driver("fill device memory", e))?;
        let task = Self {
            copies: (0..copies).map(filled).collect::<Result<_>>()?,
            kernel: gpu.load(kernels::VRAM_GATHER)?,
            sum: fill::allocate(&gpu, 1)?,
            rotation: Rotation::new(copies),
            ordinal,
            chunk,
            order,
            bytes,
            grid,
            fill,
        };
        Timed::on(gpu, task)
    }

    fn enqueue_on(&mut self, gpu: &Gpu, index: usize) -> Result<()> {
        let (chunks, vectors) = (self.order.len() as u32, (self.bytes / 16) as u32);
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.copies[index]).arg(&chunks).arg(&self.order).arg(&vectors);
        launch.arg(&mut self.sum);
        // SAFETY: the arguments are those of the kernel's file; a copy is `chunks` x `vectors` x 16 bytes and outlives it.
        unsafe { launch.launch(self.grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }
}

impl Task for Gather {
    fn metric(&self) -> MetricId {
        self.chunk.metric(self.ordinal)
    }

    fn work(&self) -> Work {
        Work { bytes_read: self.copies[0].len() as u64 * 4, ..Work::default() }
    }

    fn ceiling(&self, gpu: &Gpu) -> Option<Ceiling> {
        theoretical(gpu)
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<Verified> {
        let words = self.copies[0].len();
        for index in 0..self.copies.len() {
            let seed = rand::random();
            self.fill.enqueue(gpu, &self.copies[index], seed)?;
            fill::poison(gpu, &self.sum)?;
            self.enqueue_on(gpu, index)?;
            fill::compare_sum(gpu, &self.sum, POISON.wrapping_add(fill::sum(words, seed)))?;
        }
        Ok(Verified { checked: (words * self.copies.len()) as u64, error_over_tolerance: 0.0 })
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let index = self.rotation.advance();
        self.enqueue_on(gpu, index)
    }
}
