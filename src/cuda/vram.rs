//! Device memory bandwidth: read, write, copy.

use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::gate::Gate;
use super::gpu::{Gpu, driver};
use super::kernels;
use crate::measure::{Elapsed, Rotation, Subject};
use crate::record::{Cache, Ceiling, MetricId, Origin, Part, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Bytes of one copy of the data on real devices: long enough that a launch's start and end don't show.
const BYTES: usize = 256 << 20;
/// Bytes of one copy on the emulated device, which shows that the path works, not how fast.
const EMULATED_BYTES: usize = 1 << 20;
/// Threads a block: `__launch_bounds__` of the kernels.
const THREADS: u32 = 512;
/// Blocks a multiprocessor: 2,048 threads fill every architecture's.
const BLOCKS: u32 = 4;
/// A pattern that no kernel writes.
const POISON: u32 = 0xdead_beef;

/// What is done with the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Every byte read once.
    Read,
    /// Every byte written once.
    Write,
    /// Every byte read once and written once elsewhere.
    Copy,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Copy];

    /// The metric of this operation on GPU `ordinal`.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let name = match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Copy => "copy",
        };
        MetricId::new(["vram", name, &format!("gpu{ordinal}")])
    }
}

/// One operation on one GPU.
pub struct Vram {
    gpu: Rc<Gpu>,
    ordinal: usize,
    gate: Gate,
    memory: Memory,
    rotation: Rotation,
}

/// The device memory of a [`Vram`] and what is done with it.
struct Memory {
    gpu: Rc<Gpu>,
    operation: Operation,
    kernel: CudaFunction,
    grid: LaunchConfig,
    /// Random words, the same in every copy; the host keeps them to verify.
    words: Vec<u32>,
    copies: Vec<CudaSlice<u32>>,
    /// Where reads accumulate their sum.
    sum: CudaSlice<u32>,
}

impl Vram {
    /// Prepares `operation` on `gpu`: copies worth at least twice its L2, filled with random words.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, operation: Operation) -> Result<Self> {
        let (bytes, cache) = match gpu.disqualified() {
            Some(_) => (EMULATED_BYTES, 0),
            None => (BYTES, gpu.l2_bytes()?),
        };
        let copies = Rotation::copies(bytes as u64, cache);
        Ok(Self {
            memory: Memory::new(Rc::clone(&gpu), operation, bytes, copies)?,
            gate: Gate::new(&gpu)?,
            rotation: Rotation::new(copies),
            ordinal,
            gpu,
        })
    }
}

impl Memory {
    fn new(gpu: Rc<Gpu>, operation: Operation, bytes: usize, copies: usize) -> Result<Self> {
        let mut words = vec![0; bytes / size_of::<u32>()];
        let mut random = Pcg64Mcg::seed_from_u64(rand::random());
        words.iter_mut().for_each(|word| *word = random.next_u32());
        let filled =
            || gpu.stream().clone_htod(&words).map_err(|e| driver("fill device memory", e));
        let copies = (0..copies).map(|_| filled()).collect::<Result<Vec<_>>>()?;
        let kernel = match operation {
            Operation::Read => kernels::VRAM_READ,
            Operation::Write => kernels::VRAM_WRITE,
            Operation::Copy => kernels::VRAM_COPY,
        };
        Ok(Self {
            kernel: gpu.load(kernel)?,
            grid: LaunchConfig {
                grid_dim: (gpu.multiprocessors()? * BLOCKS, 1, 1),
                block_dim: (THREADS, 1, 1),
                shared_mem_bytes: 0,
            },
            sum: gpu.stream().alloc_zeros(1).map_err(|e| driver("allocate a sum", e))?,
            operation,
            words,
            copies,
            gpu,
        })
    }

    fn bytes(&self) -> u64 {
        size_of_val(self.words.as_slice()) as u64
    }

    /// The copy that a copy from `index` goes to.
    fn target(&self, index: usize) -> usize {
        (index + 1) % self.copies.len()
    }

