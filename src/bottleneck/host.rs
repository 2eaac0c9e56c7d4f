//! The host as a projection sees it: rates and sizes, each with its origin, any of which may be unknown.

use serde::Serialize;

use super::figure::{Figure, Origin};
use super::projection::Input;

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Host {
    /// For people.
    pub name: String,
    /// CPU sockets; at least 1.
    pub sockets: usize,
    /// Host memory.
    pub dram: Dram,
    /// The GPUs, all alike; absent where there is none.
    pub gpu: Option<Gpu>,
    /// The host's arithmetic, TFLOP/s of products with many rows.
    pub cpu_tflops: Option<Figure>,
    /// Reads of whole experts from disk, GB/s.
    pub nvme_read: Option<Figure>,
    /// How the host reads routed experts from DRAM.
    pub experts: Vec<ExpertReads>,
}

/// Host memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Dram {
    /// Reads by all cores of all sockets, each from its own memory, GB/s.
    pub read: Option<Figure>,
    /// Reads by all cores from pages that alternate over all nodes, GB/s.
    pub interleaved_read: Option<Figure>,
    /// What the channels can deliver, GB/s, where [`Self::read`] is measured.
    pub ceiling: Option<Figure>,
    /// Reads by one socket's cores from another socket's memory, GB/s.
    pub remote_read: Option<Figure>,
    /// GB of all sockets.
    pub capacity: Option<Figure>,
}

/// The GPUs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Gpu {
    /// For people.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Reads of device memory of one, GB/s.
    pub vram_read: Option<Figure>,
    /// Device memory of one, GB.
    pub capacity: Option<Figure>,
    /// Dense bf16 products of one, TFLOP/s.
    pub tflops: Option<Figure>,
    /// Attention of decode of one, TFLOP/s.
    pub attention_tflops: Option<Figure>,
    /// Host to device of one, GB/s.
    pub pcie: Option<Figure>,
    /// From one to another, one way, GB/s.
    pub peer: Option<Figure>,
    /// From a kernel's start to that of the next in a decode step, microseconds: what engines reach.
    pub kernel_us: Option<Figure>,
    /// The same of kernels that do nothing, in a graph: what no engine goes below.
    pub empty_kernel_us: Option<Figure>,
    /// A crossing between host and device that is waited for, microseconds.
    pub crossing_us: Option<Figure>,
    /// An all-reduce of a few kilobytes, microseconds.
    pub all_reduce_us: Option<Figure>,
}

/// How the host reads routed experts in one format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpertReads {
    /// Bits a weight; absent where it holds for every format.
    pub bits: Option<f64>,
    /// Bytes of large experts a second, over the read bandwidth of [`Dram::read`].
    pub eta: Figure,
    /// Time of a layer besides its bytes, microseconds; absent where it is not known apart from `eta`.
    pub t_fix_us: Option<Figure>,
}

impl Host {
    /// What was learned about experts in a format nearest to `bits` a weight.
    pub fn experts_at(&self, bits: f64) -> Option<&ExpertReads> {
        let distance = |reads: &&ExpertReads| reads.bits.map_or(0.0, |own| (own - bits).abs());
        self.experts.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// Every input that is known, by name.
    pub fn inputs(&self) -> Vec<Input> {
        let Self { dram, gpu, .. } = self;
        let of_gpu = |get: fn(&Gpu) -> &Option<Figure>| gpu.as_ref().and_then(|g| get(g).as_ref());
        let mut all = vec![
            ("DRAM read, GB/s", dram.read.as_ref()),
            ("DRAM read from another socket, GB/s", dram.remote_read.as_ref()),
            ("DRAM read of interleaved pages, GB/s", dram.interleaved_read.as_ref()),
            ("DRAM, GB", dram.capacity.as_ref()),
            ("VRAM read of a GPU, GB/s", of_gpu(|g| &g.vram_read)),
            ("VRAM of a GPU, GB", of_gpu(|g| &g.capacity)),
            ("GPU bf16, TFLOP/s", of_gpu(|g| &g.tflops)),
            ("GPU attention in decode, TFLOP/s", of_gpu(|g| &g.attention_tflops)),
            ("PCIe host to device, GB/s", of_gpu(|g| &g.pcie)),
            ("GPU to GPU, GB/s", of_gpu(|g| &g.peer)),
            ("a kernel's launch, us", of_gpu(|g| &g.kernel_us)),
            ("an empty kernel in a graph, us", of_gpu(|g| &g.empty_kernel_us)),
            ("a crossing between host and device, us", of_gpu(|g| &g.crossing_us)),
            ("an all-reduce, us", of_gpu(|g| &g.all_reduce_us)),
            ("CPU, TFLOP/s", self.cpu_tflops.as_ref()),
            ("NVMe read of experts, GB/s", self.nvme_read.as_ref()),
        ];
        for reads in &self.experts {
            all.push(("experts' share of DRAM read (eta)", Some(&reads.eta)));
            all.push(("a layer of experts besides its bytes (t_fix), us", reads.t_fix_us.as_ref()));
        }
        let known =
            |(name, figure): (_, Option<&Figure>)| Some(Input { name, figure: figure?.clone() });
        all.into_iter().filter_map(known).collect()
    }
}

/// A rate that can be had of a nominal one: measured figures as they are, others times `share`.
pub fn attainable(figure: &Figure, share: f64, source: &str) -> Figure {
    match figure.origin {
        Origin::Theoretical => figure.derated(share, Origin::Published, source),
        _ => figure.clone(),
    }
}
