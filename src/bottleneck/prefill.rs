//! Time of a prompt, by part.
//!
//! The prompt goes through in micro-batches of [`MICRO_BATCH`] tokens. Routed experts outside of VRAM are computed on the
//! host, or uploaded for every micro-batch (t = experts / PCIe + tokens / products, which is how the published prefill
//! rates of ikawrakow/ik_llama.cpp discussion 477 depend on the micro-batch): whichever takes less of what is known.

use super::Setup;
use super::constants::{Constants, DRAM_READ, GPU_PRODUCTS, VRAM_READ};
use super::decode::{fitted, kernels};
use super::figure::Figure;
use super::host::{Gpu, Host, attainable};
use super::placement::Placement;
use super::projection::{Part, Phase, Projection};
use super::step::{Busy, Shape, Step};
use crate::workload::{Class, Mix, Model};

/// Tokens that go through the layers together. Assumed: engines use 512 to 16,384.
pub const MICRO_BATCH: usize = 4096;

/// The projection of a prompt of `setup.context` tokens for `model` on `host`.
pub fn prefill(
    model: &Model,
    mix: &Mix,
    host: &Host,
    setup: &Setup,
    constants: &Constants,
) -> Projection {
    let place = Placement::new(host, &setup.load(model, mix, host));
    let prompt = setup.context.max(1);
    let work = Work {
        model,
        mix,
        host,
        constants,
        place: &place,
        prompt,
        micro: prompt.min(MICRO_BATCH),
        ranks: setup.tensor_parallel as f64,
        policy: setup,
    };
    let mut step = Step::default();
    step.assumed.push(format!("micro-batches of {} tokens", work.micro));
    match &host.gpu {
        Some(gpu) => work.on_device(&mut step, gpu),
        None => work.on_host(
            &mut step,
            work.other_flops() + work.attention_flops(),
            work.other_bytes(),
            1.0,
        ),
    }
    let outside = place.dram + place.nvme;
    if outside > 0.0 {
        work.routed(&mut step, outside);
    }
    step.finish(
        constants,
        Shape {
            phase: Phase::Prefill,
            tokens: prompt,
            batch: 1,
            context: prompt,
            tensor_parallel: setup.tensor_parallel,
        },
    )
}

struct Work<'a> {
    model: &'a Model,
    mix: &'a Mix,
    host: &'a Host,
    constants: &'a Constants,
    place: &'a Placement,
    prompt: usize,
    micro: usize,
    ranks: f64,
    policy: &'a Setup,
}

/// Classes that every token of a prompt multiplies with: the head sees the last one only.
const OTHER: [Class; 4] = [Class::Attention, Class::DenseMlp, Class::SharedExperts, Class::Router];

