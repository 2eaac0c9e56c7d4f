//! Device time of queued work, without the host's time to queue it.
//!
//! A kernel of one thread holds the stream while launches are queued behind it between two events; then the host opens
//! the gate. The interval between the events is the device's own (NVIDIA/nvbench calls this a blocking kernel).

use std::ptr::NonNull;
use std::time::Duration;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg, result, sys};

use super::gpu::{Gpu, driver, launching};
use super::kernels;
use crate::{Error, Result};

/// Launches queued behind one closed gate. A stream takes about a thousand before a launch blocks the host, who would
/// then wait for a gate that it has to open itself.
const QUEUE: u64 = 256;

/// Nanoseconds after which the gate opens by itself.
const PATIENCE: u64 = 5_000_000_000;

const ONE_THREAD: LaunchConfig =
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };

/// One `u32` of page-locked host memory that the device can read.
struct Flag(NonNull<u32>);

impl Flag {
    fn new(gpu: &Gpu) -> Result<Self> {
        gpu.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        // SAFETY: a plain allocation; freed in Drop.
        let raw = unsafe { result::malloc_host(size_of::<u32>(), sys::CU_MEMHOSTALLOC_DEVICEMAP) }
            .map_err(|e| driver("page-lock a flag", e))?;
        NonNull::new(raw.cast())
            .map(Self)
            .ok_or_else(|| Error::Unavailable("the NVIDIA driver gave no memory".into()))
    }

    fn set(&self, value: u32) {
        // SAFETY: points at a live u32; the device only reads it.
        unsafe { self.0.write_volatile(value) };
    }

    /// Unified addressing: the device knows host memory by the host's address.
    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        // SAFETY: allocated by malloc_host, freed once. An error means that the context is gone, and the memory too.
        let _ = unsafe { result::free_host(self.0.as_ptr().cast()) };
    }
}

/// Turns of the kernel that measures the clock, on real devices: about a tenth of a millisecond.
const CLOCK_TURNS: u32 = 4096;
/// The same on the emulated device.
const EMULATED_CLOCK_TURNS: u32 = 16;

/// A gate and its flags.
pub struct Gate {
    kernel: CudaFunction,
    clock: CudaFunction,
    /// Cycles and nanoseconds of the clock kernel.
    clocks: CudaSlice<u64>,
    open: Flag,
    timed_out: CudaSlice<u32>,
}

impl Gate {
    /// A gate on `gpu`'s stream.
    ///
    /// # Errors
    /// When the kernel can't be compiled or memory can't be had.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let timed_out = gpu.stream().alloc_zeros(1).map_err(|e| driver("allocate a flag", e))?;
        Ok(Self {
            kernel: gpu.load(kernels::GATE)?,
            clock: gpu.load(kernels::CLOCK)?,
            clocks: gpu.stream().alloc_zeros(2).map_err(|e| driver("allocate clocks", e))?,
            open: Flag::new(gpu)?,
            timed_out,
        })
    }

    /// Device time of `iterations` calls of `enqueue`, each of which queues one iteration on `gpu`'s stream. Notes what
    /// the device says about itself meanwhile, and how fast its clock runs right after.
    ///
    /// # Errors
    /// When queueing or running fails, or the host was too slow to open the gate.
    pub fn time(
        &mut self,
        gpu: &Gpu,
        iterations: u64,
        mut enqueue: impl FnMut() -> Result<()>,
    ) -> Result<Duration> {
        let mut milliseconds = 0.0;
        let mut left = iterations;
        while left > 0 {
            let batch = left.min(QUEUE);
            milliseconds += f64::from(self.time_batch(gpu, batch, &mut enqueue)?);
            left -= batch;
        }
        self.sample_clock(gpu)?;
        Ok(Duration::from_secs_f64(milliseconds / 1e3))
    }

    fn sample_clock(&mut self, gpu: &Gpu) -> Result<()> {
        let emulated = gpu.disqualified().is_some();
        let turns = if emulated { EMULATED_CLOCK_TURNS } else { CLOCK_TURNS };
        // SAFETY: the arguments are those of kernels/clock_sm80.cu; the clocks are two words that outlive the launch.
        unsafe {
            let mut clock = gpu.stream().launch_builder(&self.clock);
            clock.arg(&turns).arg(&mut self.clocks);
            clock.launch(ONE_THREAD).map_err(|e| launching("launch the clock", e))?;
        }
        let clocks =
            gpu.stream().clone_dtoh(&self.clocks).map_err(|e| driver("read a clock", e))?;
        if clocks[1] > 0 {
            gpu.note_clock(clocks[0] as f64 / clocks[1] as f64 * 1e3);
        }
        Ok(())
    }

    fn time_batch(
        &mut self,
        gpu: &Gpu,
        batch: u64,
        enqueue: &mut impl FnMut() -> Result<()>,
    ) -> Result<f32> {
        let stream = gpu.stream();
        self.open.set(0);
        let address = self.open.address();
        // SAFETY: the arguments are those of kernels/gate_sm80.cu; both pointers outlive the launch.
        unsafe {
            let mut gate = stream.launch_builder(&self.kernel);
            gate.arg(&address).arg(&PATIENCE).arg(&mut self.timed_out);
            gate.launch(ONE_THREAD).map_err(|e| launching("launch the gate", e))?;
        }
        // Whatever goes wrong from here on, the gate must be opened.
        let timing = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let event = || stream.record_event(timing).map_err(|e| driver("record an event", e));
        let queued = event().and_then(|start| {
            (0..batch).try_for_each(|_| enqueue())?;
            Ok((start, event()?))
        });
        self.open.set(1);
        let (start, stop) = queued?;
        gpu.monitor().observe();
        let elapsed = start.elapsed_ms(&stop).map_err(|e| driver("run the queued work", e))?;
        let late = stream.clone_dtoh(&self.timed_out).map_err(|e| driver("read a flag", e))?;
        if late != [0] {
            return Err(Error::Unavailable(
                "the host took over 5 s to queue the work: the device's time includes waiting"
                    .into(),
            ));
        }
        Ok(elapsed)
    }
}
