//! Block-scaled GEMM on the emulated device, one k at a time: each row of A has a single element, so that every output is
//! one element of B times one scale of each operand. A product of random operands can't tell a k order that is wrong in A
//! and B alike; this can, and it names the row, the column and the block whose scale was mistaken.

use cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use emulator::driver::in_child;
use hostdyno::cuda::gemm::{DeviceMatrix, Mma, Operands, Path, Tile};
use hostdyno::cuda::{Gpu, kernels};
use hostdyno::number::{E2M1_VALUES, E4M3, Format, MX_BLOCK, Matrix, Scales};
use hostdyno::workload::Gemm;

/// The chip with block scales.
const MODEL: [(&str, &str); 1] = [("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000")];

/// Rows of A: a tile and a part of one. Columns and K likewise.
const PROBLEM: Gemm = Gemm::new(150, 140, 544);

/// Where row `row` of A has its one element.
fn hot(row: usize) -> usize {
    row * 37 % PROBLEM.k
}

/// E8M0 codes around 127 that differ between neighbouring rows and blocks.
fn scale(row: usize, block: usize) -> u8 {
    (120 + (row * 5 + block * 3) % 15) as u8
}

/// 2^(code - 127).
fn power(code: u8) -> f32 {
    2f32.powi(i32::from(code) - 127)
}

fn scales(rows: usize) -> Scales {
    let blocks = PROBLEM.k / MX_BLOCK;
    Scales::PerBlock((0..rows * blocks).map(|i| scale(i / blocks, i % blocks)).collect())
}

/// A code of B that differs between neighbouring columns and k, never zero.
fn code(column: usize, k: usize) -> u8 {
    (1 + (column * 3 + k) % 7) as u8
}

/// What C must be, exactly: products of powers of two with one element of B, whose value is `element` of its code.
fn check(c: &[f32], element: impl Fn(u8) -> f32) {
    for (row, outputs) in c.chunks_exact(PROBLEM.n).enumerate() {
        let k = hot(row);
        let block = k / MX_BLOCK;
        for (column, &got) in outputs.iter().enumerate() {
            let scales = power(scale(row, block)) * power(scale(column, block));
            let expected = element(code(column, k)) * scales;
            assert_eq!(got, expected, "C[{row}, {column}], k = {k}, block {block}");
        }
    }
}

/// A and B of one byte or half a byte an element: A with `one` at [`hot`], B with [`code`].
fn operands(format: Format, one: u8) -> (Matrix, Matrix) {
    let Gemm { m, n, k } = PROBLEM;
    let matrix = |rows: usize, code: &dyn Fn(usize, usize) -> u8| {
        let elements = (0..rows * k).map(|i| code(i / k, i % k));
        let codes = if format == Format::Mxfp4 {
            let elements: Vec<u8> = elements.collect();
            elements.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4).collect()
        } else {
            elements.collect()
        };
        Matrix { format, rows, columns: k, codes, scales: scales(rows) }
    };
    (matrix(m, &|row, k| if k == hot(row) { one } else { 0 }), matrix(n, &code))
}

#[test]
fn mxfp4_takes_every_scale_from_its_block() {
    in_child(&MODEL, &[], || {
        let gpu = Gpu::open(0).expect("a device");
        // 0x2 is 1.
        let (a, b) = operands(Format::Mxfp4, 0x2);
        for tile in [
            Tile::new(128, 128, 128, 2, (4, 2)),
            Tile::new(64, 64, 64, 3, (2, 2)),
            Tile::new(16, 128, 256, 2, (1, 4)),
        ] {
            let mma = Mma { tile, format: Format::Mxfp4, parts: 1 };
            let mut operands = Operands {
                problem: PROBLEM,
                product: Format::Mxfp4.into(),
                a: DeviceMatrix::upload(&gpu, &a, 1).expect("uploaded"),
                b: DeviceMatrix::upload(&gpu, &b, 1).expect("uploaded"),
                c: gpu.stream().clone_htod(&vec![f32::NAN; 150 * 140]).expect("allocated"),
            };
            let mut ready = mma.prepare(&gpu, &operands).expect("prepared");
            ready.enqueue(&mut operands, 0).expect("launched");
            let c = gpu.stream().clone_dtoh(&operands.c).expect("ran");
            check(&c, |code| E2M1_VALUES[usize::from(code)]);
        }
    });
}

/// `Operands` of kernels/gemm_mma_sm80.cu.
#[repr(C)]
#[derive(Clone, Copy)]
struct Arguments {
    addresses: [u64; 4],
    sizes: [i32; 4],
}

// SAFETY: plain numbers, laid out as the kernel declares them.
unsafe impl DeviceRepr for Arguments {}

/// No format of the suite yet, so the kernel is launched by hand.
#[test]
fn mxfp8_takes_every_scale_from_its_block() {
    in_child(&MODEL, &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let (a, b) = operands(Format::Fp8E4m3, E4M3.encode(1.0));
        let upload = |matrix| DeviceMatrix::upload(&gpu, matrix, 1).expect("uploaded").remove(0);
        let (a, b) = (upload(&a), upload(&b));
        let mut c = gpu.stream().clone_htod(&vec![f32::NAN; 150 * 140]).expect("allocated");
        let mut unused = gpu.stream().alloc_zeros::<u32>(1).expect("allocated");
        let kernel = gpu.load(kernels::GEMM_MMA.with([
            ("MXFP8", 1),
            ("TILE_M", 64),
            ("TILE_N", 64),
            ("ROW_BYTES", 128),
            ("STAGES", 2),
            ("WARPS_M", 2),
            ("WARPS_N", 2),
        ]));
        let arguments = Arguments {
            addresses: [a.codes(&gpu), b.codes(&gpu), a.scales(&gpu), b.scales(&gpu)],
            sizes: [150, 140, a.pitch as i32, 0],
        };
        let kernel = kernel.expect("compiled");
        let mut spare = unused.clone();
        let mut launch = gpu.stream().launch_builder(&kernel);
        launch.arg(&arguments).arg(&mut c).arg(&mut unused).arg(&mut spare);
        let config = LaunchConfig {
            grid_dim: (9, 1, 1),
            block_dim: (128, 1, 1),
            shared_mem_bytes: 2 * 128 * (128 + 4),
        };
        // SAFETY: the arguments are those of the kernel's file and outlive the launch.
        unsafe { launch.launch(config) }.expect("launched");
        check(&gpu.stream().clone_dtoh(&c).expect("ran"), |code| E4M3.decode(code));
    });
}
