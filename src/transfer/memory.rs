//! Host memory that a device copies from and to.
//!
//! Registered and pageable memory is an ordinary [`Buffer`]: it can lie on any NUMA node, in pages of any kind. What the
//! driver allocates lies where the driver wants it. Of both the kernel can be asked where they are.

use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::{CudaContext, result, sys};

use crate::cuda::Gpu;
use crate::cuda::gpu::driver;
use crate::host::{Buffer, Census, Pages};
use crate::{Error, Result};

/// How the host's side is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Small pages, page-locked by registration: what an engine does with a mapped model.
    Pinned,
    /// Transparent huge pages, page-locked by registration.
    PinnedHuge,
    /// Reserved 2 MiB pages (hugetlb), page-locked by registration.
    PinnedReserved,
    /// Allocated page-locked by the driver (`cuMemHostAlloc`).
    HostAlloc,
    /// The same, write-combined: the CPU writes it past its caches, and must not read it.
    WriteCombined,
    /// Ordinary memory, which the driver copies through a buffer of its own.
    Pageable,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Pinned,
        Self::PinnedHuge,
        Self::PinnedReserved,
        Self::HostAlloc,
        Self::WriteCombined,
        Self::Pageable,
    ];

    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::PinnedHuge => "pinned-thp",
            Self::PinnedReserved => "pinned-2m",
            Self::HostAlloc => "host-alloc",
            Self::WriteCombined => "write-combined",
            Self::Pageable => "pageable",
        }
    }

    /// Whether the driver decides where it lies.
    pub const fn of_driver(self) -> bool {
        matches!(self, Self::HostAlloc | Self::WriteCombined)
    }
}

enum Owner {
    /// Let go before the memory is.
    Registered(#[expect(dead_code, reason = "dropped")] Registered, Buffer),
    Pageable(Buffer),
    Driver,
}

/// Pages of a buffer that the driver has locked, until this is dropped; the buffer has to stay until then.
pub(super) struct Registered {
    context: Arc<CudaContext>,
    start: NonNull<u8>,
}

// SAFETY: nothing is read or written through the address, and the driver takes it from any thread.
unsafe impl Send for Registered {}

impl Registered {
    /// Locks the pages of `buffer`, which were touched already: registration would otherwise decide where they lie.
    pub(super) fn new(context: &Arc<CudaContext>, buffer: &mut Buffer) -> Result<Self> {
        context.bind_to_thread().map_err(|e| driver("use the context", e))?;
        let start = NonNull::new(buffer.as_mut_ptr()).expect("mapped");
        // SAFETY: the range is the buffer's own and stays mapped until it is unregistered in Drop.
        unsafe { sys::cuMemHostRegister_v2(start.as_ptr().cast(), buffer.len(), 0) }
            .result()
            .map_err(|e| driver("page-lock host memory", e))?;
        Ok(Self { context: context.clone(), start })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = self.context.bind_to_thread(); // an error means that the context is gone, here and below
        // SAFETY: registered once, unregistered once.
        let _ = unsafe { sys::cuMemHostUnregister(self.start.as_ptr().cast()) };
    }
}

/// Host memory of a [`Kind`], freed when dropped.
pub struct HostMemory {
    owner: Owner,
    start: NonNull<u8>,
    length: usize,
}

impl HostMemory {
    /// `length` bytes for copies to and from `gpu`, on NUMA node `node` where one is given, else where this thread
    /// touches them.
    ///
    /// # Errors
    /// When the memory can't be had, bound or page-locked.
    pub fn new(gpu: &Gpu, kind: Kind, length: usize, node: Option<usize>) -> Result<Self> {
        gpu.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        let mut memory = match kind {
            Kind::HostAlloc => Self::of_driver(length, 0)?,
            Kind::WriteCombined => Self::of_driver(length, sys::CU_MEMHOSTALLOC_WRITECOMBINED)?,
            Kind::Pinned => Self::registered(gpu, length, Pages::Small, node)?,
            Kind::PinnedHuge => Self::registered(gpu, length, Pages::Transparent, node)?,
            Kind::PinnedReserved => Self::registered(gpu, length, Pages::Huge, node)?,
            Kind::Pageable => {
                let mut buffer = buffer(length, Pages::Small, node)?;
                let start = NonNull::new(buffer.as_mut_ptr()).expect("mapped");
                Self { owner: Owner::Pageable(buffer), start, length }
            }
        };
        memory.bytes_mut().fill(super::POISON);
        Ok(memory)
    }

    fn of_driver(length: usize, flags: u32) -> Result<Self> {
        // SAFETY: a plain allocation; freed in Drop.
        let raw = unsafe { result::malloc_host(length, flags) }
            .map_err(|e| driver("allocate page-locked memory", e))?;
        let start = NonNull::new(raw.cast::<u8>())
            .ok_or_else(|| Error::Unavailable("the NVIDIA driver gave no memory".into()))?;
        // SAFETY: `length` bytes were just allocated; written before they become a slice.
        unsafe { start.as_ptr().write_bytes(super::POISON, length) };
        Ok(Self { owner: Owner::Driver, start, length })
    }

    fn registered(gpu: &Gpu, length: usize, pages: Pages, node: Option<usize>) -> Result<Self> {
        let mut buffer = buffer(length, pages, node)?;
        // Touched first: registration would otherwise decide where the pages lie.
        buffer.as_mut_slice::<u8>().fill(super::POISON);
        let start = NonNull::new(buffer.as_mut_ptr()).expect("mapped");
        let registered = Registered::new(gpu.context(), &mut buffer)?;
        Ok(Self { owner: Owner::Registered(registered, buffer), start, length })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: owned, initialised, as long as stated; no copy is under way when the caller reads.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The bytes, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// By what address the device reads and writes it.
    ///
    /// # Errors
    /// When the device can't: the memory is pageable.
    pub fn device_address(&self) -> Result<u64> {
        let mut address = 0;
        // SAFETY: writes one address; the range is page-locked, or the driver refuses.
        unsafe {
            sys::cuMemHostGetDevicePointer_v2(&raw mut address, self.start.as_ptr().cast(), 0)
        }
        .result()
        .map_err(|e| driver("map host memory for the device", e))?;
        Ok(address)
    }

    /// Where its pages are, as the kernel tells.
    pub fn census(&self) -> Census {
        match &self.owner {
            Owner::Registered(_, buffer) | Owner::Pageable(buffer) => buffer.census(),
            Owner::Driver => Census::take(self.start.as_ptr(), self.length),
        }
    }
}

fn buffer(length: usize, pages: Pages, node: Option<usize>) -> Result<Buffer> {
    match node {
        Some(node) => Buffer::on_node(length, pages, node),
        None => Buffer::new(length, pages),
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let raw = self.start.as_ptr().cast();
        match self.owner {
            // SAFETY: allocated by malloc_host, freed once. An error means that the context is gone.
            Owner::Driver => drop(unsafe { result::free_host(raw) }),
            Owner::Registered(..) | Owner::Pageable(_) => {}
        }
    }
}
