//! Block-scaled GEMM on the emulated device, one k at a time: each row of A has a single element, so that every output is
//! one element of B times one scale of each operand. A product of random operands can't tell a k order that is wrong in A
//! and B alike; this can, and it names the row, the column and the block whose scale was mistaken.

use emulator::driver::in_child;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::gemm::{DeviceMatrix, Mma, Numbers, Operands, Path, Tile};
use hostdyno::number::{BlockMatrix, E2M1_VALUES, E4M3, Format, MX_BLOCK, Matrix, Scales};
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

fn scales(rows: usize) -> Vec<u8> {
    let blocks = PROBLEM.k / MX_BLOCK;
    (0..rows * blocks).map(|i| scale(i / blocks, i % blocks)).collect()
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

/// Codes of A and B, of one byte or half a byte an element: A with `one` at [`hot`], B with [`code`].
fn operands(numbers: Numbers, one: u8) -> (Vec<u8>, Vec<u8>) {
    let Gemm { m, n, k } = PROBLEM;
    let codes = |rows: usize, code: &dyn Fn(usize, usize) -> u8| -> Vec<u8> {
        let elements: Vec<u8> = (0..rows * k).map(|i| code(i / k, i % k)).collect();
        if numbers.element_bits() == 8 {
            return elements;
        }
        elements.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4).collect()
    };
    (codes(m, &|row, k| if k == hot(row) { one } else { 0 }), codes(n, &code))
}

/// `codes` in `rows` rows with their [`scale`]s, on the device.
fn upload(gpu: &Gpu, numbers: Numbers, codes: &[u8], rows: usize) -> Vec<DeviceMatrix> {
    let (codes, columns) = (codes.to_vec(), PROBLEM.k);
    let uploaded = match numbers {
        Numbers::Plain(format) => {
            let scales = Scales::PerBlock(scales(rows));
            DeviceMatrix::upload(gpu, &Matrix { format, rows, columns, codes, scales }, 1)
        }
        Numbers::Blocked(format) => {
            let scales = scales(rows);
            let matrix = BlockMatrix { format, rows, columns, codes, scales };
            DeviceMatrix::upload_blocked(gpu, &matrix, 1)
        }
    };
    uploaded.expect("uploaded")
}

/// Runs every one of these tiles on [`operands`] and checks C.
fn run(numbers: Numbers, tiles: &[Tile], one: u8, element: impl Fn(u8) -> f32) {
    let gpu = Gpu::open(0).expect("a device");
    let (a, b) = operands(numbers, one);
    for &tile in tiles {
        let mma = Mma { tile, format: numbers, parts: 1 };
        let mut operands = Operands {
            problem: PROBLEM,
            product: numbers.into(),
            a: upload(&gpu, numbers, &a, PROBLEM.m),
            b: upload(&gpu, numbers, &b, PROBLEM.n),
            c: gpu.stream().clone_htod(&vec![f32::NAN; 150 * 140]).expect("allocated"),
        };
        let mut ready = mma.prepare(&gpu, &operands).expect("prepared");
        ready.enqueue(&mut operands, 0).expect("launched");
        check(&gpu.stream().clone_dtoh(&operands.c).expect("ran"), &element);
    }
}

#[test]
fn mxfp4_takes_every_scale_from_its_block() {
    in_child(&MODEL, &[], || {
        let tiles = [
            Tile::new(128, 128, 128, 2, (4, 2)),
            Tile::new(64, 64, 64, 3, (2, 2)),
            Tile::new(16, 128, 256, 2, (1, 4)),
        ];
        // 0x2 is 1.
        run(Format::Mxfp4.into(), &tiles, 0x2, |code| E2M1_VALUES[usize::from(code)]);
    });
}

#[test]
fn mxfp8_takes_every_scale_from_its_block() {
    in_child(&MODEL, &[], || {
        let tiles = [
            Tile::new(64, 64, 128, 2, (2, 2)),
            Tile::new(128, 128, 128, 2, (4, 2)),
            Tile::new(16, 128, 256, 2, (1, 4)),
        ];
        run(Numbers::MXFP8, &tiles, E4M3.encode(1.0), |code| E4M3.decode(code));
    });
}
