//! Copies from GPU to GPU: directly where the two reach each other's memory, else through the host, which the record names.

use std::collections::BTreeMap;
use std::rc::Rc;

use cudarc::driver::{CudaSlice, DevicePtr, result, sys};
use rand::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use super::lane::{bytes_on, first_difference};
use super::{POISON, link};
use crate::Result;
use crate::cuda::gpu::driver;
use crate::cuda::{Gate, Gpu};
use crate::measure::{Elapsed, Subject};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::Verified;

/// Copies from the memory of one GPU to that of another.
pub struct PeerCopy {
    ordinals: (usize, usize),
    from: Rc<Gpu>,
    to: Rc<Gpu>,
    source: CudaSlice<u8>,
    target: CudaSlice<u8>,
    gate: Gate,
    /// Whether the two reach each other's memory.
    direct: bool,
}

impl PeerCopy {
    /// `pcie/peer/gpu0/gpu1`: from the first to the second.
    pub fn metric_of((from, to): (usize, usize)) -> MetricId {
        MetricId::new(["pcie", "peer", &format!("gpu{from}"), &format!("gpu{to}")])
    }

    /// Prepares copies of `bytes` bytes between two GPUs of this host, by their ordinals; direct ones where the driver
    /// allows them.
    ///
    /// # Errors
    /// When a device can't be opened or memory can't be had.
    pub fn new(ordinals: (usize, usize), bytes: usize) -> Result<Self> {
        let (from, to) = (Gpu::open(ordinals.0)?, Gpu::open(ordinals.1)?);
        let bytes = bytes_on(&from, bytes);
        let memory = |gpu: &Gpu| {
            gpu.stream().alloc_zeros(bytes).map_err(|e| driver("allocate device memory", e))
        };
        Ok(Self {
            source: memory(&from)?,
            target: memory(&to)?,
            gate: Gate::new(&from)?,
            direct: let_reach(&from, &to)? && let_reach(&to, &from)?,
            ordinals,
            from,
            to,
        })
    }

    /// Copies `iterations` times; device time by the source's events.
    fn copy(&mut self, iterations: u64) -> Result<Elapsed> {
        let Self { from, to, source, target, gate, .. } = self;
        let (read, write) = (source.device_ptr(from.stream()).0, target.device_ptr(to.stream()).0);
        let (stream, bytes) = (from.stream(), source.len());
        let copy = || {
            // SAFETY: both ranges are `bytes` long, belong to the contexts named, and outlive the stream's work.
            unsafe {
                result::memcpy_peer_async(
                    to.context().cu_ctx(),
                    write,
                    from.context().cu_ctx(),
                    read,
                    bytes,
                    stream.cu_stream(),
                )
            }
            .map_err(|e| driver("queue a copy to another GPU", e))
        };
        from.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
        gate.time(from, iterations, copy).map(Elapsed)
    }
}

/// Lets `gpu` reach the memory of `other`; whether it can.
fn let_reach(gpu: &Gpu, other: &Gpu) -> Result<bool> {
    let mut can = 0;
    let devices = (gpu.context().cu_device(), other.context().cu_device());
    // SAFETY: writes one number.
    unsafe { sys::cuDeviceCanAccessPeer(&raw mut can, devices.0, devices.1) }
        .result()
        .map_err(|e| driver("ask whether two GPUs reach each other", e))?;
    if can == 0 {
        return Ok(false);
    }
    gpu.context().bind_to_thread().map_err(|e| driver("use the context", e))?;
    // SAFETY: the context is alive; what is enabled ends with it.
    match unsafe { sys::cuCtxEnablePeerAccess(other.context().cu_ctx(), 0) } {
        sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED => Ok(true),
        // Such hardware has a limit on the number of peers: the copy goes through the host then.
        sys::CUresult::CUDA_ERROR_TOO_MANY_PEERS => Ok(false),
        other => {
            other.result().map(|()| true).map_err(|e| driver("let two GPUs reach each other", e))
        }
    }
}

impl Subject for PeerCopy {
    fn metric(&self) -> MetricId {
        Self::metric_of(self.ordinals)
    }

    fn part(&self) -> Part {
        Part::Pcie
    }

    fn unit(&self) -> Unit {
        Unit::GigaBytes
    }

    /// Bytes that arrive.
    fn work(&self) -> Work {
        Work { bytes_read: self.source.len() as u64, ..Work::default() }
    }

    /// The slower of the two PCIe links, where the bytes surely take them: NVLink, or a driver that does not tell of it, has
    /// no ceiling here.
    fn ceiling(&self) -> Option<Ceiling> {
        if self.direct && self.from.monitor().nvlinks() != Some(0) {
            return None;
        }
        let (from, to) = (link::of(&self.from)?, link::of(&self.to)?);
        Some(if to.value < from.value { to } else { from })
    }

    fn kernel_path(&self) -> String {
        let way = if self.direct { "direct" } else { "through-host" };
        format!("cuda/copy-engine/{way}/{} to {}", self.from.name(), self.to.name())
    }

    /// The device does not keep what passes through the copy engine.
    fn cache(&self) -> Cache {
        Cache::NotApplicable
    }

    fn verify(&mut self) -> Result<Verified> {
        let mut sent = vec![0; self.source.len()];
        Pcg64Mcg::seed_from_u64(rand::random()).fill_bytes(&mut sent);
        let fill = |gpu: &Gpu, bytes: &[u8], memory: &mut CudaSlice<u8>| {
            gpu.stream()
                .memcpy_htod(bytes, memory)
                .and_then(|()| gpu.stream().synchronize())
                .map_err(|e| driver("fill device memory", e))
        };
        fill(&self.from, &sent, &mut self.source)?;
        fill(&self.to, &vec![POISON; sent.len()], &mut self.target)?;
        self.copy(1)?;
        let arrived = self.to.stream().clone_dtoh(&self.target);
        first_difference(&arrived.map_err(|e| driver("read device memory", e))?, &sent)?;
        Ok(Verified { checked: sent.len() as u64, error_over_tolerance: 0.0 })
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        self.copy(iterations)
    }

    fn placement(&self) -> Placement {
        Placement::default()
    }

    fn details(&self) -> BTreeMap<String, Value> {
        let mut details = self.from.details();
        details.insert("nvlinks".into(), self.from.monitor().nvlinks().into());
        details
    }

    fn conditions(&self) -> BTreeMap<String, Value> {
        self.from.conditions()
    }

    fn throttled(&self) -> Option<String> {
        self.from.throttled().or_else(|| self.to.throttled())
    }

    fn disqualified(&self) -> Option<String> {
        self.from.disqualified()
    }
}
