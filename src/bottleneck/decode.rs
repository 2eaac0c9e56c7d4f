//! Time of one decode step, by part.
//!
//! ```text
//! t = max(VRAM bytes / rate, products / rate) + attention + kernels x launch          on the device
//!   + L (t_fix + crossings) + routed bytes / (eta x DRAM read) + routed bytes / NVMe  on the host
//!   + residuals / PCIe + all-reduces                                                  between them
//! ```
//!
//! Bytes and operations are those of [`crate::workload`]; the published starting point is the same sum with t_gpu in one
//! piece. Kernels are counted from the layers' operations, none fused. Multi-token prediction is not used.

use super::Setup;
use super::constants::{CPU_STREAM, CROSSING_US, Constants, DRAM_READ, GPU_PRODUCTS, VRAM_READ};
use super::figure::{Figure, Origin};
use super::host::{Gpu, Host, attainable};
use super::placement::Placement;
use super::projection::{Part, Phase, Projection};
use super::step::{Busy, Shape, Step};
use crate::workload::{Class, Heads, Mix, Model, Storage};

/// The projection of one decode step of `model` on `host`.
pub fn decode(
    model: &Model,
    mix: &Mix,
    host: &Host,
    setup: &Setup,
    constants: &Constants,
) -> Projection {
    let place = Placement::new(host, &setup.load(model, mix, host));
    let mut step = Step::default();
    step.assumed.extend(place.assumed.iter().chain(&mix.assumed).cloned());
    if setup.batch > 1 && model.experts.is_some() {
        step.assumed.push(
            "every token's experts are independent and uniform: real routing repeats itself and reads less; the bound \
             takes the least, one token's"
                .into(),
        );
    }
    let work = Work { model, mix, host, setup, constants, place: &place };
    match &host.gpu {
        Some(gpu) => work.on_device(&mut step, gpu),
        None => work.on_host_alone(&mut step),
    }
    work.routed_on_host(&mut step);
    step.finish(
        constants,
        Shape {
            phase: Phase::Decode,
            tokens: setup.batch,
            batch: setup.batch,
            context: setup.context,
            tensor_parallel: setup.tensor_parallel,
        },
    )
}

/// A fitted constant as an input.
pub fn fitted(value: f64) -> Figure {
    Figure::new(value, Origin::Published, "fitted to published measurements")
}

/// A published constant as an input.
pub fn published((value, source): (f64, &str)) -> Figure {
    Figure::new(value, Origin::Published, source)
}

struct Work<'a> {
    model: &'a Model,
    mix: &'a Mix,
    host: &'a Host,
    setup: &'a Setup,
    constants: &'a Constants,
    place: &'a Placement,
}

/// Classes that every token reads.
const OTHER: [Class; 5] =
    [Class::Attention, Class::DenseMlp, Class::SharedExperts, Class::Router, Class::Head];

