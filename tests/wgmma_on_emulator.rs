//! GEMM on Hopper's warpgroup products, on the emulated H100: every tile of every format computes the right thing for odd
//! sizes in any warp order, and reads and writes nothing but its operands.

use emulator::driver::in_child;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::gemm::{GemmSubject, Path, Wgmma};
use hostdyno::measure::Subject;
use hostdyno::number::Format;
use hostdyno::workload::Gemm;

/// Smaller than a box, a bit more than a tile and than two, N with and without a tensor map of C, K of no whole stage.
const SHAPES: [Gemm; 4] = [
    Gemm::new(1, 1, 1),
    Gemm::new(130, 260, 70),
    Gemm::new(257, 511, 300),
    Gemm::new(77, 300, 1000),
];

/// Verifies twice on different copies of the operands, with a timed run in between, as benches do.
fn check(subject: &mut GemmSubject) {
    subject.verify().unwrap_or_else(|error| panic!("{}: {error}", subject.kernel_path()));
    subject.run(2).expect("timed");
    subject.verify().unwrap_or_else(|error| panic!("{}: {error}", subject.kernel_path()));
}

/// What a child runs with: warps in order, and in another order.
fn in_order(seed: &'static str) -> [(&'static str, &'static str); 2] {
    [("HOSTDYNO_EMULATED_GPU", "h100"), ("HOSTDYNO_EMULATED_SEED", seed)]
}

const SEEDS: [&str; 2] = ["0", "5"];

fn every_tile_is_right(format: Format) {
    let gpu = Gpu::open(0).expect("a device");
    let tiles = Wgmma::candidates(gpu.architecture(), format);
    assert!(tiles.len() >= 3, "{format}");
    for tile in tiles {
        for shape in SHAPES {
            let path: Vec<Box<dyn Path>> = vec![Box::new(tile)];
            let random = rand::random();
            let subject = GemmSubject::with_paths(gpu.clone(), 0, shape, format, random, path);
            check(&mut subject.expect("prepared"));
        }
    }
}

#[test]
fn bf16_is_right() {
    for seed in SEEDS {
        // The child itself has one seed.
        if in_child(&in_order(seed), &[], || every_tile_is_right(Format::Bf16)).is_none() {
            return;
        }
    }
}

#[test]
fn fp8_is_right() {
    for seed in SEEDS {
        if in_child(&in_order(seed), &[], || every_tile_is_right(Format::Fp8E4m3)).is_none() {
            return;
        }
    }
}

/// The oracle allows int8 three roundings of the exact sum: the i32 sums are exact.
#[test]
fn int8_is_exact() {
    for seed in SEEDS {
        if in_child(&in_order(seed), &[], || every_tile_is_right(Format::Int8)).is_none() {
            return;
        }
    }
}

#[test]
fn hopper_prefers_wgmma_and_has_native_fp8() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "h100")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for (m, format, path) in [
            (200, Format::Bf16, "wgmma.bf16/"),
            (200, Format::Int8, "wgmma.int8/"),
            (200, Format::Fp8E4m3, "wgmma.fp8/"),
            (1, Format::Fp8E4m3, "wgmma.fp8/"),
            (1, Format::Bf16, "mma.bf16/"),
        ] {
            let shape = Gemm::new(m, 256, 256);
            let mut subject =
                GemmSubject::new(gpu.clone(), 0, shape, format, rand::random()).expect("prepared");
            let name = subject.kernel_path();
            assert!(name.starts_with(&format!("cuda/sm_90a/{path}")), "{name}");
            check(&mut subject);
        }
    });
}
