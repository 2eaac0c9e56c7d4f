//! Latency of a load that hits the first-level cache, the second-level cache, or memory.

use std::rc::Rc;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::POISON;
use super::fill;
use super::stream::sizes;
use crate::cuda::gpu::{Gpu, driver, launching};
use crate::cuda::kernels;
use crate::cuda::timed::{Task, Timed};
use crate::record::{Cache, Ceiling, MetricId, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Bytes from one link of the chain to the next in address order: a cache line, so that no link finds its line there
/// because of another.
const LINE: usize = 128;
/// Bytes of the chain in the first-level cache.
const L1_BYTES: u64 = 8 << 10;
/// Loads of one iteration on real devices, from caches and from memory: some ten milliseconds.
const STEPS: (u32, u32) = (262_144, 16_384);
/// Loads of one iteration on the emulated device.
const EMULATED_STEPS: u32 = 512;

/// Where the load hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The multiprocessor's own cache.
    L1,
    /// The cache of all of them.
    L2,
    /// Device memory: the chain outgrows twice the second-level cache by far.
    Memory,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::Memory];

    /// The metric on GPU `ordinal`.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let name = match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Memory => "memory",
        };
        MetricId::new(["vram", "latency", &format!("gpu{ordinal}"), name])
    }
}

/// One thread that follows a chain through all lines of a range in random order.
pub struct Chase {
    level: Level,
    ordinal: usize,
    kernel: CudaFunction,
    next: Vec<u32>,
    device: CudaSlice<u32>,
    start: u32,
    steps: u32,
    last: CudaSlice<u32>,
}

impl Chase {
    /// Prepares it on `gpu`.
    ///
    /// # Errors
    /// When the kernel can't be compiled or the memory can't be had.
    pub fn subject(gpu: Rc<Gpu>, ordinal: usize, level: Level) -> Result<Timed<Self>> {
        let emulated = gpu.disqualified().is_some();
        let (memory, _) = sizes(&gpu)?;
        let bytes = match level {
            Level::L1 => L1_BYTES,
            Level::L2 => (gpu.l2_bytes()? / 8).min(memory),
            Level::Memory => memory,
        };
        let steps = match level {
            _ if emulated => EMULATED_STEPS,
            Level::L1 | Level::L2 => STEPS.0,
            Level::Memory => STEPS.1,
        };
        let next = cycle(bytes as usize / LINE, &mut Pcg64Mcg::seed_from_u64(rand::random()));
        let first_level = u32::from(level == Level::L1);
        let task = Self {
            kernel: gpu.load(kernels::CHASE.with([("FIRST_LEVEL", first_level)]))?,
            device: gpu.stream().clone_htod(&next).map_err(|e| driver("fill device memory", e))?,
            last: fill::allocate(&gpu, 1)?,
            start: 0,
            ordinal,
            level,
            steps,
            next,
        };
        Timed::on(gpu, task)
    }
}

/// Words of a chain that visits `lines` lines in random order and returns to the first: word `i` of each is the index of
/// the next.
fn cycle(lines: usize, random: &mut Pcg64Mcg) -> Vec<u32> {
    let stride = LINE / size_of::<u32>();
    let mut order: Vec<usize> = (0..lines).collect();
    order.shuffle(random);
    // Words between the links are followed by nobody.
    let mut next: Vec<u32> = vec![POISON; lines * stride];
    for (i, &line) in order.iter().enumerate() {
        next[line * stride] = (order[(i + 1) % lines] * stride) as u32;
    }
    next
}

impl Task for Chase {
    fn metric(&self) -> MetricId {
        self.level.metric(self.ordinal)
    }

    fn unit(&self) -> Unit {
        Unit::Nanoseconds
    }

    fn work(&self) -> Work {
        Work { accesses: u64::from(self.steps), ..Work::default() }
    }

    /// No vendor publishes one.
    fn ceiling(&self, _: &Gpu) -> Option<Ceiling> {
        None
    }

    fn cache(&self) -> Cache {
        if self.level == Level::Memory { Cache::Cold } else { Cache::Hot }
    }

    fn verify(&mut self, gpu: &Gpu) -> Result<Verified> {
        let stride = LINE / size_of::<u32>();
        let lines = self.next.len() / stride;
        self.start = (rand::rng().random_range(0..lines) * stride) as u32;
        let expected = (0..self.steps).fold(self.start, |i, _| self.next[i as usize]);
        fill::poison(gpu, &self.last)?;
        self.enqueue_from(gpu, self.start)?;
        let last =
            gpu.stream().clone_dtoh(&self.last).map_err(|e| driver("read device memory", e))?;
        if last != [expected] {
            return Err(Error::Wrong(format!("the chain led to {}, not {expected}", last[0])));
        }
        Ok(Verified { checked: u64::from(self.steps), error_over_tolerance: 0.0 })
    }

    /// Each iteration starts elsewhere, so that memory is cold.
    fn enqueue(&mut self, gpu: &Gpu) -> Result<()> {
        let stride = (LINE / size_of::<u32>()) as u32;
        let lines = self.next.len() as u32 / stride;
        self.start = rand::rng().random_range(0..lines) * stride;
        self.enqueue_from(gpu, self.start)
    }
}

impl Chase {
    fn enqueue_from(&mut self, gpu: &Gpu, start: u32) -> Result<()> {
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(&self.device).arg(&start).arg(&self.steps).arg(&mut self.last);
        let one = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are those of the kernel's file; the chain stays within the device's copy of it.
        unsafe { launch.launch(one) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_visits_every_line_once() {
        let stride = LINE / size_of::<u32>();
        let next = cycle(100, &mut Pcg64Mcg::seed_from_u64(rand::random()));
        let mut visited = [false; 100];
        let mut i = 0;
        for _ in 0..100 {
            assert!(!std::mem::replace(&mut visited[i / stride], true), "line {i} twice");
            i = next[i] as usize;
        }
        assert_eq!(i, 0, "back at the start");
    }
}
