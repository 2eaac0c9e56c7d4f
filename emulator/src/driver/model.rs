//! The GPU models that the emulator can stand for, as published figures.
//!
//! A model decides what a program sees (compute capability, sizes, clocks) and what the cost model divides by. Figures
//! that differ between products (multiprocessors, memory, bandwidth, L2, PCIe generation, clock) are the vendor's published
//! ones; per-multiprocessor limits come from the CUDA C++ programming guide, "Technical Specifications per Compute
//! Capability". Nothing here is measured.

/// One product.
#[derive(Debug, PartialEq)]
pub struct Model {
    /// What `HOSTDYNO_EMULATED_GPU` calls it.
    pub key: &'static str,
    /// The vendor's name; the device reports it with ` (emulated)` behind it.
    pub name: &'static str,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Clock that the published tensor rate is stated at, kHz.
    pub clock_khz: u32,
    /// Memory capacity as marketed, GiB.
    pub memory_gib: u64,
    /// Published memory bandwidth, GB/s (1e9 bytes).
    pub memory_gbps: u32,
    /// Memory bus width, bits.
    pub bus_bits: u32,
    /// L2 cache, MiB.
    pub l2_mib: u32,
    /// PCIe generation, 16 lanes.
    pub pcie_generation: u32,
    /// Dense BF16 tensor operations a multiprocessor a clock (a multiply-add counts two).
    pub tensor_ops_per_clock: u32,
    /// PCI device id in the upper half, vendor id in the lower.
    pub pci_id: u32,
}

/// All models. Sources: multiprocessors, clock, bandwidth, L2 and tensor rates from the vendor's datasheets and the public
/// tables built on them (stas00/ml-engineering, aiconfigurator system files); the clock is the one at which
/// multiprocessors x rate x clock gives the datasheet's tensor peak.
pub const MODELS: &[Model] = &[
    Model {
        key: "a100",
        name: "NVIDIA A100-SXM4-80GB",
        capability: (8, 0),
        multiprocessors: 108,
        clock_khz: 1_410_000,
        memory_gib: 80,
        memory_gbps: 2039,
        bus_bits: 5120,
        l2_mib: 40,
        pcie_generation: 4,
        tensor_ops_per_clock: 2048,
        pci_id: 0x20B2_10DE,
    },
    Model {
        key: "l40s",
        name: "NVIDIA L40S",
        capability: (8, 9),
        multiprocessors: 142,
        clock_khz: 2_490_000,
        memory_gib: 48,
        memory_gbps: 864,
        bus_bits: 384,
        l2_mib: 96,
        pcie_generation: 4,
        tensor_ops_per_clock: 1024,
        pci_id: 0x26B9_10DE,
    },
    Model {
        key: "h100",
        name: "NVIDIA H100 80GB HBM3",
        capability: (9, 0),
        multiprocessors: 132,
        clock_khz: 1_830_000,
        memory_gib: 80,
        memory_gbps: 3350,
        bus_bits: 5120,
        l2_mib: 50,
        pcie_generation: 5,
        tensor_ops_per_clock: 4096,
        pci_id: 0x2330_10DE,
    },
    Model {
        key: "h200",
        name: "NVIDIA H200",
        capability: (9, 0),
        multiprocessors: 132,
        clock_khz: 1_830_000,
        memory_gib: 141,
        memory_gbps: 4800,
        bus_bits: 6144,
        l2_mib: 50,
        pcie_generation: 5,
        tensor_ops_per_clock: 4096,
        pci_id: 0x2335_10DE,
    },
    Model {
        key: "b200",
        name: "NVIDIA B200",
        capability: (10, 0),
        multiprocessors: 148,
        clock_khz: 1_856_000,
        memory_gib: 180,
        memory_gbps: 7672,
        bus_bits: 7680,
        l2_mib: 126,
        pcie_generation: 5,
        tensor_ops_per_clock: 8192,
        pci_id: 0x2901_10DE,
    },
    Model {
        key: "rtx-pro-6000",
        name: "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        capability: (12, 0),
        multiprocessors: 188,
        clock_khz: 2_617_000,
        memory_gib: 96,
        memory_gbps: 1792,
        bus_bits: 512,
        l2_mib: 128,
        pcie_generation: 5,
        tensor_ops_per_clock: 1024,
        pci_id: 0x2BB1_10DE,
    },
    Model {
        key: "rtx-5090",
        name: "NVIDIA GeForce RTX 5090",
        capability: (12, 0),
        multiprocessors: 170,
        clock_khz: 2_407_000,
        memory_gib: 32,
        memory_gbps: 1792,
        bus_bits: 512,
        l2_mib: 96,
        pcie_generation: 5,
        tensor_ops_per_clock: 512,
        pci_id: 0x2B85_10DE,
    },
];

