//! The sources in `kernels/`, carried in the binary so that it runs anywhere.

use std::borrow::Cow;

/// One CUDA C++ file.
#[derive(Debug, Clone, Copy)]
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

/// Every kernel.
pub const ALL: [Kernel; 4] = [GATE, VRAM_READ, VRAM_WRITE, VRAM_COPY];

/// The headers that kernels include by these names.
const HEADERS: [(&str, &str); 2] = [
    ("ptx/clock.cuh", include_str!("../../kernels/ptx/clock.cuh")),
    ("ptx/memory.cuh", include_str!("../../kernels/ptx/memory.cuh")),
];

impl Kernel {
    /// The source with our headers pasted in: NVRTC has no file system of ours to look in.
    pub fn source(&self) -> String {
        let lines = self.source.lines().map(|line| match included(line) {
            Some(header) => Cow::Owned(header.replace("#pragma once", "")),
            None => Cow::Borrowed(line),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn included(line: &str) -> Option<&'static str> {
    let name = line.trim().strip_prefix("#include \"")?.strip_suffix('"')?;
    HEADERS.iter().find(|(header, _)| *header == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_whole() {
        for kernel in ALL {
            let source = kernel.source();
            assert!(!source.contains("#include"), "{}: unknown header", kernel.file);
            assert!(source.contains(&format!("{}(", kernel.entry)), "{}: no entry", kernel.file);
        }
    }
}
