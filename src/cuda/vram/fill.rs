//! Words in device memory that the host can compute too, so that gigabytes need not cross the link to be checked.

use cudarc::driver::{CudaFunction, CudaSlice, DevicePtr, LaunchConfig, PushKernelArg, result};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::POISON;
use crate::cuda::gpu::{Gpu, driver, launching};
use crate::cuda::kernels;
use crate::{Error, Result};

/// Words that are read back at once.
const PIECE: usize = 16 << 20;

/// Fills memory with the words of kernels/vram_write_sm80.cu.
pub struct Fill {
    kernel: CudaFunction,
    grid: LaunchConfig,
}

impl Fill {
    /// For `gpu`, with a grid that fills it.
    ///
    /// # Errors
    /// When the kernel can't be compiled.
    pub fn new(gpu: &Gpu, grid: LaunchConfig) -> Result<Self> {
        Ok(Self { kernel: gpu.load(kernels::VRAM_WRITE)?, grid })
    }

    /// Queues: word j of `memory` becomes [`mix`]`(j + seed)`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue(&self, gpu: &Gpu, memory: &CudaSlice<u32>, seed: u32) -> Result<()> {
        let vectors = memory.len() as u64 / 4;
        let mut launch = gpu.stream().launch_builder(&self.kernel);
        launch.arg(memory).arg(&vectors).arg(&seed);
        // SAFETY: the arguments are those of the kernel's file; `memory` is `vectors` x 16 bytes and outlives it.
        unsafe { launch.launch(self.grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }
}

/// What kernels/vram_write_sm80.cu writes.
pub const fn mix(x: u32) -> u32 {
    let x = x.wrapping_mul(0x9e37_79b1);
    x ^ (x >> 15)
}

/// Sum of the first `words` words of a fill, modulo 2^32.
pub fn sum(words: usize, seed: u32) -> u32 {
    let pieces = (0..words).into_par_iter().with_min_len(1 << 16);
    pieces.map(|j| mix((j as u32).wrapping_add(seed))).reduce(|| 0, u32::wrapping_add)
}

/// Queues: every byte of `memory` becomes poison.
///
/// # Errors
/// When the driver refuses.
pub fn poison(gpu: &Gpu, memory: &CudaSlice<u32>) -> Result<()> {
    let stream = gpu.stream();
    let (address, _guard) = memory.device_ptr(stream);
    let byte = POISON.to_le_bytes()[0];
    // SAFETY: the range is the slice's own, which outlives the stream's work.
    unsafe { result::memset_d8_async(address, byte, 4 * memory.len(), stream.cu_stream()) }
        .map_err(|e| driver("fill device memory", e))
}

/// Compares every word of `memory` with `expected` of its index.
///
/// # Errors
/// [`Error::Wrong`] with the first that differs.
pub fn compare(
    gpu: &Gpu,
    memory: &CudaSlice<u32>,
    expected: impl Fn(usize) -> u32 + Sync,
) -> Result<()> {
    let mut piece = vec![0; PIECE.min(memory.len())];
    for start in (0..memory.len()).step_by(PIECE) {
        let end = memory.len().min(start + PIECE);
        let words = &mut piece[..end - start];
        gpu.stream()
            .memcpy_dtoh(&memory.slice(start..end), words)
            .map_err(|e| driver("read device memory", e))?;
        gpu.stream().synchronize().map_err(|e| driver("read device memory", e))?;
        let wrong = words.par_chunks(1 << 16).enumerate().find_map_first(|(chunk, words)| {
            let first = start + (chunk << 16);
            words
                .iter()
                .enumerate()
                .find(|&(j, &word)| word != expected(first + j))
                .map(|(j, &word)| (first + j, word))
        });
        if let Some((index, word)) = wrong {
            let expected = expected(index);
            return Err(Error::Wrong(format!(
                "word {index} is {word:#010x}, expected {expected:#010x}"
            )));
        }
    }
    Ok(())
}

/// Compares the one word of `sum` with `expected`.
///
/// # Errors
/// [`Error::Wrong`] when it differs.
pub fn compare_sum(gpu: &Gpu, sum: &CudaSlice<u32>, expected: u32) -> Result<()> {
    let got = gpu.stream().clone_dtoh(sum).map_err(|e| driver("read device memory", e))?;
    if got == [expected] {
        return Ok(());
    }
    Err(Error::Wrong(format!("the sum is {:#010x}, expected {expected:#010x}", got[0])))
}

/// Allocates `words` words on `gpu`.
///
/// # Errors
/// When there are not as many.
pub fn allocate(gpu: &Gpu, words: usize) -> Result<CudaSlice<u32>> {
    // SAFETY: plain words, filled before they are read.
    unsafe { gpu.stream().alloc(words) }.map_err(|e| driver("allocate device memory", e))
}
