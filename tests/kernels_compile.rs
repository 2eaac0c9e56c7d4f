//! Every kernel compiles, to PTX and on to machine code, for every architecture that it is meant for.

use hostdyno::cuda::nvrtc::Compiled;
use hostdyno::cuda::{kernels, nvrtc};

/// Ampere, Ada, Hopper, and both Blackwells.
const ARCHITECTURES: [&str; 6] = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];

#[test]
fn every_kernel_compiles_for_every_architecture() {
    for kernel in kernels::ALL {
        for architecture in ARCHITECTURES {
            let compiled = nvrtc::compile(&kernel.into(), architecture);
            let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
            assert!(cubin.starts_with(b"\x7fELF"), "{}", kernel.file);
            assert!(ptx.contains(&format!(".target {architecture}")), "{}", kernel.file);
            assert!(ptx.contains(&format!(".entry {}(", kernel.entry)), "{}", kernel.file);
        }
    }
}

#[test]
fn streaming_kernels_move_16_bytes_an_instruction() {
    for (kernel, instruction) in [
        (kernels::VRAM_READ, "ld.global.nc.L1::no_allocate.v4.u32"),
        (kernels::VRAM_WRITE, "st.global.cs.v4.u32"),
        (kernels::VRAM_COPY, "ld.global.nc.L1::no_allocate.v4.u32"),
    ] {
        let ptx = nvrtc::compile(&kernel.into(), "sm_120a").expect("compiles").ptx;
        assert!(ptx.contains(instruction), "{} has no {instruction}", kernel.file);
    }
}
