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

mod on_host;

use super::Setup;
use super::constants::{CROSSING_US, Constants, GPU_PRODUCTS, VRAM_READ};
use super::figure::{Figure, Origin};
use super::host::{Gpu, Host, attainable};
use super::placement::Placement;
use super::projection::{Part, Phase, Projection};
use super::step::{Busy, Shape, Step};
use crate::workload::{Class, Heads, Mix, Model};

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
        let mut inputs = vec![("a kernel's launch, us", &launch)];
        let mut what = format!("{kernels} kernels");
        if let Some(empty) = &gpu.empty_kernel_us {
            what += &format!(", {:.2} ms if they did nothing", kernels as f64 * empty.value * 1e-3);
            inputs.push(("an empty kernel in a graph, us", empty));
        }
        step.add(Part::Launch, what, Busy { seconds, least: 0.0 }, &inputs);
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
