//! What a host's own figures don't tell: published efficiencies, and three constants that are fitted to published
//! measurements of decode ([`super::fit`]).

use std::sync::LazyLock;

use serde::Serialize;

use super::{fit, published};

/// Share of theoretical DRAM bandwidth that reads reach: 264.0 of 307.2 GB/s on a Xeon 8480+ (reference numbers of
/// intel/PerfSpect, `cmd/benchmark/benchmark.go`).
pub const DRAM_READ: (f64, &str) = (0.86, "intel/PerfSpect: 264.0 of 307.2 GB/s");
/// Share of nominal VRAM bandwidth at which a few rows of products stream weights: median 1494 of 1792 GB/s on an RTX
/// PRO 6000 (measured database of ai-dynamo/aiconfigurator).
pub const VRAM_READ: (f64, &str) = (0.83, "ai-dynamo/aiconfigurator: 1494 of 1792 GB/s");
/// Share of measured DRAM reads at which a CPU streams weights that every token uses: a dense 72B in Q4_0 on a
/// Threadripper PRO 7965WX (ikawrakow/ik_llama.cpp pull request 534).
pub const CPU_STREAM: (f64, &str) = (0.71, "ikawrakow/ik_llama.cpp PR 534: dense 72B on a 7965WX");
/// Share of nominal bf16 products that large ones reach for long: 794.5 of 989 TFLOP/s on an H100 (stas00/ml-engineering,
/// MAMF).
pub const GPU_PRODUCTS: (f64, &str) = (0.80, "stas00/ml-engineering MAMF: 794.5 of 989 TFLOP/s");
/// Microseconds of a transfer of a few kilobytes, between devices or host and device (ai-dynamo/aiconfigurator,
/// `rtx_pro_6000_server.yaml`, p2p latency).
pub const CROSSING_US: (f64, &str) = (10.0, "ai-dynamo/aiconfigurator: latency between devices");
/// A projection from what this host measured may be off by this factor: the issue's own target for it.
pub const MEASURED_SPREAD: f64 = 1.10;

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Constants {
    /// Bytes of routed experts a second over the read bandwidth of DRAM.
    pub eta: f64,
    /// Microseconds from one kernel of a decode step to the next, launch included.
    pub kernel_us: f64,
    /// Operations of decode attention a second, over bytes a second of VRAM (of DRAM without a GPU): kernels for one
    /// token are far from both roofs.
    pub attention_flops_per_byte: f64,
    /// Of a step whose rates were not measured: a further host's time is within this factor in 95 of 100 cases.
    pub spread: f64,
    /// The same of the launches alone.
    pub launch_spread: f64,
}

impl Constants {
    /// Fitted to every published point; the same in every process.
    pub fn fitted() -> &'static Self {
        static FITTED: LazyLock<Constants> =
            LazyLock::new(|| fit::fit(&published::built_in()).constants);
        &FITTED
    }
}
