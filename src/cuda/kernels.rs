//! The sources in `kernels/`, carried in the binary so that it runs anywhere.

use std::collections::HashSet;
use std::fmt::Write;

use crate::number::Format;

/// One CUDA C++ file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Name of its one entry point.
    pub entry: &'static str,
    /// Name of the file, for the compiler's messages.
    pub file: &'static str,
    source: &'static str,
}

macro_rules! kernel {
    ($name:ident, $entry:literal, $file:literal, $what:literal) => {
        #[doc = $what]
        pub const $name: Kernel = Kernel {
            entry: $entry,
            file: $file,
            source: include_str!(concat!("../../kernels/", $file)),
        };
    };
}

kernel!(GATE, "gate", "gate_sm80.cu", "Holds the stream until the host opens the gate.");
kernel!(VRAM_READ, "vram_read", "vram_read_sm80.cu", "Reads device memory once.");
kernel!(VRAM_WRITE, "vram_write", "vram_write_sm80.cu", "Writes device memory once.");
kernel!(VRAM_COPY, "vram_copy", "vram_copy_sm80.cu", "Copies device memory.");
kernel!(
    GEMM_MMA,
    "gemm_mma",
    "gemm_mma_sm80.cu",
    "C = A B^T on mma.sync; needs a format and a tile."
);
kernel!(
    GEMM_DEQUANT,
    "gemm_dequant",
    "gemm_dequant_sm80.cu",
    "C = A B^T, A in bf16, B in a narrower format; needs that format and a tile."
);
kernel!(
    ATTENTION_DECODE,
    "attention_decode",
    "attention_decode_sm80.cu",
    "Attention of one token to a cache; needs a format, dimensions and tiles."
);
kernel!(
    ATTENTION_DECODE_LATENT,
    "attention_decode_latent",
    "attention_decode_latent_sm80.cu",
    "Attention of one token to a latent cache, in splits; needs a format, dimensions and tiles."
);
kernel!(
    ATTENTION_MERGE,
    "attention_merge",
    "attention_merge_sm80.cu",
    "Merges the splits of a decode; needs a dimension, slices and splits."
);
kernel!(
    ATTENTION_PREFILL,
    "attention_prefill",
    "attention_prefill_sm80.cu",
    "Causal attention of a chunk; needs a format, dimensions and tiles."
);
kernel!(
    ATTENTION_PREFILL_MXFP4,
    "attention_prefill_mxfp4",
    "attention_prefill_mxfp4_sm120a.cu",
    "Causal attention of a chunk with all products in mxfp4; needs dimensions and tiles."
);
kernel!(
    GEMM_BF16_WGMMA,
    "gemm_bf16_wgmma",
    "gemm_bf16_sm90.cu",
    "C = A B^T in bf16 on wgmma; needs a tile."
);
kernel!(
    GEMM_FP8_WGMMA,
    "gemm_fp8_wgmma",
    "gemm_fp8_sm90.cu",
    "C = A B^T in fp8 E4M3 on wgmma; needs a tile."
);
kernel!(
    GEMM_INT8_WGMMA,
    "gemm_int8_wgmma",
    "gemm_int8_sm90.cu",
    "C = A B^T in int8 on wgmma; needs a tile."
);

kernel!(VRAM_TRIAD, "vram_triad", "vram_triad_sm80.cu", "Adds two ranges of device memory.");
kernel!(VRAM_GATHER, "vram_gather", "vram_gather_sm80.cu", "Reads chunks of memory in any order.");
kernel!(L2_READ, "l2_read", "l2_read_sm80.cu", "Reads the second-level cache.");
kernel!(CHASE, "chase", "chase_sm80.cu", "Follows a chain; needs the constant `FIRST_LEVEL`.");
kernel!(EMPTY, "empty", "empty_sm80.cu", "Does nothing.");
kernel!(CLOCK, "clock_rate", "clock_sm80.cu", "Measures the multiprocessor's clock.");
kernel!(PEAK_BF16, "peak_bf16", "peak_bf16_sm80.cu", "Peak of bf16 `mma.sync`.");
kernel!(PEAK_INT8, "peak_int8", "peak_int8_sm80.cu", "Peak of int8 `mma.sync`.");
kernel!(PEAK_FP8, "peak_fp8", "peak_fp8_sm89.cu", "Peak of fp8 `mma.sync`.");
kernel!(PEAK_MXFP4, "peak_mxfp4", "peak_mxfp4_sm120a.cu", "Peak of block-scaled mxfp4 `mma.sync`.");
kernel!(PEAK_BF16_WGMMA, "peak_bf16_wgmma", "peak_bf16_sm90a.cu", "Peak of bf16 `wgmma`.");
kernel!(PEAK_INT8_WGMMA, "peak_int8_wgmma", "peak_int8_sm90a.cu", "Peak of int8 `wgmma`.");
kernel!(PEAK_FP8_WGMMA, "peak_fp8_wgmma", "peak_fp8_sm90a.cu", "Peak of fp8 `wgmma`.");

/// Every kernel that compiles without constants.
pub const ALL: &[Kernel] =
    &[CLOCK, EMPTY, GATE, L2_READ, VRAM_COPY, VRAM_GATHER, VRAM_READ, VRAM_TRIAD, VRAM_WRITE];

/// The loops of the tensor peaks; they need the constant `TURNS`.
pub const PEAKS: [Kernel; 7] =
    [PEAK_BF16, PEAK_INT8, PEAK_FP8, PEAK_MXFP4, PEAK_BF16_WGMMA, PEAK_INT8_WGMMA, PEAK_FP8_WGMMA];