impl Work<'_> {
    fn rounds(&self) -> f64 {
        self.prompt.div_ceil(self.micro) as f64
    }

    fn other_flops(&self) -> f64 {
        OTHER.iter().map(|class| self.model.flops(*class)).sum::<f64>() * self.prompt as f64
    }

    fn attention_flops(&self) -> f64 {
        self.model.prefill_attention_flops(self.prompt) * self.prompt as f64
    }

    fn routed_flops(&self) -> f64 {
        self.model.flops(Class::RoutedExperts) * self.prompt as f64
    }

    fn other_bytes(&self) -> f64 {
        let bytes = |class: &Class| self.model.bytes_read(*class, self.mix, 1);
        OTHER.iter().map(bytes).sum::<f64>() * self.rounds()
    }

    /// Routed experts that micro-batches of random routing use, each read once.
    fn routed_bytes(&self) -> f64 {
        self.model.bytes_read(Class::RoutedExperts, self.mix, self.micro) * self.rounds()
    }

    fn on_device(&self, step: &mut Step, gpu: &Gpu) {
        let flops =
            self.other_flops() + self.attention_flops() + self.place.vram * self.routed_flops();
        let reading = gpu.vram_read.as_ref().map(|nominal| {
            let rate = attainable(nominal, VRAM_READ.0, VRAM_READ.1);
            let bytes = self.other_bytes() + self.place.vram * self.routed_bytes();
            let seconds = bytes / (rate.value * 1e9 * self.ranks);
            let what = format!("{:.2} GB of weights", bytes / 1e9);
            step.add(
                Part::Vram,
                what,
                Busy { seconds, least: 0.0 },
                &[("VRAM read of a GPU, GB/s", &rate)],
            );
            seconds
        });
        self.products(step, gpu, flops, reading.unwrap_or(0.0), "layers");
        let launch = gpu.kernel_us.clone().unwrap_or_else(|| fitted(self.constants.kernel_us));
        let count = kernels(self.model, self.place.vram > 0.0) as f64 * self.rounds();
        let busy = Busy { seconds: count * launch.value * 1e-6, least: 0.0 };
        step.add(
            Part::Launch,
            format!("{count:.0} kernels"),
            busy,
            &[("a kernel's launch, us", &launch)],
        );
    }

    fn products(&self, step: &mut Step, gpu: &Gpu, flops: f64, reading: f64, what: &str) {
        let Some(nominal) = &gpu.tflops else {
            let note = "gpu.bf16_tflops: products on the GPU are left out";
            if !step.missing.iter().any(|known| known == note) {
                step.missing.push(note.into());
            }
            return;
        };
        let rate = attainable(nominal, GPU_PRODUCTS.0, GPU_PRODUCTS.1);
        let seconds = flops / (rate.value * 1e12 * self.ranks);
        // Formats of fewer bits compute at up to four times the rate of bf16.
        let least = flops / (nominal.value * 4e12 * gpu.count as f64);
        let what = format!("{:.1} TFLOP of {what}", flops / 1e12);
        step.add(Part::GpuCompute, what, Busy { seconds, least }, &[("GPU bf16, TFLOP/s", &rate)]);
        step.overlap((Part::GpuCompute, seconds), (Part::Vram, reading));
    }

    /// Products on the host with weights of `bytes`, read at `eta` of what DRAM reads.
    fn on_host(&self, step: &mut Step, flops: f64, bytes: f64, eta: f64) {
        let Some(rate) = &self.host.cpu_tflops else {
            step.missing.push("cpu.tflops: arithmetic on the host is left out".into());
            return;
        };
        let seconds = flops / (rate.value * 1e12);
        let what = format!("{:.1} TFLOP", flops / 1e12);
        step.add(Part::CpuCompute, what, Busy { seconds, least: 0.0 }, &[("CPU, TFLOP/s", rate)]);
        if let Some(read) = self.dram() {
            let reading = bytes / (read.value * eta * 1e9);
            let what = format!("{:.2} GB of weights", bytes / 1e9);
            step.add(
                Part::Dram,
                what,
                Busy { seconds: reading, least: 0.0 },
                &[("DRAM read, GB/s", &read)],
            );
            step.overlap((Part::CpuCompute, seconds), (Part::Dram, reading));
        }
    }

    fn dram(&self) -> Option<Figure> {
        let active = self.model.experts.map_or(1, |experts| experts.active);
        let read = self.policy.policy.read(&self.host.dram, self.host.sockets, active).ok()?;
        Some(attainable(&read, DRAM_READ.0, DRAM_READ.1))
    }

    fn routed(&self, step: &mut Step, share: f64) {
        let (flops, bytes) = (share * self.routed_flops(), share * self.routed_bytes());
        let eta = self.constants.eta;
        let on_host = self.host.cpu_tflops.as_ref().map(|rate| {
            let reading = self.dram().map_or(0.0, |read| bytes / (read.value * eta * 1e9));
            (flops / (rate.value * 1e12)).max(reading)
        });
        let upload = self.host.gpu.as_ref().and_then(|gpu| {
            let products =
                gpu.tflops.as_ref().map_or(0.0, |rate| flops / (rate.value * 1e12 * self.ranks));
            Some((gpu, gpu.pcie.as_ref()?, bytes / (gpu.pcie.as_ref()?.value * 1e9) + products))
        });
        match (on_host, upload) {
            (host, Some((gpu, pcie, seconds))) if host.is_none_or(|host| seconds < host) => {
                let busy = Busy { seconds: bytes / (pcie.value * 1e9), least: 0.0 };
                let what = format!("{:.1} GB of experts uploaded", bytes / 1e9);
                step.add(Part::Pcie, what, busy, &[("PCIe host to device, GB/s", pcie)]);
                self.products(step, gpu, flops, 0.0, "experts");
            }
            (None, None) => {
                let needs = if self.host.gpu.is_some() {
                    "cpu.tflops or gpu.pcie_gb_s"
                } else {
                    "cpu.tflops"
                };
                step.missing.push(format!("{needs}: routed experts are left out"));
            }
            _ => self.on_host(step, flops, bytes, eta),
        }
    }
}
