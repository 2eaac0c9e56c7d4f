use super::*;
use crate::convert::{Format, Overflow, Rounding};
use crate::tensor::ISA;
use crate::tensor::descriptor::Major;
use crate::tensor::instruction::Instruction;
use crate::tensor::mma::Accumulator;
use crate::tensor::scale::ScaleType;
use crate::tensor::swizzle::Swizzle;
use crate::tensor::testing::{code, place_matrix, random};

/// ISA Table 40, written out.
fn descriptor(matrix: SharedMatrix) -> u64 {
    let mode = match matrix.swizzle {
        Swizzle::B128Atom32 => 1u64,
        Swizzle::B128 => 2,
        Swizzle::B64 => 4,
        Swizzle::B32 => 6,
        _ => 0,
    };
    let field = |bytes: u32| u64::from(bytes >> 4);
    field(matrix.start)
        | field(matrix.leading) << 16
        | field(matrix.stride) << 32
        | 1 << 46
        | mode << 61
}

#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    text: &'static str,
    m: usize,
    n: usize,
    /// Type fields of A, B and D.
    types: [u32; 3],
    swizzle: [Swizzle; 2],
    major: [Major; 2],
    negate: [bool; 2],
    /// Lane of D.
    lane: u32,
    /// A in Tensor Memory.
    tensor_a: bool,
    /// Ids of the scales of A and B.
    ids: [u32; 2],
    ue8m0: bool,
    accumulate: bool,
}

const PLAIN: Case = Case {
    kind: Kind::F16,
    text: "mma.cta_group::1.kind::f16",
    m: 128,
    n: 64,
    types: [1, 1, 1],
    swizzle: [Swizzle::B128; 2],
    major: [Major::K; 2],
    negate: [false; 2],
    lane: 0,
    tensor_a: false,
    ids: [0; 2],
    ue8m0: true,
    accumulate: true,
};

impl Case {
    fn ctas(&self) -> usize {
        if self.text.contains("cta_group::2") { 2 } else { 1 }
    }

    /// Tables 42 to 44, written out.
    fn instruction(&self) -> u32 {
        let [a, b, d] = self.types;
        let flag = |set: bool, at: u32| u32::from(set) << at;
        let common = a << 7
            | b << 10
            | flag(self.negate[0], 13)
            | flag(self.negate[1], 14)
            | flag(self.major[0] == Major::Mn, 15)
            | flag(self.major[1] == Major::Mn, 16)
            | (self.n as u32 / 8) << 17;
        if self.kind.is_scaled() {
            common
                | self.ids[1] << 4
                | flag(self.ue8m0, 23)
                | (self.m as u32 / 128) << 27
                | self.ids[0] << 29
        } else {
            common | d << 4 | (self.m as u32 / 16) << 24
        }
    }
}

/// Columns of D, A, scales of A and of B in Tensor Memory.
const D: u32 = 0;
const A: u32 = 256;
const SCALE_A: u32 = 320;
const SCALE_B: u32 = 336;

