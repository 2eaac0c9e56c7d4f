use super::*;
use crate::tensor::ISA;
use crate::tensor::swizzle::Swizzle;
use crate::tensor::testing::{code, place_matrix};

const BASE: u32 = 1024;

/// ISA 9.7.15.5.1.2.2, written out.
fn wgmma_descriptor(matrix: SharedMatrix) -> u64 {
    let mode = match matrix.swizzle {
        Swizzle::B128 => 1u64,
        Swizzle::B64 => 2,
        Swizzle::B32 => 3,
        _ => 0,
    };
    let field = |bytes: u32| u64::from(bytes >> 4);
    field(matrix.start) | field(matrix.leading) << 16 | field(matrix.stride) << 32 | mode << 62
}

struct Case<'a> {
    text: &'a str,
    swizzle: [Swizzle; 2],
    transpose: [bool; 2],
    registers: bool,
    negate: [bool; 2],
    accumulate: bool,
}

fn check(case: &Case, seed: u64) {
    let qualifiers: Vec<&str> = case.text.split('.').collect();
    let wgmma = Wgmma::parse(&qualifiers, &ISA).unwrap_or_else(|e| panic!("{}: {e}", case.text));
    let (n, k) = (wgmma.n, wgmma.k);
    let mut state = seed;
    let a: Vec<u64> = (0..64 * k).map(|_| code(wgmma.a, &mut state)).collect();
    let b: Vec<u64> = (0..n * k).map(|_| code(wgmma.b, &mut state)).collect();
    let mut memory = vec![0u8; 192 * 1024];
    let a_descriptor = wgmma_descriptor(place_matrix(
        &mut memory,
        BASE,
        &a,
        k,
        wgmma.a,
        case.swizzle[0],
        major(case.transpose[0]),
    ));
    let b_major = major(case.transpose[1]);
    let b_matrix = place_matrix(&mut memory, 96 * 1024, &b, k, wgmma.b, case.swizzle[1], b_major);
    let b_descriptor = wgmma_descriptor(b_matrix);
    let options = Options {
        accumulate: case.accumulate,
        negate_a: case.negate[0],
        negate_b: case.negate[1],
        transpose_a: case.transpose[0],
        transpose_b: case.transpose[1],
    };
    let read = |address: u32| {
        let at = address as usize;
        assert!(at.is_multiple_of(16));
        Ok::<[u8; 16], ()>(memory[at..at + 16].try_into().expect("16 bytes"))
    };
    for warp in 0..4 {
        let per_register = wgmma.a.per_register();
        let fragment: Vec<Lanes> = (0..4)
            .map(|r| {
                std::array::from_fn(|lane| {
                    (0..per_register).fold(0, |word, e| {
                        let (row, at) = crate::tensor::fragment::a(lane, r, e, per_register);
                        word | a[(16 * warp + row) * k + at] << (e * wgmma.a.bits())
                    })
                })
            })
            .collect();
        let operand = if case.registers {
            OperandA::Registers(&fragment)
        } else {
            OperandA::Descriptor(a_descriptor)
        };
        let start = |row: usize, column: usize| ((row * 3 + column) % 11) as f64;
        let value = |lane: usize, register: usize, half: usize| {
            // ISA Figure 149: row 16 warp + lane / 4 (+ 8 for d2, d3 of each four), column 8 (i /
            // 4) + 2 (lane % 4) + i % 2.
            let i = if wgmma.d == Accumulator::F16 { 2 * register + half } else { register };
            (16 * warp + lane / 4 + 8 * (i / 2 % 2), 8 * (i / 4) + 2 * (lane % 4) + i % 2)
        };
        let image = |number: &dyn Fn(usize, usize) -> f64| -> Vec<Lanes> {
            (0..wgmma.d_registers())
                .map(|register| {
                    std::array::from_fn(|lane| {
                        let at = |half| {
                            let (row, column) = value(lane, register, half);
                            number(row, column)
                        };
                        match wgmma.d {
                            Accumulator::S32 => u64::from(at(0) as i32 as u32),
                            Accumulator::F32 => u64::from((at(0) as f32).to_bits()),
                            _ => [at(1), at(0)].iter().fold(0, |word, &x| {
                                word << 16
                                    | u64::from(Format::F16.encode(
                                        x,
                                        Rounding::NearestEven,
                                        Overflow::Infinity,
                                    ))
                            }),
                        }
                    })
                })
                .collect()
        };
        let mut d = image(&start);
        wgmma.apply(warp, operand, b_descriptor, options, &mut d, read).expect("valid operands");
        let sign = if case.negate[0] != case.negate[1] { -1.0 } else { 1.0 };
        let expected = image(&|row, column| {
            let product = |i| wgmma.a.value(a[row * k + i]) * wgmma.b.value(b[column * k + i]);
            let sum: f64 = (0..k).map(product).sum();
            sign * sum + if case.accumulate { start(row, column) } else { 0.0 }
        });
        assert!(
            d == expected,
            "{} {:?} {:?} warp {warp} seed {seed}",
            case.text,
            case.swizzle,
            case.transpose
        );
    }
}

