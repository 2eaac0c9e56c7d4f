//! GEMM with weights that are expanded to bf16, on the emulated device: every format and tile against the oracle on random
//! operands of odd shapes, every code and scale exactly, no bank conflict, weights fetched once as they are stored.

mod counters;

use std::rc::Rc;

use counters::counter;
use emulator::driver::in_child;
use half::bf16;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::gemm::{
    Dequant, DequantTile, DeviceMatrix, GemmSubject, Operands, Path, Product, worth_expanding,
};
use hostdyno::measure::Subject;
use hostdyno::number::{E2M1_VALUES, E4M3_VALUES, Format, MX_BLOCK, Matrix, Scales};
use hostdyno::record::Unit;
use hostdyno::workload::Gemm;

const FORMATS: [Format; 2] = [Format::Fp8E4m3, Format::Mxfp4];

/// Tiles that have one of everything: planes, warps either way, few and many stages, 8 rows and more.
const TILES: [DequantTile; 6] = [
    DequantTile::new(64, 128, 1, 3, (1, 4)),
    DequantTile::new(128, 128, 1, 2, (2, 4)),
    DequantTile::new(64, 64, 1, 4, (1, 4)),
    DequantTile::new(8, 64, 4, 3, (1, 4)),
    DequantTile::new(16, 128, 2, 3, (1, 4)),
    DequantTile::new(16, 32, 2, 2, (1, 2)),
];

fn subject(gpu: &Rc<Gpu>, dequant: Dequant, problem: Gemm) -> GemmSubject {
    let product = Product::WeightOnly(dequant.format);
    let paths: Vec<Box<dyn Path>> = vec![Box::new(dequant)];
    GemmSubject::with_paths(gpu.clone(), 0, problem, product, rand::random(), paths)
        .unwrap_or_else(|error| panic!("{}: {error}", dequant.name()))
}

#[test]
fn every_format_and_tile_is_right_at_every_edge() {
    for (model, seed) in [("a100", "0"), ("l40s", "3"), ("h100", "7")] {
        let environment = [("HOSTDYNO_EMULATED_GPU", model), ("HOSTDYNO_EMULATED_SEED", seed)];
        let ran = in_child(&environment, &[], || {
            let gpu = Gpu::open(0).expect("a device");
            // A width that is even, odd, and below one tile; one row; K shorter than the stages, odd, and in parts.
            let shapes = [(1, 70, 2081, 3), (129, 67, 419, 1), (13, 130, 96, 1), (37, 31, 33, 1)];
            for format in FORMATS {
                for (tile, (m, n, k, parts)) in
                    TILES.into_iter().flat_map(|tile| shapes.map(|shape| (tile, shape)))
                {
                    let k = if format == Format::Mxfp4 { k / MX_BLOCK * MX_BLOCK + 32 } else { k };
                    let problem = Gemm::new(m, n, k);
                    let dequant = Dequant { tile, format, parts };
                    let mut subject = subject(&gpu, dequant, problem);
                    let verified = subject.verify().unwrap_or_else(|error| {
                        panic!("{model} {} of {problem}: {error}", dequant.name())
                    });
                    assert_eq!(verified.checked, (m * n) as u64);
                    assert_eq!(counter("bank_conflicts"), 0, "{}", dequant.name());
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

/// E4M3 codes that are numbers, and E8M0 scales that are expanded exactly, as the kernel's file says.
const FINITE: usize = 254;
const SCALES: std::ops::RangeInclusive<i32> = -61..=65;

/// 256 + 33 columns of weights that hold every code, and every scale that is expanded exactly.
fn weights(format: Format, n: usize, k: usize) -> Matrix {
    let byte = |i: usize| match format {
        // 0x7f and 0xff are no numbers.
        Format::Fp8E4m3 => [i % FINITE, i % FINITE + 1][usize::from(i % FINITE > 126)] as u8,
        _ => i as u8,
    };
    let row_bytes = format.row_bytes(k);
    let codes = (0..n * row_bytes).map(|i| byte(i / row_bytes * 5 + i % row_bytes)).collect();
    let blocks = k / MX_BLOCK;
    let scale = |i: usize| (127 + SCALES.start() + (i as i32 * 7) % 127) as u8;
    let scales = match format {
        Format::Fp8E4m3 => Scales::PerRow(vec![1.0; n]),
        _ => Scales::PerBlock((0..n * blocks).map(|i| scale(i / blocks * 3 + i)).collect()),
    };
    Matrix { format, rows: n, columns: k, codes, scales }
}

/// Each row of A has a single one, so that every output is one weight, which must come out bit for bit.
#[test]
fn every_code_and_scale_is_expanded_exactly() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "a100")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let Gemm { m, n, k } = Gemm::new(288, 289, 288);
        let one = bf16::ONE.to_le_bytes();
        let hot = |row: usize| row * 37 % k;
        let a = Matrix {
            format: Format::Bf16,
            rows: m,
            columns: k,
            codes: (0..m * k)
                .flat_map(|i| if i % k == hot(i / k) { one } else { [0; 2] })
                .collect(),
            scales: Scales::None,
        };
        for format in FORMATS {
            let b = weights(format, n, k);
            for (tile, parts) in [(TILES[0], 1), (TILES[2], 2)] {
                let mut operands = Operands {
                    problem: Gemm::new(m, n, k),
                    product: Product::WeightOnly(format),
                    a: DeviceMatrix::upload(&gpu, &a, 1).expect("uploaded"),
                    b: DeviceMatrix::upload(&gpu, &b, 1).expect("uploaded"),
                    c: gpu.stream().clone_htod(&vec![f32::NAN; m * n]).expect("allocated"),
                };
                let path = Dequant { tile, format, parts };
                let mut ready = path.prepare(&gpu, &operands).expect("prepared");
                ready.enqueue(&mut operands, 0).expect("launched");
                let c = gpu.stream().clone_dtoh(&operands.c).expect("ran");
                for (i, &got) in c.iter().enumerate() {
                    let (row, column) = (i / n, i % n);
                    let expected = b.value(column, hot(row)) as f32;
                    assert_eq!(got, expected, "{format} C[{row}, {column}], k = {}", hot(row));
                }
            }
            // Every code and every scale is among them.
            let codes: std::collections::BTreeSet<u8> = b.codes.iter().copied().collect();
            assert_eq!(codes.len(), if format == Format::Fp8E4m3 { FINITE } else { 256 });
            if let Scales::PerBlock(scales) = &b.scales {
                let scales: std::collections::BTreeSet<_> = scales.iter().collect();
                assert_eq!(scales.len(), SCALES.count());
            }
        }
        assert!(
            E4M3_VALUES
                .iter()
                .chain(&E2M1_VALUES)
                .all(|value| { value.is_nan() || bf16::from_f32(*value).to_f32() == *value })
        );
    });
}

#[test]
fn weights_are_fetched_once_as_they_are_stored() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "h100")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for format in FORMATS {
            for m in [1, 5, 16] {
                let problem = Gemm::new(m, 256, 2048);
                let tile = if m <= 8 { TILES[3] } else { TILES[4] };
                subject(&gpu, Dequant { tile, format, parts: 2 }, problem).verify().expect("right");
                let weights = problem.n * format.row_bytes(problem.k);
                // Rows of A that are not there cost nothing.
                let rows = problem.n / tile.n as usize * m * 2 * problem.k;
                let fetched = counter("global_load_sectors") as usize * 32;
                // Scales and the other part's sums come besides.
                let besides = weights / 4 + 4 * 4 * 16 * problem.n;
                assert!(fetched >= weights + rows, "{format} {m}: {fetched}");
                assert!(fetched <= weights + rows + besides, "{format} {m}: {fetched}");
            }
        }
    });
}

