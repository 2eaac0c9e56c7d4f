//! Device memory as what a model is loaded into: it is emptied into by the copy engine, out of pages that the driver has
//! locked where they were (`cuMemHostRegister`): memory that the driver allocates itself can't be registered with
//! io_uring.

use std::any::Any;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DevicePtrMut, result};

use super::memory::Registered;
use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::host::destination::outside;
use crate::host::{Buffer, Destination, Piece};
use crate::{Error, Result};

/// What a load leaves free on the device, in bytes: the driver needs some itself.
const RESERVE: u64 = 256 << 20;

/// Device memory that is loaded into.
pub struct VramDestination {
    stream: Arc<CudaStream>,
    memory: CudaSlice<u8>,
    disqualified: Option<String>,
}

impl VramDestination {
    /// `bytes` of the memory of `gpu`.
    ///
    /// # Errors
    /// When the device has not enough of it.
    pub fn new(gpu: &Gpu, bytes: usize) -> Result<Self> {
        let free = gpu.free_bytes()?;
        if bytes as u64 + RESERVE > free {
            return Err(Error::Unavailable(format!(
                "the set takes {:.1} GB, and the device has {:.1} GB free",
                bytes as f64 / 1e9,
                free as f64 / 1e9
            )));
        }
        let stream = gpu.context().new_stream().map_err(|e| driver("make a stream", e))?;
        let memory = stream.alloc_zeros(bytes).map_err(|e| driver("allocate device memory", e))?;
        stream.synchronize().map_err(|e| driver("clear device memory", e))?;
        Ok(Self { stream, memory, disqualified: gpu.disqualified() })
    }

    /// The address of `bytes` bytes at `at`.
    fn place(&self, at: usize, bytes: usize) -> Result<u64> {
        let inside = at.checked_add(bytes).is_some_and(|end| end <= self.memory.len());
        if !inside {
            return Err(outside());
        }
        Ok(self.memory.device_ptr(&self.stream).0 + at as u64)
    }

    /// Makes the context current on the calling thread, which may be another than last time.
    fn bind(&self) -> Result<()> {
        self.stream.context().bind_to_thread().map_err(|e| driver("use the context", e))
    }

    fn finish(&self, what: &str) -> Result<()> {
        self.stream.synchronize().map_err(|e| driver(what, e))
    }
}

impl Destination for VramDestination {
    fn attach(&mut self, staging: &mut Buffer) -> Result<Box<dyn Any + Send>> {
        Ok(Box::new(Registered::new(self.stream.context(), staging)?))
    }

    fn take(&mut self, pieces: &[Piece<'_>]) -> Result<()> {
        self.bind()?;
        let queue = |piece: &Piece<'_>| {
            let address = self.place(piece.at, piece.bytes.len())?;
            // SAFETY: the place is inside the memory; the bytes stay until the stream is done, below.
            unsafe { result::memcpy_htod_async(address, piece.bytes, self.stream.cu_stream()) }
                .map_err(|e| driver("queue a copy", e))
        };
        let queued = pieces.iter().try_for_each(queue);
        // Also after an error: copies that were queued before it still read.
        self.finish("finish copies").and(queued)
    }

    fn read_back(&mut self, at: usize, into: &mut [u8]) -> Result<()> {
        self.bind()?;
        let address = self.place(at, into.len())?;
        // SAFETY: the place is inside the memory; nothing is queued that writes it.
        unsafe { result::memcpy_dtoh_sync(into, address) }
            .map_err(|e| driver("read device memory", e))
    }

    fn poison(&mut self, value: u8) -> Result<()> {
        self.bind()?;
        let (bytes, stream) = (self.memory.len(), self.stream.clone());
        let address = self.memory.device_ptr_mut(&stream).0;
        // SAFETY: exactly the memory, on the stream that everything is queued on.
        unsafe { result::memset_d8_async(address, value, bytes, stream.cu_stream()) }
            .map_err(|e| driver("fill device memory", e))?;
        self.finish("fill device memory")
    }

    fn path(&self) -> String {
        "cuMemcpyHtoDAsync from registered pages".into()
    }

    fn disqualified(&self) -> Option<String> {
        self.disqualified.clone()
    }
}