fn check(case: Case) {
    let mma = TensorMma::parse(&case.text.split('.').collect::<Vec<_>>(), &ISA)
        .unwrap_or_else(|e| panic!("{}: {e}", case.text));
    let (m, n, k, ctas) = (case.m, case.n, case.kind.k(), case.ctas());
    let instruction = Instruction::decode(case.instruction(), case.kind, ctas, &ISA.instruction)
        .expect("valid descriptor");
    let seed = &mut 42u64;
    let a: Vec<u64> = (0..m * k).map(|_| code(instruction.a, seed)).collect();
    let b: Vec<u64> = (0..n * k).map(|_| code(instruction.b, seed)).collect();
    let (mut shared, mut memories) = (Vec::new(), Vec::new());
    let (rows, columns) = (m / ctas, n / ctas);
    let (mut a_descriptor, mut b_descriptor) = (0, 0);
    for cta in 0..ctas {
        let mut bytes = vec![0u8; 192 * 1024];
        let part = &a[cta * rows * k..][..rows * k];
        a_descriptor = descriptor(place_matrix(
            &mut bytes,
            1024,
            part,
            k,
            instruction.a,
            case.swizzle[0],
            case.major[0],
        ));
        let part = &b[cta * columns * k..][..columns * k];
        b_descriptor = descriptor(place_matrix(
            &mut bytes,
            96 * 1024,
            part,
            k,
            instruction.b,
            case.swizzle[1],
            case.major[1],
        ));
        shared.push(bytes);
        let mut memory = TensorMemory::default();
        memory.allocate(512).expect("a valid size").expect("free");
        memories.push(memory);
    }
    // Where ISA 9.7.16.10.5 puts (row, column) of D: CTA, lane, column.
    let place = |row: usize, column: usize| -> (usize, u32, u32) {
        let (cta, r) = (row / rows, row % rows);
        let (lane, column) = match (m, ctas) {
            (64, 1) => (case.lane as usize + r % 16 + 32 * (r / 16), column),
            (128, 2) => (r + 64 * (column / (n / 2)), column % (n / 2)),
            _ => (r, column),
        };
        (cta, lane as u32, D + column as u32)
    };
    let start = |row: usize, column: usize| ((row * 5 + column * 3) % 13) as f64 - 6.0;
    let encode = |x: f64| match instruction.d {
        Accumulator::S32 => x as i32 as u32,
        Accumulator::F16 => Format::F16.encode(x, Rounding::NearestEven, Overflow::Infinity),
        _ => (x as f32).to_bits(),
    };
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let (cta, lane, at) = place(row, column);
        memories[cta].write(lane, at, encode(start(row, column)));
    }
    if case.tensor_a {
        let per_word = 32 / instruction.a.bits();
        for (row, at) in (0..m).flat_map(|row| (0..k).map(move |at| (row, at))) {
            let (cta, lane, _) = place(row, 0);
            let column = A + (at / per_word) as u32;
            let word = if at % per_word == 0 { 0 } else { memories[cta].read(lane, column) };
            memories[cta].write(
                lane,
                column,
                word | (a[row * k + at] as u32) << (at % per_word * instruction.a.bits()),
            );
        }
    }
    // Scales: random bytes everywhere, replicated in the four partitions, then read back by index.
    let scale_code = |seed: &mut u64| {
        if case.ue8m0 { 124 + random(seed) % 7 } else { 0x28 + random(seed) % 0x20 }
    };
    let mut scales = [vec![[0u8; 4]; m], vec![[0u8; 4]; n]];
    for (which, base) in [(0, SCALE_A), (1, SCALE_B)] {
        for index in 0..scales[which].len() {
            let bytes: [u8; 4] = std::array::from_fn(|_| scale_code(seed) as u8);
            scales[which][index] = bytes;
            // Rows of A are counted in their CTA; columns of B in layout B within the half that the
            // partition holds.
            let split_b = which == 1 && (m, ctas) == (128, 2);
            for (cta, memory) in memories.iter_mut().enumerate() {
                for partition in 0..4u32 {
                    let local = match which {
                        0 if index / rows != cta => continue,
                        0 => index % rows,
                        _ if split_b && index / (n / 2) != partition as usize / 2 => continue,
                        _ if split_b => index % (n / 2),
                        _ => index,
                    } as u32;
                    memory.write(
                        32 * partition + local % 32,
                        base + local / 32,
                        u32::from_le_bytes(bytes),
                    );
                }
            }
        }
    }
    let operands = Operands {
        d: case.lane << 16 | D,
        a: if case.tensor_a {
            OperandA::Tensor(case.lane << 16 | A)
        } else {
            OperandA::Shared(a_descriptor)
        },
        b: b_descriptor,
        instruction: case.instruction(),
        scales: case.kind.is_scaled().then_some([SCALE_A, SCALE_B]),
        disabled_lanes: [0; 8],
        accumulate: case.accumulate,
        scale_input_d: 0,
    };
    let mut borrowed: Vec<&mut TensorMemory> = memories.iter_mut().collect();
    let read = |cta: usize, address: u32| {
        let at = address as usize;
        Ok::<[u8; 16], ()>(shared[cta][at..at + 16].try_into().expect("16 bytes"))
    };
    mma.apply(&mut borrowed, &operands, read).unwrap_or_else(|e| panic!("{}: {e:?}", case.text));
    let kind = if case.ue8m0 { ScaleType::Ue8m0 } else { ScaleType::Ue4m3 };
    let sign = if case.negate[0] != case.negate[1] { -1.0 } else { 1.0 };
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let product = |i: usize| {
            let plain =
                instruction.a.value(a[row * k + i]) * instruction.b.value(b[column * k + i]);
            if mma.vec == 0 {
                return plain;
            }
            let block = i * mma.vec / k;
            let factor = |which: usize, index: usize| {
                kind.value(scales[which][index][case.ids[which] as usize + block])
            };
            plain * factor(0, row) * factor(1, column)
        };
        let sum: f64 = (0..k).map(product).sum();
        let expected = encode(sign * sum + if case.accumulate { start(row, column) } else { 0.0 });
        let (cta, lane, at) = place(row, column);
        assert_eq!(borrowed[cta].read(lane, at), expected, "{} ({row}, {column})", case.text);
    }
}

