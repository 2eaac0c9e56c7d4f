use super::*;
use crate::cpu::Caches;

/// Tiny caches: every loop of the blocked algorithm turns several times on small shapes.
const TINY: Caches = Caches { l2: 40 << 10, l3_share: 128 << 10 };

fn expected(a: &Matrix, b: &Matrix) -> (Vec<f64>, Vec<f64>) {
    let decode = |m: &Matrix| {
        let mut values = vec![0.0; m.rows * m.columns];
        for (row, values) in values.chunks_exact_mut(m.columns).enumerate() {
            m.decode_row(row, values);
        }
        values
    };
    let (av, bv) = (decode(a), decode(b));
    let mut c = Vec::new();
    let mut magnitude = Vec::new();
    for x in av.chunks_exact(a.columns) {
        for y in bv.chunks_exact(b.columns) {
            c.push(x.iter().zip(y).map(|(x, y)| x * y).sum());
            magnitude.push(x.iter().zip(y).map(|(x, y)| (x * y).abs()).sum());
        }
    }
    (c, magnitude)
}

fn check(isa: Isa, format: Format, m: usize, n: usize, k: usize, workers: usize, seed: u64) {
    let a = Matrix::random(format, m, k, seed).unwrap();
    let b = Matrix::random(format, n, k, seed + 1).unwrap();
    let gemm = Gemm::new(workload::Gemm { m, n, k }, format, isa, &TINY, workers).unwrap();
    let mut lines = vec![Line::ZERO; gemm.layout().bytes() / 64];
    // SAFETY: lines are plain bytes.
    let packed = unsafe {
        std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<u8>(), gemm.layout().bytes())
    };
    gemm.layout().pack(&b, 0..gemm.layout().panels(), packed);
    let mut c = vec![f32::NAN; m * n];
    let (mut scratch, next) = (Scratch::default(), AtomicUsize::new(0));
    for index in 0..workers {
        // SAFETY: C has M x N elements, and there is one thread.
        unsafe { gemm.multiply(index, &next, (&a, packed), c.as_mut_ptr(), &mut scratch) };
    }
    let (expected, magnitude) = expected(&a, &b);
    for (i, (&got, (&want, &magnitude))) in
        c.iter().zip(expected.iter().zip(&magnitude)).enumerate()
    {
        let tolerance = magnitude * 2e-6 + 1e-30;
        assert!(
            (f64::from(got) - want).abs() <= tolerance,
            "{isa} {format} {m}x{n}x{k} on {workers}: C[{}, {}] = {got}, not {want} (+- {tolerance:e}), seed {seed}",
            i / n,
            i % n,
        );
    }
}

#[test]
fn every_path_format_and_odd_shape() {
    let seed = rand::random::<u64>() >> 1;
    println!("seed {seed}");
    let shapes: [(usize, usize, usize); 22] = [
        (1, 1, 1),
        (1, 17, 3),
        (1, 64, 64),
        (1, 67, 129),
        (2, 33, 31),
        (3, 16, 5),
        (4, 48, 96),
        (5, 31, 257),
        (6, 40, 100),
        (7, 13, 37),
        (8, 130, 64),
        (9, 97, 61),
        (13, 79, 523),
        (14, 64, 128),
        (15, 31, 7),
        (16, 48, 300),
        (17, 33, 1031),
        (31, 1, 50),
        (64, 64, 64),
        (101, 103, 107),
        (131, 257, 1543),
        // Several parts a worker.
        (257, 523, 70),
    ];
    for isa in Isa::detected() {
        for format in Format::ALL {
            for (m, n, k) in shapes {
                let k = if format == Format::Mxfp4 { k.next_multiple_of(32) } else { k };
                for workers in [1, 3] {
                    check(isa, format, m, n, k, workers, seed);
                }
            }
        }
    }
}
