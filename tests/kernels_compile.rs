//! Every kernel compiles, to PTX and on to machine code, for every architecture that it is meant for.

mod cubin;

use cubin::audit;
use hostdyno::cuda::gemm::{Path, Wgmma};
use hostdyno::cuda::nvrtc::Compiled;
use hostdyno::cuda::peak::{Instruction, Loop};
use hostdyno::cuda::{kernels, nvrtc};
use hostdyno::number::Format;

/// Ampere, Ada, Hopper, and both Blackwells.
const ARCHITECTURES: [&str; 6] = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];

/// Threads of a block of the products on wgmma, and of a peak loop.
const WGMMA_THREADS: u32 = 3 * 128;
const PEAK_THREADS: u32 = 256;

#[test]
fn every_kernel_compiles_for_every_architecture() {
    for &kernel in kernels::ALL {
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
fn every_peak_loop_compiles_where_the_instruction_exists_and_keeps_its_sums_in_registers() {
    for architecture in ARCHITECTURES {
        for format in Format::ALL {
            let loops = [Loop::best(format, architecture).ok(), Loop::warps(format, architecture)];
            for which in loops.into_iter().flatten() {
                let compiled = nvrtc::compile(&which.build(32), architecture);
                let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
                // What issues besides products: of wgmma one a group of warps, whose registers are synchronised.
                let (instruction, least) = match which.instruction {
                    Instruction::Mma => ("mma.sync.aligned.m16n8k", 0.85),
                    Instruction::Wgmma => ("wgmma.mma_async.sync.aligned.m64n256k", 0.1),
                };
                let name = format!("{which:?} on {architecture}");
                assert!(ptx.contains(instruction), "{name}");
                let blocks = which.blocks_per_multiprocessor();
                let main = audit(&cubin, PEAK_THREADS * blocks, &name);
                assert!(main.density() >= least, "{name}: {main:?}");
            }
        }
    }
    let count = |architecture| {
        let best = |format: &Format| Loop::best(*format, architecture).is_ok();
        Format::ALL.iter().filter(|format| best(format)).count()
    };
    assert_eq!(ARCHITECTURES.map(count), [2, 2, 3, 3, 0, 4], "formats with a loop");
}

#[test]
fn streaming_kernels_move_16_bytes_an_instruction() {
    for (kernel, instruction) in [
        (kernels::VRAM_READ, "ld.global.nc.L1::no_allocate.v4.u32"),
        (kernels::VRAM_WRITE, "st.global.cs.v4.u32"),
        (kernels::VRAM_COPY, "ld.global.nc.L1::no_allocate.v4.u32"),
        (kernels::VRAM_TRIAD, "ld.global.nc.L1::no_allocate.v4.u32"),
        (kernels::VRAM_GATHER, "ld.global.nc.L1::no_allocate.v4.u32"),
        (kernels::L2_READ, "ld.global.cg.v4.u32"),
    ] {
        let ptx = nvrtc::compile(&kernel.into(), "sm_120a").expect("compiles").ptx;
        assert!(ptx.contains(instruction), "{} has no {instruction}", kernel.file);
    }
}

#[test]
fn every_wgmma_tile_compiles_for_hopper_to_its_instruction() {
    for (format, instruction, mnemonic) in [
        (Format::Bf16, "k16.f32.bf16.bf16", "HGMMA."),
        (Format::Fp8E4m3, "k32.f32.e4m3.e4m3", "QGMMA."),
        (Format::Int8, "k32.s32.s8.s8", "IGMMA."),
    ] {
        let tiles = Wgmma::candidates("sm_90a", format);
        assert!(tiles.len() >= 3, "{format}");
        for tile in tiles {
            let build = tile.build().expect("a candidate has a kernel");
            let compiled = nvrtc::compile(&build, "sm_90a");
            let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
            assert!(cubin.starts_with(b"\x7fELF"), "{}", tile.name());
            let wgmma = format!("wgmma.mma_async.sync.aligned.m64n{}{instruction}", tile.n);
            assert!(ptx.contains(&wgmma), "{}", tile.name());
            // In clusters, an operand goes to both blocks at once.
            assert_eq!(ptx.contains(".multicast::cluster"), tile.cluster > 1, "{}", tile.name());
            // Sums stay in registers.
            let main = audit(&cubin, WGMMA_THREADS, &tile.name());
            assert!(main.is_all(mnemonic), "{}: {main:?}", tile.name());
        }
    }
}