const PLAIN: Case = Case {
    text: "",
    swizzle: [Swizzle::B128, Swizzle::B128],
    transpose: [false, false],
    registers: false,
    negate: [false, false],
    accumulate: true,
};

#[test]
fn every_type_from_k_major_shared_memory_with_every_swizzle() {
    for text in [
        "m64n8k16.f32.f16.f16",
        "m64n24k16.f16.f16.f16",
        "m64n128k16.f32.bf16.bf16",
        "m64n16k8.f32.tf32.tf32",
        "m64n40k32.f32.e4m3.e5m2",
        "m64n16k32.f16.e5m2.e5m2",
        "m64n48k32.s32.s8.u8",
        "m64n32k32.satfinite.s32.u8.s8",
        "m64n16k256.s32.b1.b1.and.popc",
    ] {
        for a in [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128] {
            for b in [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128] {
                let text = format!("mma_async.sync.aligned.{text}");
                check(&Case { text: &text, swizzle: [a, b], ..PLAIN }, 7);
            }
        }
    }
}

#[test]
fn transposed_operands_with_every_swizzle() {
    for text in [
        "mma_async.sync.aligned.m64n128k16.f32.bf16.bf16",
        "mma_async.sync.aligned.m64n256k16.f16.f16.f16",
    ] {
        for swizzle in [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128] {
            for transpose in [[true, false], [false, true], [true, true]] {
                check(&Case { text, swizzle: [swizzle, swizzle], transpose, ..PLAIN }, 11);
            }
        }
    }
}

#[test]
fn registers_negation_and_scale_d() {
    for text in [
        "m64n64k16.f32.bf16.bf16",
        "m64n64k32.f32.e4m3.e4m3",
        "m64n16k8.f32.tf32.tf32",
        "m64n16k32.s32.s8.s8",
    ] {
        let text = format!("mma_async.sync.aligned.{text}");
        check(&Case { text: &text, registers: true, ..PLAIN }, 3);
        check(&Case { text: &text, registers: true, accumulate: false, ..PLAIN }, 4);
    }
    for negate in [[true, false], [false, true], [true, true]] {
        check(&Case { text: "mma_async.sync.aligned.m64n8k16.f32.f16.f16", negate, ..PLAIN }, 5);
    }
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "m64n12k16.f32.f16.f16",
        "m64n264k16.f32.f16.f16",
        "m64n8k32.f32.f16.f16",
        "m64n8k16.f16.bf16.bf16",
        "m64n40k32.s32.s8.s8",
        "m64n8k16.satfinite.f32.f16.f16",
        "m64n8k256.s32.b1.b1.xor.popc",
        "m64n8k16.f32.f16.f16.and",
        "m16n8k16.f32.f16.f16",
    ] {
        let qualifiers: Vec<&str> =
            ["mma_async", "sync", "aligned"].into_iter().chain(text.split('.')).collect();
        assert!(Wgmma::parse(&qualifiers, &ISA).is_err(), "{text}");
    }
}
