//! Bandwidth of device memory: read, write, copy, triad.

use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::fill::{self, Fill, mix};
use super::{POISON, grid, theoretical};
use crate::Result;
use crate::cuda::gpu::{Gpu, launching};
use crate::cuda::kernels;
use crate::cuda::timed::{Task, Timed};
use crate::measure::Rotation;
use crate::record::{Cache, Ceiling, MetricId, Work};
use crate::workload::Verified;

/// Bytes of one copy of the data on real devices. An H100 needs 5 us to start and end a kernel, whatever its size: at
/// 256 MiB they cost 5 % of the bandwidth, at 1 GiB 1 %.
pub(super) const BYTES: u64 = 1 << 30;
/// Bytes of one copy on the emulated device, which shows that the path works, not how fast.
pub(super) const EMULATED_BYTES: u64 = 256 << 10;
/// Share of the free memory that one copy may take.
const SHARE: u64 = 8;

/// What is done with the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Every byte read once.
    Read,
    /// Every byte written once.
    Write,
    /// Every byte read once and written once elsewhere.
    Copy,
    /// Two inputs read once, their sum written.
    Triad,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Copy, Self::Triad];

    /// The metric of this operation on GPU `ordinal`.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let name = match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Copy => "copy",
            Self::Triad => "triad",
        };
        MetricId::new(["vram", name, &format!("gpu{ordinal}")])
    }
}

/// An operation on copies worth at least twice the last-level cache.
pub struct Stream {
    operation: Operation,
    ordinal: usize,
    kernel: CudaFunction,
    grid: LaunchConfig,
    fill: Fill,
    copies: Vec<CudaSlice<u32>>,
    /// Where reads accumulate their sum.
    sum: CudaSlice<u32>,
    rotation: Rotation,
}

/// [`Stream`] as a subject.
pub type Vram = Timed<Stream>;

impl Vram {
    /// Prepares `operation` on `gpu`, its memory filled with words without a pattern.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, operation: Operation) -> Result<Self> {
        let stream = Stream::new(&gpu, ordinal, operation)?;
        Self::on(gpu, stream)
    }
}

/// Bytes of one copy on `gpu` and of the cache that the copies have to outgrow.
pub(super) fn sizes(gpu: &Gpu) -> Result<(u64, u64)> {
    if gpu.disqualified().is_some() {
        return Ok((EMULATED_BYTES, 0));
    }
    // Whole pages of device memory.
    let room = (gpu.free_bytes()? / SHARE) >> 21 << 21;
    Ok((BYTES.min(room).max(EMULATED_BYTES), gpu.l2_bytes()?))
}

impl Stream {
    fn new(gpu: &Rc<Gpu>, ordinal: usize, operation: Operation) -> Result<Self> {
        let (bytes, cache) = sizes(gpu)?;
        let least = if operation == Operation::Triad { 3 } else { 2 };
        let copies = Rotation::copies(bytes, cache).max(least);
        let grid = grid(gpu)?;
        let fill = Fill::new(gpu, grid)?;
        let words = bytes as usize / size_of::<u32>();
        let filled = |index| {
            let copy = fill::allocate(gpu, words)?;
            fill.enqueue(gpu, &copy, index as u32)?;
            Ok(copy)
        };
        Ok(Self {
            copies: (0..copies).map(filled).collect::<Result<_>>()?,
            kernel: gpu.load(match operation {
                Operation::Read => kernels::VRAM_READ,
                Operation::Write => kernels::VRAM_WRITE,
                Operation::Copy => kernels::VRAM_COPY,
                Operation::Triad => kernels::VRAM_TRIAD,
            })?,
            sum: fill::allocate(gpu, 1)?,
            rotation: Rotation::new(copies),
            grid,
            fill,
            ordinal,
            operation,
        })
    }

    fn words(&self) -> usize {
        self.copies[0].len()
    }

    /// The copy `steps` after `index`.
    fn after(&self, index: usize, steps: usize) -> usize {
        (index + steps) % self.copies.len()
    }

    /// Queues the operation on copy `index` and those after it.
    fn enqueue_on(&mut self, gpu: &Gpu, index: usize, seed: u32) -> Result<()> {
        let vectors = self.words() as u64 / 4;
        let (second, third) = (self.after(index, 1), self.after(index, 2));
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.copies[index]);
        match self.operation {
            Operation::Read => launch.arg(&vectors).arg(&mut self.sum),
            Operation::Write => launch.arg(&vectors).arg(&seed),
            Operation::Copy => launch.arg(&self.copies[second]).arg(&vectors),
            Operation::Triad => {
                launch.arg(&self.copies[second]).arg(&self.copies[third]).arg(&vectors)
            }
        };
        // SAFETY: the arguments are those of the kernel's file; every copy is `vectors` x 16 bytes and outlives it.
        unsafe { launch.launch(self.grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }

    /// Runs once on copy `index`, its outputs poisoned, and compares every word.
    fn verify_on(&mut self, gpu: &Gpu, index: usize) -> Result<()> {
        let (second, third) = (self.after(index, 1), self.after(index, 2));
        let (seed, other): (u32, u32) = (rand::random(), rand::random());
        let word = |seed: u32| move |j: usize| mix((j as u32).wrapping_add(seed));
        let (a, b) = (word(seed), word(other));
        match self.operation {
            Operation::Read => {
                self.fill.enqueue(gpu, &self.copies[index], seed)?;
                fill::poison(gpu, &self.sum)?;
                self.enqueue_on(gpu, index, seed)?;
                let expected = POISON.wrapping_add(fill::sum(self.words(), seed));
                fill::compare_sum(gpu, &self.sum, expected)
            }
            Operation::Write => {
                fill::poison(gpu, &self.copies[index])?;
                self.enqueue_on(gpu, index, seed)?;
                fill::compare(gpu, &self.copies[index], a)
            }
            Operation::Copy => {
                self.fill.enqueue(gpu, &self.copies[index], seed)?;
                fill::poison(gpu, &self.copies[second])?;
                self.enqueue_on(gpu, index, seed)?;
                fill::compare(gpu, &self.copies[second], a)
            }
            Operation::Triad => {
                self.fill.enqueue(gpu, &self.copies[index], seed)?;
                self.fill.enqueue(gpu, &self.copies[second], other)?;
                fill::poison(gpu, &self.copies[third])?;
                self.enqueue_on(gpu, index, seed)?;
                let sum = |j| a(j).wrapping_add(b(j).wrapping_mul(3));
                fill::compare(gpu, &self.copies[third], sum)
            }
        }
    }
}

impl Task for Stream {
    fn metric(&self) -> MetricId {
        self.operation.metric(self.ordinal)
    }

    fn work(&self) -> Work {
        let bytes = self.copies[0].len() as u64 * 4;
        let (bytes_read, bytes_written) = match self.operation {
            Operation::Read => (bytes, 0),
            Operation::Write => (0, bytes),
            Operation::Copy => (bytes, bytes),
            Operation::Triad => (2 * bytes, bytes),
        };
        Work { bytes_read, bytes_written, ..Work::default() }
    }

    fn ceiling(&self, gpu: &Gpu) -> Option<Ceiling> {
        theoretical(gpu)
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<Verified> {
        let copies = self.copies.len();
        (0..copies).try_for_each(|index| self.verify_on(gpu, index))?;
        Ok(Verified { checked: (copies * self.words()) as u64, error_over_tolerance: 0.0 })
    }

    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let index = self.rotation.advance();
        self.enqueue_on(gpu, index, rand::random())
    }
}