const SWIZZLES: [Swizzle; 4] = [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128];

#[test]
fn kind_f16_in_every_layout() {
    for swizzle in SWIZZLES {
        for major in [[Major::K; 2], [Major::Mn, Major::K], [Major::K, Major::Mn], [Major::Mn; 2]] {
            check(Case { swizzle: [swizzle, swizzle], major, ..PLAIN });
        }
    }
    check(Case { types: [0, 0, 0], n: 256, ..PLAIN });
    check(Case { types: [0, 0, 1], negate: [true, false], accumulate: false, ..PLAIN });
    check(Case { m: 64, n: 8, ..PLAIN });
    check(Case { m: 64, lane: 16, ..PLAIN });
    check(Case { tensor_a: true, ..PLAIN });
    check(Case { tensor_a: true, m: 64, lane: 16, ..PLAIN });
}

#[test]
fn the_other_kinds() {
    let tf32 =
        Case { kind: Kind::Tf32, text: "mma.cta_group::1.kind::tf32", types: [2, 2, 1], ..PLAIN };
    check(tf32);
    check(Case { swizzle: [Swizzle::B128Atom32; 2], major: [Major::Mn; 2], ..tf32 });
    let i8 = Case { kind: Kind::I8, text: "mma.cta_group::1.kind::i8", types: [0, 1, 2], ..PLAIN };
    check(i8);
    check(Case { types: [1, 1, 2], tensor_a: true, n: 24, ..i8 });
    let f8f6f4 = Case { kind: Kind::F8f6f4, text: "mma.cta_group::1.kind::f8f6f4", ..PLAIN };
    for a in [0, 1, 3, 4, 5] {
        for b in [0, 1, 3, 4, 5] {
            check(Case { types: [a, b, 1], ..f8f6f4 });
        }
        check(Case {
            types: [a, 0, 0],
            tensor_a: true,
            swizzle: [Swizzle::None, Swizzle::B64],
            ..f8f6f4
        });
    }
}