/// Per-multiprocessor limits of a compute capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Resident threads.
    pub threads: u32,
    /// Resident blocks.
    pub blocks: u32,
    /// Shared memory, bytes.
    pub shared: u32,
    /// Shared memory that one block can opt in to, bytes.
    pub shared_per_block_optin: u32,
}

/// Shared memory of a block without opting in, bytes (all capabilities).
pub const SHARED_PER_BLOCK: u32 = 48 << 10;
/// Shared memory that the system reserves in each block from capability 8.0 on, bytes.
pub const RESERVED_SHARED_PER_BLOCK: u32 = 1 << 10;
/// 32-bit registers of a multiprocessor (all capabilities from 5.0 on).
pub const REGISTERS: u32 = 64 << 10;
/// Threads of a block (all capabilities).
pub const THREADS_PER_BLOCK: u32 = 1024;
/// Block dimensions (all capabilities).
pub const BLOCK_DIMENSIONS: [u32; 3] = [1024, 1024, 64];
/// Grid dimensions (all capabilities).
pub const GRID_DIMENSIONS: [u32; 3] = [0x7fff_ffff, 0xffff, 0xffff];

impl Model {
    /// The model that `HOSTDYNO_EMULATED_GPU` names.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.key == key)
    }

    /// Limits of a multiprocessor.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let kib = |n: u32| n << 10;
        let (threads, blocks, shared) = match self.capability {
            (8, 0) => (2048, 32, kib(164)),
            (8, _) => (1536, 24, kib(100)),
            (9 | 10, _) => (2048, 32, kib(228)),
            _ => (1536, 24, kib(100)),
        };
        Limits {
            threads,
            blocks,
            shared,
            shared_per_block_optin: shared - RESERVED_SHARED_PER_BLOCK,
        }
    }

    /// The most blocks of a cluster without the non-portable attribute; 1 where clusters do not exist.
    #[must_use]
    pub fn max_cluster(&self) -> u32 {
        if self.capability.0 >= 9 { 8 } else { 1 }
    }

    /// Memory clock in kHz, from bandwidth and bus width at two transfers a clock, so that clock x width x 2 gives the
    /// published bandwidth back.
    #[must_use]
    pub fn memory_clock_khz(&self) -> u32 {
        // GB/s = 1e9 B/s = 8e9 bit/s; a kHz moves bus_bits x 2 x 1000 bit/s.
        (u64::from(self.memory_gbps) * 8_000_000 / (2 * u64::from(self.bus_bits))) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_model_agree_with_each_other() {
        // Dense BF16 peaks as published, TFLOP/s: each is multiprocessors x rate x clock.
        let published = [
            ("a100", 312.0),
            ("l40s", 362.0),
            ("h100", 989.0),
            ("h200", 989.0),
            ("b200", 2250.0),
            ("rtx-pro-6000", 503.8),
            ("rtx-5090", 209.5),
        ];
        assert_eq!(published.len(), MODELS.len());
        for (key, tflops) in published {
            let model = Model::find(key).expect(key);
            let derived = f64::from(model.multiprocessors)
                * f64::from(model.tensor_ops_per_clock)
                * f64::from(model.clock_khz)
                / 1e9;
            assert!((derived / tflops - 1.0).abs() < 2e-3, "{key}: {derived} against {tflops}");
            let bandwidth =
                f64::from(model.memory_clock_khz()) * 2e3 * f64::from(model.bus_bits) / 8e9;
            assert!((bandwidth / f64::from(model.memory_gbps) - 1.0).abs() < 1e-5, "{key}");
        }
    }

    #[test]
    fn shared_memory_follows_the_programming_guide() {
        let optin = |key: &str| Model::find(key).expect(key).limits().shared_per_block_optin >> 10;
        assert_eq!([optin("a100"), optin("h100"), optin("b200")], [163, 227, 227]);
        assert_eq!([optin("l40s"), optin("rtx-pro-6000")], [99, 99]);
    }
}
