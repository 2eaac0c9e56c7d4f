//! The GPU's GEMM on the emulated device: every format and tile against the oracle on random operands of odd shapes, exact
//! where the arithmetic is exact, without a bank conflict, every byte of the operands fetched in whole sectors.

mod counters;

use std::rc::Rc;

use counters::counter;
use emulator::driver::in_child;
use hostdyno::Error;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::gemm::{GemmSubject, Mma, Numbers, Path, Tile};
use hostdyno::measure::Subject;
use hostdyno::number::Format;
use hostdyno::workload::Gemm;

/// One model of each architecture that kernels are compiled for.
const MODELS: [&str; 5] = ["a100", "l40s", "h100", "b200", "rtx-pro-6000"];

/// Tiles that have one of everything: both permutations, one and several warps either way, few and many stages.
const TILES: [Tile; 5] = [
    Tile::new(128, 128, 128, 2, (4, 2)),
    Tile::new(64, 64, 64, 4, (2, 2)),
    Tile::new(16, 64, 256, 3, (1, 4)),
    Tile::new(16, 128, 128, 3, (1, 4)),
    Tile::new(16, 32, 128, 6, (1, 2)),
];

/// The subject of one kernel, prepared with a seed that differs each run.
fn subject(gpu: &Rc<Gpu>, mma: Mma, problem: Gemm) -> GemmSubject {
    let paths: Vec<Box<dyn Path>> = vec![Box::new(mma)];
    GemmSubject::with_paths(gpu.clone(), 0, problem, mma.format, rand::random(), paths)
        .unwrap_or_else(|error| panic!("{}: {error}", mma.name()))
}

/// K that is no multiple of a stage, and for formats that allow it, odd.
fn odd_k(format: Numbers, k: usize) -> usize {
    format.block().map_or(k, |block| k / block * block)
}

#[test]
fn every_format_and_tile_is_right_at_every_edge() {
    for model in MODELS {
        let ran = in_child(&[("HOSTDYNO_EMULATED_GPU", model)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            let formats = Format::MAIN.map(Numbers::from).into_iter().chain([Numbers::MXFP8]);
            for format in formats.filter(|&f| Mma::lacks(gpu.architecture(), f).is_none()) {
                // A width that is even, odd, and below one tile; one row; K shorter than the stages, and in parts.
                let shapes =
                    [(1, 70, 1063, 3), (129, 67, 419, 1), (16, 130, 96, 2), (37, 31, 33, 1)];
                // The instructions differ by format, the tiles do not: all of them on two chips.
                let all = ["sm_80", "sm_120a"].contains(&gpu.architecture());
                let tiles = TILES.into_iter().take(if all { TILES.len() } else { 2 });
                for (tile, (m, n, k, parts)) in
                    tiles.flat_map(|tile| shapes.map(|shape| (tile, shape)))
                {
                    if !tile.suits(format) {
                        continue;
                    }
                    let problem = Gemm::new(m, n, odd_k(format, k));
                    let depth = format.row_bytes(problem.k).div_ceil(tile.row_bytes as usize);
                    let parts = parts.min(depth as u32);
                    let mma = Mma { tile, format, parts };
                    let mut subject = subject(&gpu, mma, problem);
                    let verified = subject.verify().unwrap_or_else(|error| {
                        panic!("{model} {} of {problem}: {error}", mma.name())
                    });
                    assert_eq!(verified.checked, (m * n) as u64);
                    if format.integers() {
                        // The sums are integers: all that is lost is the rounding of two scales.
                        assert!(verified.error_over_tolerance <= 1.0);
                    }
                    assert_eq!(counter("bank_conflicts"), 0, "{}", mma.name());
                    // The counters of parts are zero again: the next launch adds up, too.
                    subject.run(2).expect("timed");
                    subject.verify().expect("right after timing, too");
                }
            }
        });
        // The child itself has one model.
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn operands_are_fetched_once_a_tile_in_whole_sectors() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "h100")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for format in [Format::Bf16, Format::Int8] {
            let problem = Gemm::new(128, 256, 512);
            let mma = Mma { tile: TILES[0], format: format.into(), parts: 1 };
            let mut subject = subject(&gpu, mma, problem);
            subject.verify().expect("right");
            let row = format.row_bytes(problem.k) as u64;
            // A for each of two columns of tiles, B for its one row; the epilogue reads row scales besides.
            let operands = (2 * problem.m as u64 + problem.n as u64) * row;
            let read = counter("global_load_sectors") * 32;
            assert!(read >= operands, "{read} of {operands}");
            let scales = if format.has_row_scale() { 0.1 } else { 0.0 };
            assert!(read as f64 <= operands as f64 * (1.0 + scales), "{read} of {operands}");
            assert_eq!(counter("global_store_sectors") * 32, problem.bytes_written());
            assert_eq!(counter("tensor_macs"), problem.flops() / 2);
        }
    });
}

#[test]
fn any_schedule_of_warps_gives_the_same() {
    for seed in ["1", "2", "3"] {
        let ran = in_child(&[("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for (tile, parts) in [(TILES[0], 1), (TILES[1], 3), (TILES[2], 2)] {
                let mma = Mma { tile, format: Format::Bf16.into(), parts };
                subject(&gpu, mma, Gemm::new(67, 66, 700)).verify().expect("right");
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn the_bench_s_subject_runs_or_names_what_the_chip_lacks() {
    for (model, format, cause) in [
        ("a100", Format::Fp8E4m3, Some("no native fp8 tensor instruction on sm_80")),
        ("h100", Format::Mxfp4, Some("no native mxfp4 tensor instruction on sm_90a")),
        ("h100", Format::Int8, None),
        ("rtx-pro-6000", Format::Mxfp4, None),
    ] {
        let environment = [
            ("HOSTDYNO_EMULATED_GPU", model),
            ("FORMAT", format.name()),
            ("CAUSE", cause.unwrap_or("")),
        ];
        let ran = in_child(&environment, &[], || {
            let read = |name| std::env::var(name).expect("set above");
            let format =
                Format::MAIN.into_iter().find(|f| f.name() == read("FORMAT")).expect("a format");
            let gpu = Gpu::open(0).expect("a device");
            let problem = Gemm::new(4, 256, 512);
            match GemmSubject::new(gpu, 0, problem, format, 7) {
                Ok(mut subject) => {
                    assert_eq!(read("CAUSE"), "");
                    subject.verify().expect("right");
                    subject.run(3).expect("timed");
                    assert!(subject.disqualified().is_some(), "never a figure");
                    assert!(subject.kernel_path().contains(&format!("mma.{format}/16x")));
                    assert!(subject.ceiling().expect("known").value > 0.0);
                }
                Err(Error::Unavailable(message)) => assert!(message.contains(&read("CAUSE"))),
                Err(error) => panic!("{error}"),
            }
        });
        if ran.is_none() {
            return;
        }
    }
}