#[test]
fn block_scales_with_every_id() {
    let mxf8 = Case {
        kind: Kind::Mxf8f6f4,
        text: "mma.cta_group::1.kind::mxf8f6f4.block_scale.block32",
        types: [0, 5, 1],
        ..PLAIN
    };
    for id in 0..4 {
        check(Case { ids: [id, 3 - id], n: 256, ..mxf8 });
    }
    let mxf4 = Case {
        kind: Kind::Mxf4,
        text: "mma.cta_group::1.kind::mxf4.block_scale",
        types: [1, 1, 1],
        ..PLAIN
    };
    for ids in [[0, 0], [0, 2], [2, 0], [2, 2]] {
        check(Case { ids, n: 136, ..mxf4 });
        check(Case { ids, tensor_a: true, ..mxf4 });
    }
    let nvf4 = Case { kind: Kind::Mxf4nvf4, ..mxf4 };
    check(Case {
        text: "mma.cta_group::1.kind::mxf4nvf4.block_scale.scale_vec::2X",
        ids: [2, 0],
        ..nvf4
    });
    check(Case {
        text: "mma.cta_group::1.kind::mxf4nvf4.block_scale.scale_vec::4X",
        ue8m0: false,
        ..nvf4
    });
    check(Case { text: "mma.cta_group::1.kind::mxf4nvf4.block_scale.block16", ..nvf4 });
}

#[test]
fn pairs_of_ctas() {
    for m in [128, 256] {
        check(Case { text: "mma.cta_group::2.kind::f16", m, n: 96, ..PLAIN });
        let text = "mma.cta_group::2.kind::mxf8f6f4.block_scale.scale_vec::1X";
        check(Case {
            kind: Kind::Mxf8f6f4,
            text,
            m,
            n: 128,
            types: [1, 4, 1],
            ids: [1, 2],
            ..PLAIN
        });
    }
}

#[test]
fn lanes_can_be_disabled_and_the_accumulator_scaled() {
    let mma = TensorMma::parse(&["mma", "cta_group::1", "kind::f16"], &ISA).expect("valid");
    let mut memory = TensorMemory::default();
    memory.allocate(32).expect("a valid size").expect("free");
    (0..128).for_each(|lane| memory.write(lane, 0, 8f32.to_bits()));
    let zero = descriptor(SharedMatrix {
        start: 0,
        leading: 16,
        stride: 1024,
        base: 0,
        swizzle: Swizzle::B128,
    });
    let operands = Operands {
        d: 0,
        a: OperandA::Shared(zero),
        b: zero,
        instruction: Case { n: 8, ..PLAIN }.instruction(),
        scales: None,
        disabled_lanes: [1 << 5, 0, 0, 0, 0, 0, 0, 0],
        accumulate: true,
        scale_input_d: 2,
    };
    let read = |_, _| Ok::<_, ()>([0u8; 16]);
    mma.apply(&mut [&mut memory], &operands, read).expect("valid");
    assert_eq!([memory.read(4, 0), memory.read(5, 0)].map(f32::from_bits), [2.0, 8.0]);
    let refused = |operands: Operands, memory: &mut TensorMemory| {
        matches!(mma.apply(&mut [memory], &operands, read), Err(Failure::Operand(_)))
    };
    assert!(refused(Operands { d: 16 << 16, ..operands }, &mut memory), "128 rows start at lane 0");
    assert!(
        refused(Operands { d: 28, ..operands }, &mut memory),
        "columns 28 to 36 are not allocated"
    );
    assert!(refused(Operands { scales: Some([0, 0]), ..operands }, &mut memory));
    assert!(refused(Operands { b: 0, ..operands }, &mut memory), "descriptor without its constant");
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "mma.kind::f16",
        "mma.cta_group::1.kind::f16.block_scale",
        "mma.cta_group::1.kind::mxf4",
        "mma.cta_group::1.kind::mxf4nvf4.block_scale",
        "mma.cta_group::1.kind::mxf8f6f4.block_scale.scale_vec::2X",
        "mma.cta_group::1.kind::f16.ashift",
        "mma.ws.cta_group::1.kind::f16",
        "mma.cta_group::1.kind::f32",
    ] {
        assert!(TensorMma::parse(&text.split('.').collect::<Vec<_>>(), &ISA).is_err(), "{text}");
    }
    assert!(
        TensorMma::parse(&["mma", "cta_group::1", "kind::f16", "collector::a::lastuse"], &ISA)
            .is_ok()
    );
}
