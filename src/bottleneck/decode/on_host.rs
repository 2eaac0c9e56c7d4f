//! What the host does in a decode step: everything where there is no GPU, else the routed experts outside of VRAM.

use super::super::constants::{CPU_STREAM, CROSSING_US, DRAM_READ};
use super::super::figure::Figure;
use super::super::host::{Gpu, attainable};
use super::super::projection::Part;
use super::super::step::{Busy, Step};
use super::{OTHER, Work, fitted, published};
use crate::workload::{Class, Storage};

impl Work<'_> {
    pub(super) fn on_host_alone(&self, step: &mut Step) {
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

    pub(super) fn routed_on_host(&self, step: &mut Step) {
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
            self.paged_in(step);
        }
        if let Some(gpu) = &self.host.gpu {
            self.crossings(step, gpu, layers, share);
        }
    }

    fn paged_in(&self, step: &mut Step) {
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
