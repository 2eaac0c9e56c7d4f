//! One way between host and device: both ends, and the copies of all bytes from one to the other.

use std::sync::Arc;

use cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, result,
};
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::POISON;
use super::memory::{HostMemory, Kind};
use super::problem::{Direction, Site};
use crate::cuda::Gpu;
use crate::cuda::gpu::{driver, launching};
use crate::{Error, Result};

/// Most bytes of one copy on the emulated device, which shows that the path works, not how fast.
const EMULATED_BYTES: usize = 1 << 20;

/// Bytes of a copy of `bytes` bytes on `gpu`: fewer where the device is emulated.
pub fn bytes_on(gpu: &Gpu, bytes: usize) -> usize {
    if gpu.disqualified().is_some() { bytes.min(EMULATED_BYTES) } else { bytes }
}

/// One direction's two ends.
pub struct Lane {
    direction: Direction,
    /// The host's end.
    pub host: HostMemory,
    /// The device's end.
    pub device: CudaSlice<u8>,
}

impl Lane {
    /// Both ends of `bytes` bytes (fewer on the emulated device), the host's of kind `memory` at `site`, where it is
    /// proved to lie.
    ///
    /// # Errors
    /// When memory can't be had, bound or page-locked.
    pub fn new(
        gpu: &Gpu,
        direction: Direction,
        memory: Kind,
        site: Site,
        bytes: usize,
    ) -> Result<Self> {
        let bytes = bytes_on(gpu, bytes);
        let device = gpu.stream().alloc_zeros(bytes);
        let host = HostMemory::new(gpu, memory, bytes, site.node())?;
        if let Some(node) = site.node() {
            host.census().prove(&[node])?;
        }
        let device = device.map_err(|e| driver("allocate device memory", e))?;
        Ok(Self { direction, host, device })
    }

    /// Queues one copy of all bytes by the copy engine.
    pub fn enqueue(&mut self, stream: &Arc<CudaStream>) -> Result<()> {
        stream.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        let address = self.device.device_ptr(stream).0;
        let queued = match self.direction {
            Direction::HostToDevice => {
                // SAFETY: both sides have the same length, outlive the stream's work, and no one else uses them.
                unsafe { result::memcpy_htod_async(address, self.host.bytes(), stream.cu_stream()) }
            }
            // SAFETY: as above.
            _ => unsafe {
                result::memcpy_dtoh_async(self.host.bytes_mut(), address, stream.cu_stream())
            },
        };
        queued.map_err(|e| driver("queue a copy", e))
    }

    /// Queues one copy of all bytes by a kernel.
    pub fn launch(&mut self, gpu: &Gpu, kernel: &CudaFunction) -> Result<()> {
        let (device, host) = (self.device.device_ptr(gpu.stream()).0, self.host.device_address()?);
        let vectors = self.device.len() as u64 / 16;
        let (from, to) = match self.direction {
            Direction::HostToDevice => (host, device),
            _ => (device, host),
        };
        let grid = LaunchConfig {
            grid_dim: (4 * gpu.multiprocessors()?, 1, 1),
            block_dim: (512, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = gpu.stream().launch_builder(kernel);
        launch.arg(&from).arg(&to).arg(&vectors);
        // SAFETY: the arguments are those of kernels/vram_copy_sm80.cu; both ranges are `vectors` x 16 bytes, and mapped.
        unsafe { launch.launch(grid) }.map_err(|e| launching("launch a kernel", e))?;
        Ok(())
    }

    /// Puts random bytes at the source and poison at the target; returns the former.
    pub fn prepare(&mut self, gpu: &Gpu) -> Result<Vec<u8>> {
        let mut sent = vec![0; self.device.len()];
        Pcg64Mcg::seed_from_u64(rand::random()).fill_bytes(&mut sent);
        let poison = vec![POISON; sent.len()];
        let (on_device, on_host) = match self.direction {
            Direction::HostToDevice => (&poison, &sent),
            _ => (&sent, &poison),
        };
        let filled = gpu.stream().memcpy_htod(on_device, &mut self.device);
        filled.map_err(|e| driver("fill device memory", e))?;
        self.host.bytes_mut().copy_from_slice(on_host);
        Ok(sent)
    }

    /// Compares what arrived with what was sent.
    pub fn check(&self, gpu: &Gpu, sent: &[u8]) -> Result<()> {
        let arrived = match self.direction {
            Direction::HostToDevice => gpu
                .stream()
                .clone_dtoh(&self.device)
                .map_err(|e| driver("read device memory", e))?,
            _ => self.host.bytes().to_vec(),
        };
        first_difference(&arrived, sent)
    }
}

/// Whether what arrived is what was sent.
///
/// # Errors
/// [`Error::Wrong`] with the first byte that differs.
pub fn first_difference(arrived: &[u8], sent: &[u8]) -> Result<()> {
    match arrived.iter().zip(sent).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(i) => {
            let (got, sent) = (arrived[i], sent[i]);
            Err(Error::Wrong(format!("byte {i} is {got:#04x}, sent was {sent:#04x}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_named() {
        assert!(first_difference(&[1, 2, 3], &[1, 2, 3]).is_ok());
        let error = first_difference(&[1, POISON, 4], &[1, 2, 3]).unwrap_err();
        assert!(matches!(&error, Error::Wrong(text) if text.contains("byte 1 is 0xa5")), "{error}");
    }
}