/// The headers that kernels and headers include by these names.
const HEADERS: &[(&str, &str)] = &[
    ("attention/codes.cuh", include_str!("../../kernels/attention/codes.cuh")),
    ("attention/mxfp4_tile.cuh", include_str!("../../kernels/attention/mxfp4_tile.cuh")),
    ("attention/mxfp4_weights.cuh", include_str!("../../kernels/attention/mxfp4_weights.cuh")),
    ("attention/prefill_format.cuh", include_str!("../../kernels/attention/prefill_format.cuh")),
    ("attention/prefill_step.cuh", include_str!("../../kernels/attention/prefill_step.cuh")),
    ("attention/quad.cuh", include_str!("../../kernels/attention/quad.cuh")),
    ("attention/stored.cuh", include_str!("../../kernels/attention/stored.cuh")),
    ("attention/tile.cuh", include_str!("../../kernels/attention/tile.cuh")),
    ("codes.cuh", include_str!("../../kernels/codes.cuh")),
    ("gemm_block.cuh", include_str!("../../kernels/gemm_block.cuh")),
    ("gemm_dequant_format.cuh", include_str!("../../kernels/gemm_dequant_format.cuh")),
    ("gemm_dequant_tile.cuh", include_str!("../../kernels/gemm_dequant_tile.cuh")),
    ("gemm_mma_format.cuh", include_str!("../../kernels/gemm_mma_format.cuh")),
    ("gemm_mma_tile.cuh", include_str!("../../kernels/gemm_mma_tile.cuh")),
    ("gemm_wgmma_sm90.cuh", include_str!("../../kernels/gemm_wgmma_sm90.cuh")),
    ("peak_mma.cuh", include_str!("../../kernels/peak_mma.cuh")),
    ("peak_wgmma.cuh", include_str!("../../kernels/peak_wgmma.cuh")),
    ("ptx/arithmetic.cuh", include_str!("../../kernels/ptx/arithmetic.cuh")),
    ("ptx/bits.cuh", include_str!("../../kernels/ptx/bits.cuh")),
    ("ptx/clock.cuh", include_str!("../../kernels/ptx/clock.cuh")),
    ("ptx/cluster.cuh", include_str!("../../kernels/ptx/cluster.cuh")),
    ("ptx/cp_async.cuh", include_str!("../../kernels/ptx/cp_async.cuh")),
    ("ptx/ldmatrix.cuh", include_str!("../../kernels/ptx/ldmatrix.cuh")),
    ("ptx/mbarrier.cuh", include_str!("../../kernels/ptx/mbarrier.cuh")),
    ("ptx/memory.cuh", include_str!("../../kernels/ptx/memory.cuh")),
    ("ptx/mma.cuh", include_str!("../../kernels/ptx/mma.cuh")),
    ("ptx/mma_scaled.cuh", include_str!("../../kernels/ptx/mma_scaled.cuh")),
    ("ptx/registers.cuh", include_str!("../../kernels/ptx/registers.cuh")),
    ("ptx/tma.cuh", include_str!("../../kernels/ptx/tma.cuh")),
    ("ptx/wgmma.cuh", include_str!("../../kernels/ptx/wgmma.cuh")),
];

impl Kernel {
    /// This kernel with compile-time constants, such as tile sizes: `#define NAME value` before its first line.
    pub fn with<const N: usize>(self, constants: [(&'static str, u32); N]) -> Build {
        Build { kernel: self, constants: constants.to_vec() }
    }
}

/// The macro by which the products choose a format.
pub fn format_macro(format: Format) -> &'static str {
    match format {
        Format::Bf16 => "BF16",
        Format::Int8 => "INT8",
        Format::Fp8E4m3 => "FP8",
        Format::Mxfp4 => "MXFP4",
        Format::Fp8E5m2 => "FP8_E5M2",
    }
}

/// What the compiler gets: a kernel and the values of its compile-time constants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Build {
    /// The kernel.
    pub kernel: Kernel,
    /// Names of macros and what they stand for.
    pub constants: Vec<(&'static str, u32)>,
}

impl From<Kernel> for Build {
    fn from(kernel: Kernel) -> Self {
        kernel.with([])
    }
}

impl Build {
    /// The source with its constants defined and our headers pasted in, each once: NVRTC has no file system of ours to
    /// look in.
    pub fn source(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.constants {
            writeln!(text, "#define {name} {value}").expect("a String takes everything");
        }
        paste(self.kernel.source, &mut HashSet::new(), &mut text);
        text
    }
}

/// Appends `source` to `text` with the headers that it includes, except those `seen` before.
fn paste(source: &'static str, seen: &mut HashSet<&'static str>, text: &mut String) {
    for line in source.lines().filter(|line| *line != "#pragma once") {
        match included(line) {
            Some((name, header)) if seen.insert(name) => paste(header, seen, text),
            Some(_) => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

fn included(line: &str) -> Option<(&'static str, &'static str)> {
    let name = line.trim().strip_prefix("#include \"")?.strip_suffix('"')?;
    HEADERS.iter().find(|(header, _)| *header == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_whole() {
        for &kernel in ALL.iter().chain(&PEAKS) {
            let source = Build::from(kernel).source();
            assert!(!source.contains("#include"), "{}: unknown header", kernel.file);
            assert!(source.contains(&format!("{}(", kernel.entry)), "{}: no entry", kernel.file);
        }
    }

    #[test]
    fn constants_come_first_and_headers_once() {
        let source = GATE.with([("TILE", 128)]).source();
        assert!(source.starts_with("#define TILE 128\n"));
        assert_eq!(source.matches("global_nanoseconds() {").count(), 1);
    }
}