    /// Queues the operation on copy `index`.
    fn enqueue(&mut self, index: usize, seed: u32) -> Result<()> {
        let (vectors, target) = (self.bytes() / 16, self.target(index));
        let mut launch = self.gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.copies[index]);
        match self.operation {
            Operation::Read => launch.arg(&vectors).arg(&mut self.sum),
            Operation::Write => launch.arg(&vectors).arg(&seed),
            Operation::Copy => launch.arg(&self.copies[target]).arg(&vectors),
        };
        // SAFETY: the arguments are those of the kernel's file; every copy is `vectors` x 16 bytes and outlives it.
        unsafe { launch.launch(self.grid) }.map_err(|e| driver("launch a kernel", e))?;
        Ok(())
    }

    /// Runs once on copy `index`, its outputs poisoned, and compares every word.
    fn verify(&mut self, index: usize) -> Result<()> {
        let target = self.target(index);
        let seed = rand::random();
        let poison = vec![POISON; self.words.len()];
        let input = if self.operation == Operation::Write { &poison } else { &self.words };
        let fill = |words: &[u32], slice: &mut CudaSlice<u32>| {
            self.gpu.stream().memcpy_htod(words, slice).map_err(|e| driver("fill device memory", e))
        };
        fill(input, &mut self.copies[index])?;
        if self.operation == Operation::Copy {
            fill(&poison, &mut self.copies[target])?;
        }
        fill(&[POISON], &mut self.sum)?;
        self.enqueue(index, seed)?;
        match self.operation {
            Operation::Read => {
                let expected = self.words.iter().fold(POISON, |sum, &word| sum.wrapping_add(word));
                equal(&self.read_back(&self.sum)?, |_| expected)
            }
            Operation::Write => {
                equal(&self.read_back(&self.copies[index])?, |j| mix((j as u32).wrapping_add(seed)))
            }
            Operation::Copy => equal(&self.read_back(&self.copies[target])?, |j| self.words[j]),
        }
    }

    fn read_back(&self, slice: &CudaSlice<u32>) -> Result<Vec<u32>> {
        self.gpu.stream().clone_dtoh(slice).map_err(|e| driver("read device memory", e))
    }
}

/// What kernels/vram_write_sm80.cu writes.
fn mix(x: u32) -> u32 {
    let x = x.wrapping_mul(0x9e37_79b1);
    x ^ (x >> 15)
}

fn equal(got: &[u32], expected: impl Fn(usize) -> u32) -> Result<()> {
    match got.iter().enumerate().find(|&(i, &word)| word != expected(i)) {
        None => Ok(()),
        Some((i, word)) => {
            Err(Error::Wrong(format!("word {i} is {word:#010x}, expected {:#010x}", expected(i))))
        }
    }
}

impl Subject for Vram {
    fn metric(&self) -> MetricId {
        self.memory.operation.metric(self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Vram
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    fn work(&self) -> Work {
        let bytes = self.memory.bytes();
        let (bytes_read, bytes_written) = match self.memory.operation {
            Operation::Read => (bytes, 0),
            Operation::Write => (0, bytes),
            Operation::Copy => (bytes, bytes),
        };
        Work { bytes_read, bytes_written, ..Work::default() }
    }

    /// Two transfers a clock of the memory on the whole width of the bus.
    fn ceiling(&self) -> Option<Ceiling> {
        let (clock, width) = self.gpu.memory_clock_and_width().ok()??;
        Some(Ceiling {
            value: 2.0 * f64::from(clock) * 1e3 * f64::from(width) / 8.0 / 1e9,
            origin: Origin::Theoretical,
            source: format!("2 x {} MHz x {width} bit, as the driver reports them", clock / 1000),
        })
    }

    fn kernel_path(&self) -> String {
        format!("cuda/{}/{}", self.gpu.architecture(), self.gpu.name())
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        let copies = self.memory.copies.len();
        (0..copies).try_for_each(|index| self.memory.verify(index))?;
        let checked = (copies * self.memory.words.len()) as u64;
        Ok(Verified { checked, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, memory, rotation, .. } = self;
        let seed = rand::random();
        gate.time(gpu, iterations, || memory.enqueue(rotation.advance(), seed)).map(Elapsed)
    }

    fn disqualified(&self) -> Option<String> {
        self.gpu.disqualified()
    }
}
