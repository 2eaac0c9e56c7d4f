//! Host to device and back, through the copy engine, from and to page-locked memory.
//!
//! The memory is an ordinary [`Buffer`] that the driver page-locks by registration: so it can lie on any NUMA node, in
//! pages of any kind, and the kernel can be asked where it is.

pub mod link;

use std::rc::Rc;

use cudarc::driver::{CudaSlice, DevicePtr, result, sys};
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu};
use crate::host::{Buffer, Pages, Root};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;
use crate::{Error, Result};

/// Bytes of one copy on real devices.
const BYTES: usize = 256 << 20;
/// Bytes of one copy on the emulated device, which shows that the path works, not how fast.
const EMULATED_BYTES: usize = 1 << 20;
/// A byte that means that nothing was copied.
const POISON: u8 = 0xa5;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The device reads host memory.
    HostToDevice,
    /// The device writes host memory.
    DeviceToHost,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::HostToDevice, Self::DeviceToHost];

    /// The metric of this direction on GPU `ordinal`, with memory where this thread first touched it.
    pub fn metric(self, ordinal: usize) -> MetricId {
        let name = match self {
            Self::HostToDevice => "h2d",
            Self::DeviceToHost => "d2h",
        };
        MetricId::new(["pcie", name, "pinned", &format!("gpu{ordinal}"), "first-touch", "256MiB"])
    }
}

/// Page-locked host memory.
struct Pinned {
    buffer: Buffer,
}

impl Pinned {
    fn new(gpu: &Gpu, bytes: usize) -> Result<Self> {
        let mut buffer = Buffer::new(bytes, Pages::Small)?;
        buffer.as_mut_slice::<u8>().fill(POISON);
        gpu.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        // SAFETY: the range is the buffer's own and stays mapped until it is unregistered in Drop.
        unsafe { sys::cuMemHostRegister_v2(buffer.as_mut_ptr().cast(), bytes, 0) }
            .result()
            .map_err(|e| driver("page-lock host memory", e))?;
        Ok(Self { buffer })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: registered in `new`, unregistered once. An error means that the context is gone.
        let _ = unsafe { sys::cuMemHostUnregister(self.buffer.as_mut_ptr().cast()) };
    }
}

/// Copies in one direction between one host buffer and one device buffer.
pub struct Transfer {
    gpu: Rc<Gpu>,
    ordinal: usize,
    direction: Direction,
    gate: Gate,
    host: Pinned,
    device: CudaSlice<u8>,
}

impl Transfer {
    /// Prepares copies in `direction` between this host and `gpu`.
    ///
    /// # Errors
    /// When memory can't be had or page-locked.
    pub fn new(gpu: Rc<Gpu>, ordinal: usize, direction: Direction) -> Result<Self> {
        let bytes = if gpu.disqualified().is_some() { EMULATED_BYTES } else { BYTES };
        let device = gpu.stream().alloc_zeros(bytes);
        Ok(Self {
            gate: Gate::new(&gpu)?,
            host: Pinned::new(&gpu, bytes)?,
            device: device.map_err(|e| driver("allocate device memory", e))?,
            ordinal,
            direction,
            gpu,
        })
    }
}

/// Queues one copy of all bytes.
fn enqueue(
    gpu: &Gpu,
    direction: Direction,
    host: &mut Buffer,
    device: &CudaSlice<u8>,
) -> Result<()> {
    let stream = gpu.stream();
    let address = device.device_ptr(stream).0;
    let queued = match direction {
        // SAFETY: both sides have the same length, outlive the stream's work, and no one else uses them.
        Direction::HostToDevice => unsafe {
            result::memcpy_htod_async(address, host.as_slice::<u8>(), stream.cu_stream())
        },
        // SAFETY: as above.
        Direction::DeviceToHost => unsafe {
            result::memcpy_dtoh_async(host.as_mut_slice::<u8>(), address, stream.cu_stream())
        },
    };
    queued.map_err(|e| driver("queue a copy", e))
}

impl Subject for Transfer {
    fn metric(&self) -> MetricId {
        self.direction.metric(self.ordinal)
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// Bytes that cross the link, counted once.
    fn work(&self) -> Work {
        Work { bytes_read: self.host.buffer.len() as u64, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        link::ceiling(&Root::host(), self.gpu.pci_address())
    }

    fn kernel_path(&self) -> String {
        format!("cuda/copy-engine/registered/{}", self.gpu.name())
    }

    /// The device does not keep what passes through the copy engine.
    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        let bytes = self.host.buffer.len();
        let mut sent = vec![0; bytes];
        Pcg64Mcg::seed_from_u64(rand::random()).fill_bytes(&mut sent);
        let poison = vec![POISON; bytes];
        let (on_device, on_host) = match self.direction {
            Direction::HostToDevice => (&poison, &sent),
            Direction::DeviceToHost => (&sent, &poison),
        };
        let stream = self.gpu.stream().clone();
        let filled = stream.memcpy_htod(on_device, &mut self.device);
        filled.map_err(|e| driver("fill device memory", e))?;
        self.host.buffer.as_mut_slice::<u8>().copy_from_slice(on_host);
        enqueue(&self.gpu, self.direction, &mut self.host.buffer, &self.device)?;
        let arrived = match self.direction {
            Direction::HostToDevice => {
                stream.clone_dtoh(&self.device).map_err(|e| driver("read device memory", e))?
            }
            Direction::DeviceToHost => {
                stream.synchronize().map_err(|e| driver("finish a copy", e))?;
                self.host.buffer.as_slice::<u8>().to_vec()
            }
        };
        match arrived.iter().zip(&sent).position(|(a, b)| a != b) {
            None => Ok(Verified { checked: bytes as u64, error_over_tolerance: 0.0 }),
            Some(i) => {
                let (got, sent) = (arrived[i], sent[i]);
                Err(Error::Wrong(format!("byte {i} is {got:#04x}, sent was {sent:#04x}")))
            }
        }
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { gpu, gate, host, device, direction, .. } = self;
        let copy = || enqueue(gpu, *direction, &mut host.buffer, device);
        gate.time(gpu, iterations, copy).map(Elapsed)
    }

    fn placement(&self) -> Placement {
        Placement::new(Vec::new(), &self.host.buffer.census())
    }

    fn disqualified(&self) -> Option<String> {
        self.gpu.disqualified()
    }
}