#[test]
fn the_bench_s_subject_says_what_it_is() {
    for (model, expanded) in [
        ("a100", [true, true]),
        ("l40s", [false, true]),
        ("h100", [true, true]),
        ("rtx-pro-6000", [false; 2]),
    ] {
        let environment =
            [("HOSTDYNO_EMULATED_GPU", model), ("EXPANDED", &format!("{expanded:?}"))];
        let ran = in_child(&environment, &[], || {
            let gpu = Gpu::open(0).expect("a device");
            let few = Gemm::new(4, 256, 512);
            let worth = FORMATS.map(|format| worth_expanding(gpu.architecture(), few, format));
            assert_eq!(format!("{worth:?}"), std::env::var("EXPANDED").expect("set above"));
            assert!(!worth_expanding(gpu.architecture(), few, Format::Int8));
            for format in FORMATS {
                let product = Product::WeightOnly(format);
                for problem in [few, Gemm::new(1, 256, 512), Gemm::new(40, 64, 512)] {
                    let mut subject =
                        GemmSubject::new(gpu.clone(), 0, problem, product, 7).expect("prepared");
                    subject.verify().expect("right");
                    subject.run(3).expect("timed");
                    assert!(subject.disqualified().is_some(), "never a figure");
                    let name = format!("gemm/gpu0/{format}-to-bf16/{problem}");
                    assert_eq!(subject.metric().to_string(), name);
                    let path = subject.kernel_path();
                    assert!(path.contains(&format!("mma.bf16/{format}-to-bf16/")), "{path}");
                    // One row streams its weights, as they are stored; more multiply bf16.
                    let stored = (problem.n * format.stored_row_bytes(problem.k)) as u64;
                    assert_eq!(subject.work().bytes_read == stored, problem.m == 1);
                    assert_eq!(subject.unit() == Unit::GigaBytes, problem.m == 1);
                    assert!(subject.ceiling().expect("known").value > 0.0);
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}