impl Work<'_> {
    fn other_bytes(&self) -> f64 {
        OTHER.iter().map(|class| self.model.bytes_read(*class, self.mix, 1)).sum()
    }

    fn routed_bytes(&self, tokens: usize) -> f64 {
        self.model.bytes_read(Class::RoutedExperts, self.mix, tokens)
    }

    fn kv_bytes(&self) -> f64 {
        self.model.kv_bytes(self.setup.kv, self.setup.context) * self.setup.batch as f64
    }

    fn attention_flops(&self) -> f64 {
        self.model.decode_attention_flops(self.setup.context) * self.setup.batch as f64
    }

    /// Seconds of attention: the longer of reading the cache and of the operations.
    fn attention(&self, bytes_per_s: f64, flops_per_s: f64) -> f64 {
        (self.attention_flops() / flops_per_s).max(self.kv_bytes() / bytes_per_s)
    }

    fn on_device(&self, step: &mut Step, gpu: &Gpu) {
        let (setup, batch) = (self.setup, self.setup.batch);
        let ranks = setup.tensor_parallel as f64;
        let weights = self.other_bytes() + self.place.vram * self.routed_bytes(batch);
        // Layers that lie on different devices take turns for one sequence, but not for many.
        let fewest = self.other_bytes() + self.place.vram * self.routed_bytes(1);
        match &gpu.vram_read {
            None => step.missing.push("gpu.vram_read_gb_s: VRAM and attention are left out".into()),
            Some(nominal) => {
                let rate = attainable(nominal, VRAM_READ.0, VRAM_READ.1);
                let (all, attained) =
                    (nominal.value * 1e9 * gpu.count as f64, rate.value * 1e9 * ranks);
                let busy =
                    Busy { seconds: weights / attained, least: (fewest + self.kv_bytes()) / all };
                let inputs = [("VRAM read of a GPU, GB/s", &rate)];
                step.add(Part::Vram, format!("{:.2} GB of weights", weights / 1e9), busy, &inputs);
                self.products(step, gpu, busy.seconds);
                let cache = ("VRAM read of a GPU, GB/s", &rate);
                let per_byte = fitted(self.constants.attention_flops_per_byte);
                let (flops_per_s, known) = match &gpu.attention_tflops {
                    Some(own) => {
                        (own.value * 1e12 * ranks, ("GPU attention in decode, TFLOP/s", own))
                    }
                    None => (
                        per_byte.value * attained,
                        ("attention, FLOP a byte of VRAM read", &per_byte),
                    ),
                };
                let attention = Busy { seconds: self.attention(attained, flops_per_s), least: 0.0 };
                let inputs = [known, cache];
                let what = format!("attention over {} tokens", setup.context);
                step.add(Part::GpuCompute, what, attention, &inputs);
            }
        }
        let kernels = kernels(self.model, self.place.vram > 0.0);
        let launch = gpu.kernel_us.clone().unwrap_or_else(|| fitted(self.constants.kernel_us));
        let seconds = kernels as f64 * launch.value * 1e-6;
        let what = format!("{kernels} kernels");
        step.add(
            Part::Launch,
            what,
            Busy { seconds, least: 0.0 },
            &[("a kernel's launch, us", &launch)],
        );
        if setup.tensor_parallel > 1 {
            self.all_reduces(step, gpu);
        }
    }

    /// Products with the weights on the device, hidden behind reading them or hiding it.
    fn products(&self, step: &mut Step, gpu: &Gpu, reading: f64) {
        let Some(nominal) = &gpu.tflops else {
            if self.setup.batch > 1 {
                step.missing.push("gpu.bf16_tflops: products on the GPU are left out".into());
            }
            return;
        };
        let of_class = |class: &Class| self.model.flops(*class);
        let flops = OTHER.iter().map(of_class).sum::<f64>()
            + self.place.vram * self.model.flops(Class::RoutedExperts);
        let flops = flops * self.setup.batch as f64;
        let rate = attainable(nominal, GPU_PRODUCTS.0, GPU_PRODUCTS.1);
        let busy = Busy {
            seconds: flops / (rate.value * 1e12 * self.setup.tensor_parallel as f64),
            // The bound allows for formats that compute at twice or four times the rate of bf16.
            least: flops / (nominal.value * 4e12 * gpu.count as f64),
        };
        step.add(
            Part::GpuCompute,
            format!("{:.2} TFLOP", flops / 1e12),
            busy,
            &[("GPU bf16, TFLOP/s", &rate)],
        );
        step.overlap((Part::GpuCompute, busy.seconds), (Part::Vram, reading));
    }

    fn all_reduces(&self, step: &mut Step, gpu: &Gpu) {
        let count = 2 * self.model.layers;
        let each = gpu.all_reduce_us.clone().unwrap_or_else(|| published(CROSSING_US));
        let what = format!("{count} all-reduces");
        let latency = Busy { seconds: count as f64 * each.value * 1e-6, least: 0.0 };
        step.add(Part::Link, what, latency, &[("an all-reduce, us", &each)]);
        let bytes = self.model.all_reduce_bytes(self.setup.tensor_parallel, self.setup.batch);
        match &gpu.peer {
            Some(peer) => {
                let seconds = bytes / (peer.value * 1e9);
                let busy = Busy { seconds, least: seconds };
                step.add(
                    Part::Link,
                    format!("{:.2} MB", bytes / 1e6),
                    busy,
                    &[("GPU to GPU, GB/s", peer)],
                );
            }
            None => {
                step.missing.push("gpu.peer_gb_s: bytes of the all-reduces are left out".into())
            }
        }
    }

    fn on_host_alone(&self, step: &mut Step) {
        let Some(read) = self.dram(step) else { return };
        let bytes = self.other_bytes();
        let share = published(CPU_STREAM);
        let attained = read.value * share.value * 1e9;
        let nominal = self.nominal_dram();
        let busy = Busy { seconds: bytes / attained, least: (bytes + self.kv_bytes()) / nominal };
        let inputs =
            [("DRAM read, GB/s", &read), ("share of it for weights of every token", &share)];
        step.add(
            Part::Dram,
            format!("{:.2} GB of weights of every token", bytes / 1e9),
            busy,
            &inputs,
        );
        let flops_per_s = self.constants.attention_flops_per_byte * attained;
        let attention = Busy { seconds: self.attention(attained, flops_per_s), least: 0.0 };
        let what = format!("attention over {} tokens", self.setup.context);
        let per_byte = fitted(self.constants.attention_flops_per_byte);
        let inputs =
            [("DRAM read, GB/s", &read), ("attention, FLOP a byte of DRAM read", &per_byte)];
        step.add(Part::CpuCompute, what, attention, &inputs);
        let flops = OTHER.iter().map(|class| self.model.flops(*class)).sum::<f64>()
            * self.setup.batch as f64;
        self.cpu_products(step, flops, busy.seconds);
    }

    /// What DRAM can read under the policy; `None`, and said so, where it is not known.
    fn dram(&self, step: &mut Step) -> Option<Figure> {
        let active = self.model.experts.map_or(1, |experts| experts.active);
        match self.setup.policy.read(&self.host.dram, self.host.sockets, active) {
            Ok(figure) => Some(attainable(&figure, DRAM_READ.0, DRAM_READ.1)),
            Err(key) => {
                let note = format!("{key}: DRAM is left out");
                if !step.missing.contains(&note) {
                    step.missing.push(note);
                }
                None
            }
        }
    }

    /// B/s of all sockets together.
    fn nominal_dram(&self) -> f64 {
        self.host.dram.read.as_ref().map_or(f64::INFINITY, |figure| figure.value * 1e9)
    }

    fn cpu_products(&self, step: &mut Step, flops: f64, reading: f64) {
        let Some(rate) = &self.host.cpu_tflops else {
            let note = "cpu.tflops: arithmetic on the host is left out";
            if !step.missing.iter().any(|known| known == note) {
                step.missing.push(note.into());
            }
            return;
        };
        let seconds = flops / (rate.value * 1e12);
        let what = format!("{:.2} TFLOP", flops / 1e12);
        step.add(Part::CpuCompute, what, Busy { seconds, least: 0.0 }, &[("CPU, TFLOP/s", rate)]);
        step.overlap((Part::CpuCompute, seconds), (Part::Dram, reading));
    }

    fn routed_on_host(&self, step: &mut Step) {
        let (place, batch) = (self.place, self.setup.batch);
        let share = place.dram + place.nvme;
        if share == 0.0 {
            return;
        }
        let layers = self.model.expert_layers() as f64 * share;
        let reads = self.host.experts_at(self.bits());
        if place.dram > 0.0
            && let Some(read) = self.dram(step)
        {
            let eta = reads.map_or_else(|| fitted(self.constants.eta), |reads| reads.eta.clone());
            let bytes = place.dram * self.routed_bytes(batch);
            let busy = Busy {
                seconds: bytes / (read.value * eta.value * 1e9),
                least: place.dram * self.routed_bytes(1) / self.nominal_dram(),
            };
            let inputs = [("DRAM read, GB/s", &read), ("experts' share of it (eta)", &eta)];
            step.add(Part::Dram, format!("{:.2} GB of routed experts", bytes / 1e9), busy, &inputs);
            let flops = self.model.flops(Class::RoutedExperts) * batch as f64 * place.dram;
            self.cpu_products(step, flops, busy.seconds);
        }
        if let Some(fix) = reads.and_then(|reads| reads.t_fix_us.as_ref()) {
            let busy = Busy { seconds: layers * fix.value * 1e-6, least: 0.0 };
            let inputs = [("a layer of experts besides its bytes (t_fix), us", fix)];
            step.add(Part::Launch, format!("{layers:.0} layers of experts"), busy, &inputs);
        }
        if place.nvme > 0.0 {
            self.from_disk(step);
        }
        if let Some(gpu) = &self.host.gpu {
            self.crossings(step, gpu, layers, share);
        }
    }

    fn from_disk(&self, step: &mut Step) {
        let bytes = self.place.nvme * self.routed_bytes(self.setup.batch);
        match &self.host.nvme_read {
            None => step.missing.push("nvme.read_gb_s: experts on disk are left out".into()),
            Some(rate) => {
                // No bound: what stays in the page cache depends on how routing repeats itself.
                let busy = Busy { seconds: bytes / (rate.value * 1e9), least: 0.0 };
                let what = format!("{:.2} GB of routed experts", bytes / 1e9);
                step.add(Part::Nvme, what, busy, &[("NVMe read of experts, GB/s", rate)]);
            }
        }
    }

    fn crossings(&self, step: &mut Step, gpu: &Gpu, layers: f64, share: f64) {
        let each = gpu.crossing_us.clone().unwrap_or_else(|| published(CROSSING_US));
        let busy = Busy { seconds: 2.0 * layers * each.value * 1e-6, least: 0.0 };
        let inputs = [("a crossing between host and device, us", &each)];
        step.add(Part::Launch, format!("{:.0} crossings", 2.0 * layers), busy, &inputs);
        let bytes = self.model.offload_bytes(self.setup.batch) * share;
        if let Some(rate) = &gpu.pcie {
            let seconds = bytes / (rate.value * 1e9);
            let busy = Busy { seconds, least: seconds / 2.0 };
            let what = format!("{:.2} MB of activations", bytes / 1e6);
            step.add(Part::Pcie, what, busy, &[("PCIe host to device, GB/s", rate)]);
        } else {
            step.missing
                .push(format!("gpu.pcie_gb_s: {:.2} MB of activations are left out", bytes / 1e6));
        }
    }

    /// Bits a weight of the routed experts.
    fn bits(&self) -> f64 {
        match self.mix.of(Class::RoutedExperts) {
            Storage::Bits(bits) => bits,
            Storage::Format(format) => format.element_bits() as f64,
        }
    }
}

/// Kernels of one decode step, counted from the operations of its layers, none fused: norm, projections, rotary positions
/// with the write to the cache, attention, output, residual; norm, gate and up, activation, down, residual; for experts
/// norm, router, selection, the same three for the shared ones and again for the routed ones on the device, and the sums.
pub fn kernels(model: &Model, routed_on_device: bool) -> usize {
    let attention = match model.heads {
        Heads::Grouped { .. } => 6,
        // Down and up projections with their norms, absorption before and after attention.
        Heads::Latent { .. } => 11,
    };
    let experts = model.experts.map_or(0, |experts| {
        let shared = if experts.shared > 0 { 3 } else { 0 };
        4 + shared + if routed_on_device { 4 } else { 0 }
    });
    let dense_layers = model.layers - model.expert_layers();
    model.layers * attention + dense_layers * 5 + model.expert_layers() * experts + 2
}
