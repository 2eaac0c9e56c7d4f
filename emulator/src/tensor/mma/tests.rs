use super::*;
use crate::tensor::ISA;

/// A generator for test data; the seed is in the failing assertion's message through the case's
/// name.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

fn parse(text: &str) -> Mma {
    let qualifiers: Vec<&str> = text.split('.').collect();
    Mma::parse(&qualifiers, &ISA).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Codes that are finite numbers, for each type.
fn code(element: Element, random: &mut Random) -> u64 {
    let x = random.next();
    match element {
        Element::F64 => f64::from((x % 33) as i32 - 16).to_bits(),
        Element::Tf32 => u64::from((((x % 33) as i32 - 16) as f32).to_bits()),
        Element::F16 => {
            Format::F16.encode(((x % 33) as f64) - 16.0, Rounding::Zero, Overflow::Infinity).into()
        }
        Element::Bf16 => {
            Format::BF16.encode(((x % 33) as f64) - 16.0, Rounding::Zero, Overflow::Infinity).into()
        }
        // Keep exponents moderate: no NaN, sums exact in f32.
        Element::E4m3 => x & 0x80 | 0x30 | x & 0xf,
        Element::E5m2 => x & 0x80 | 0x38 | x & 0x7,
        _ => x & ((1 << element.bits()) - 1),
    }
}

/// Fragments built from matrices by the ISA's formulas, the product by plain loops over the
/// matrices.
fn check(text: &str, seed: u64) {
    let mma = parse(text);
    let mut random = Random(seed);
    let (m, k) = (mma.m, mma.k);
    let a: Vec<u64> = (0..m * k).map(|_| code(mma.a, &mut random)).collect();
    let b: Vec<u64> = (0..k * N).map(|_| code(mma.b, &mut random)).collect();
    let c: Vec<i32> = (0..m * N).map(|_| random.next() as i32 % 100 - 50).collect();
    let encode = |kind, x: f64| match kind {
        Accumulator::F16 => Format::F16.encode(x, Rounding::NearestEven, Overflow::Infinity).into(),
        Accumulator::F32 => u64::from((x as f32).to_bits()),
        Accumulator::F64 => x.to_bits(),
        Accumulator::S32 => u64::from(x as i64 as u32),
    };
    let gather = |registers: usize,
                  element: Element,
                  at: &dyn Fn(usize, usize, usize) -> u64|
     -> Vec<Lanes> {
        let bits = element.bits() % 64;
        let word = |lane, r| {
            (0..element.per_register()).fold(0, |word, e| word | at(lane, r, e) << (e * bits))
        };
        (0..registers).map(|r| std::array::from_fn(|lane| word(lane, r))).collect()
    };
    let ra = gather(mma.a_registers(), mma.a, &|lane, r, e| {
        let (row, at) = crate::tensor::fragment::a(lane, r, e, mma.a.per_register());
        a[row * k + at]
    });
    let rb = gather(mma.b_registers(), mma.b, &|lane, r, e| {
        let (at, column) = crate::tensor::fragment::b(lane, r, e, mma.b.per_register());
        b[at * N + column]
    });
    let halves = |kind| if kind == Accumulator::F16 { 2 } else { 1 };
    let accumulators = |kind: Accumulator, value: &dyn Fn(usize, usize) -> f64| -> Vec<Lanes> {
        let registers = m * N / 32 / halves(kind);
        (0..registers)
            .map(|r| {
                std::array::from_fn(|lane| {
                    (0..halves(kind)).fold(0, |word, h| {
                        let (row, column) =
                            crate::tensor::fragment::accumulator(lane, r * halves(kind) + h);
                        word | encode(kind, value(row, column)) << (16 * h)
                    })
                })
            })
            .collect()
    };
    let rc = accumulators(mma.c, &|row, column| c[row * N + column].into());
    let expected = accumulators(mma.d, &|row, column| {
        let product = |i: usize| {
            let (x, y) = (mma.a.value(a[row * k + i]), mma.b.value(b[i * N + column]));
            match mma.bits {
                Some(BitOperation::Xor) => f64::from(x != y),
                _ => x * y,
            }
        };
        (0..k).map(product).sum::<f64>() + f64::from(c[row * N + column])
    });
    let mut got = vec![[0xdead_beefu64; 32]; mma.d_registers()];
    mma.apply(&ra, &rb, &rc, None, &mut got).expect("valid operands");
    assert!(got == expected, "{text}, seed {seed}");
}

#[test]
fn products_equal_plain_loops() {
    let mut shapes: Vec<String> = Vec::new();
    for (shape, types) in [
        ("m16n8k8", "f16.f16.f16.f16"),
        ("m16n8k8", "f32.f16.f16.f32"),
        ("m16n8k16", "f16.f16.f16.f16"),
        ("m16n8k16", "f32.f16.f16.f32"),
        ("m16n8k16", "f32.f16.f16.f16"),
        ("m16n8k8", "f32.bf16.bf16.f32"),
        ("m16n8k16", "f32.bf16.bf16.f32"),
        ("m16n8k4", "f32.tf32.tf32.f32"),
        ("m16n8k8", "f32.tf32.tf32.f32"),
        ("m8n8k4", "f64.f64.f64.f64"),
        ("m16n8k4", "f64.f64.f64.f64"),
        ("m16n8k8", "f64.f64.f64.f64"),
        ("m16n8k16", "f64.f64.f64.f64"),
        ("m16n8k16", "f32.e4m3.e5m2.f32"),
        ("m16n8k32", "f32.e4m3.e4m3.f32"),
        ("m16n8k32", "f32.e5m2.e4m3.f32"),
        ("m16n8k32", "f16.e5m2.e5m2.f16"),
        ("m8n8k16", "s32.s8.u8.s32"),
        ("m16n8k16", "s32.u8.s8.s32"),
        ("m16n8k32", "satfinite.s32.s8.s8.s32"),
        ("m8n8k32", "s32.s4.u4.s32"),
        ("m16n8k32", "s32.u4.s4.s32"),
        ("m16n8k64", "s32.u4.u4.s32"),
        ("m8n8k128", "s32.b1.b1.s32.xor.popc"),
        ("m16n8k128", "s32.b1.b1.s32.and.popc"),
        ("m16n8k256", "s32.b1.b1.s32.xor.popc"),
        ("m16n8k32", "kind::f8f6f4.f32.e3m2.e2m3.f32"),
        ("m16n8k32", "kind::f8f6f4.f32.e2m1.e4m3.f32"),
        ("m16n8k32", "kind::f8f6f4.f16.e2m1.e2m1.f16"),
    ] {
        shapes.push(format!("sync.aligned.{shape}.row.col.{types}"));
    }
    shapes.push("sync.aligned.kind::f8f6f4.m16n8k32.row.col.f32.e2m3.e3m2.f32".into());
    for text in shapes {
        (1..4).for_each(|seed| check(&text, seed));
    }
}

/// A one-hot A and a B whose every row differs: a permutation of k applied to both would change
/// nothing in [`check`], here it does, because the expected values come from the ISA's formulas by
/// hand.
#[test]
fn one_hot_k_reads_the_row_of_b_the_isa_names() {
    // bf16 m16n8k16: a4 of lane 9 (g = 2, t = 1) is row 2, k = 2 * 1 + 0 + 8 = 10.
    let mma = parse("sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");
    let mut a = vec![[0u64; 32]; 4];
    a[2][9] = 0x3f80;
    // b2 of lane 4n + 1 is k = 2 * 1 + 8 = 10 of column n: give it n + 1; every other k gets 64.
    let mut b = vec![[0x4280_4280u64; 32]; 2];
    for n in 0..8 {
        b[1][4 * n + 1] = 0x4280_0000
            | u64::from(Format::BF16.encode(n as f64 + 1.0, Rounding::Zero, Overflow::Infinity));
    }
    let mut d = vec![[0; 32]; 4];
    mma.apply(&a, &b, &[[0; 32]; 4], None, &mut d).expect("valid");
    for lane in 0..32 {
        for (i, register) in d.iter().enumerate() {
            let (row, column) = (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2);
            let want = if row == 2 { column as f32 + 1.0 } else { 0.0 };
            assert_eq!(f32::from_bits(register[lane] as u32), want, "lane {lane} d{i}");
        }
    }
    // e2m1 m16n8k64: a17 of lane 5 (g = 1, t = 1) is row 1, k = 8 + 1 + 32 = 41: the second nibble
    // of register 2.
    let mma = parse("sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.f32.e2m1.e2m1.f32.ue8m0");
    let (mut a, mut b) = (vec![[0u64; 32]; 4], vec![[0u64; 32]; 2]);
    a[2][5] = 0x20;
    b[1][4 * 3 + 1] = 0x0000_0070; // b9 of lane 13: k = 41, column 3, value 6
    let one = [0x7f7f_7f7f; 32];
    let operand = ScaleOperand { data: &one, byte_id: 0, thread_id: 0 };
    mma.apply(&a, &b, &[[0; 32]; 4], Some(Scales { a: operand, b: operand }), &mut d)
        .expect("valid");
    // Row 1, column 3: lane 4 * 1 + 3 / 2, element 1.
    assert_eq!(f32::from_bits(d[1][5] as u32), 6.0);
    assert_eq!(d.iter().flatten().filter(|&&x| x != 0).count(), 1);
}

/// Every selector of every kind, one scale at a time: ones everywhere, so D is a sum of k ones, and
/// the one scale that differs shows in exactly its row or column.
#[test]
fn each_scale_reaches_its_row_or_column_and_block() {
    for (text, vec, k, one, two) in [
        (
            "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0",
            1u16,
            32,
            0x7fu64,
            0x80u64,
        ),
        (
            "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0",
            2,
            64,
            0x7f,
            0x80,
        ),
        (
            "m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0",
            2,
            64,
            0x7f,
            0x80,
        ),
        (
            "m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3",
            4,
            64,
            0x38,
            0x40,
        ),
        (
            "m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue8m0",
            4,
            64,
            0x7f,
            0x80,
        ),
    ] {
        let mma = parse(&format!("sync.aligned.{text}"));
        let ones = if mma.a == Element::E2m1 { 0x2222_2222u64 } else { 0x3838_3838 };
        let (a, b, c) = (vec![[ones; 32]; 4], vec![[ones; 32]; 2], vec![[0u64; 32]; 4]);
        let block = k / vec as usize;
        let all = one * 0x0101_0101;
        for byte_id in (0..4).step_by(vec as usize) {
            for (lane, byte) in (0..32).flat_map(|lane| (0..4usize).map(move |byte| (lane, byte))) {
                let mut special = [all; 32];
                special[lane] = all & !(0xff << (8 * byte)) | two << (8 * byte);
                let plain = [all; 32];
                let selected = (usize::from(byte_id)..usize::from(byte_id + vec)).contains(&byte);
                for thread_id in 0..4u16 {
                    let run = |scales: Scales| {
                        let mut d = vec![[0; 32]; 4];
                        mma.apply(&a, &b, &c, Some(scales), &mut d).expect("valid selectors");
                        d
                    };
                    let other = ScaleOperand { data: &plain, byte_id: 0, thread_id: 0 };
                    let this = ScaleOperand { data: &special, byte_id, thread_id };
                    let expect = |d: Vec<Lanes>, hit: &dyn Fn(usize, usize) -> bool| {
                        for l in 0..32 {
                            for (i, register) in d.iter().enumerate() {
                                let (row, column) = (l / 4 + 8 * (i / 2), 2 * (l % 4) + i % 2);
                                let want = k + if hit(row, column) { block } else { 0 };
                                assert_eq!(
                                    f32::from_bits(register[l] as u32),
                                    want as f32,
                                    "{text} byte {byte_id} thread {thread_id}"
                                );
                            }
                        }
                    };
                    // ISA: lanes whose number modulo 4 is the thread id provide B's scales, column
                    // lane / 4.
                    let b_hit = selected && lane % 4 == usize::from(thread_id);
                    expect(run(Scales { a: other, b: this }), &|_, column| {
                        b_hit && column == lane / 4
                    });
                    if thread_id < 2 {
                        // The pair 2 * thread id, 2 * thread id + 1 of each quad provides rows quad
                        // and quad + 8.
                        let a_hit = selected && lane % 4 / 2 == usize::from(thread_id);
                        expect(run(Scales { a: this, b: other }), &|row, _| {
                            a_hit && row == lane / 4 + 8 * (lane % 2)
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn selectors_outside_table_37_are_refused() {
    let mma = parse("sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.f32.e2m1.e2m1.f32.ue8m0");
    let data = [0x7f7f_7f7f; 32];
    let run = |byte_id, thread_a, thread_b| {
        let a = ScaleOperand { data: &data, byte_id, thread_id: thread_a };
        let b = ScaleOperand { data: &data, byte_id: 0, thread_id: thread_b };
        mma.apply(
            &[[0; 32]; 4],
            &[[0; 32]; 2],
            &[[0; 32]; 4],
            Some(Scales { a, b }),
            &mut [[0; 32]; 4],
        )
    };
    assert!(run(2, 1, 3).is_ok());
    assert!(run(1, 0, 0).is_err());
    assert!(run(0, 2, 0).is_err());
    assert!(run(0, 0, 4).is_err());
}

#[test]
fn integers_wrap_or_saturate() {
    for (text, want) in [("s32", i32::MIN + 126), ("satfinite.s32", i32::MAX)] {
        let mma = parse(&format!("sync.aligned.m16n8k32.row.col.{text}.s8.s8.s32"));
        let (mut a, mut b) = (vec![[0; 32]; 4], vec![[0; 32]; 2]);
        a[0][0] = 1;
        b[0][0] = 127;
        let mut d = vec![[0; 32]; 4];
        mma.apply(&a, &b, &[[i32::MAX as u64; 32]; 4], None, &mut d).expect("valid");
        assert_eq!(d[0][0] as u32 as i32, want);
    }
}

#[test]
fn one_rounding_to_f32() {
    // 2^24 + 1 - 2^24 through f32 accumulation would lose the one.
    let mma = parse("sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32");
    let (mut a, mut b) = (vec![[0u64; 32]; 4], vec![[0u64; 32]; 2]);
    let f = |x: f32| u64::from(x.to_bits());
    (a[0][0], b[0][0]) = (f(4096.0), f(4096.0));
    (a[0][1], b[0][1]) = (f(1.0), f(1.0));
    (a[0][2], b[0][2]) = (f(-4096.0), f(4096.0));
    let mut d = vec![[0; 32]; 4];
    mma.apply(&a, &b, &[[0; 32]; 4], None, &mut d).expect("valid");
    assert_eq!(f32::from_bits(d[0][0] as u32), 1.0);
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "m16n8k16.row.col.f32.bf16.f16.f32",
        "m16n8k16.row.row.f32.bf16.bf16.f32",
        "m16n8k32.row.col.f32.bf16.bf16.f32",
        "m16n8k16.row.col.f16.bf16.bf16.f16",
        "m16n8k32.row.col.f32.e3m2.e2m3.f32",
        "m16n8k32.row.col.kind::mxf8f6f4.f32.e4m3.e4m3.f32",
        "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::2X.f32.e4m3.e4m3.f32.ue8m0",
        "m16n8k64.row.col.kind::mxf4nvf4.block_scale.f32.e2m1.e2m1.f32.ue8m0",
        "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3",
        "m16n8k16.row.col.satfinite.f32.f16.f16.f32",
        "m16n8k128.row.col.s32.b1.b1.s32.xor",
        "m16n8k16.row.col.sparse.f32.f16.f16.f32",
        "m16n8k16.row.col.rz.f32.f16.f16.f32",
        "m32n8k16.row.col.f32.f16.f16.f32",
    ] {
        let qualifiers: Vec<&str> =
            ["sync", "aligned"].into_iter().chain(text.split('.')).collect();
        assert!(Mma::parse(&qualifiers, &ISA).is_err(), "{text}");
    }
    assert!(Mma::parse(&["m16n8k16", "row", "col", "f32", "f16", "f16", "f32"], &ISA).is_err());
}
