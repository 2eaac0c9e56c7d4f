//! Untrusted operands of the tensor instructions: any qualifiers, descriptors, tensor maps and
//! register bits give a result or an error, never a panic.

use emulator::convert::approx::Approx;
use emulator::convert::cvt::Cvt;
use emulator::convert::packed::Packed;
use emulator::tensor::ISA;
use emulator::tensor::descriptor::{Major, SharedMatrix};
use emulator::tensor::matrix::Matrix;
use emulator::tensor::mma::Mma;
use emulator::tensor::tcgen05::{OperandA, Operands, TensorMma};
use emulator::tensor::tensor_copy::TensorCopy as SharedCopy;
use emulator::tensor::tensor_map::TensorMap;
use emulator::tensor::tma::{Direction, Mode, TensorCopy};
use emulator::tensor::tmem::{TensorMemory, Transfer};
use emulator::tensor::wgmma::{self, Wgmma};
use proptest::prelude::*;

/// Words that instructions know, so that random lists get past the first check.
const WORDS: &str = "sync aligned m16n8k16 m16n8k32 m16n8k64 m8n8k4 m64n8k16 m64n256k32 m8n8 m16n16 \
    m8n16 m16n8 row col f32 f16 bf16 tf32 f64 e4m3 e5m2 e2m3 e3m2 e2m1 s8 u8 s4 u4 b1 s32 ue8m0 ue4m3 \
    kind::f16 kind::tf32 kind::i8 kind::f8f6f4 kind::mxf8f6f4 kind::mxf4 kind::mxf4nvf4 block_scale \
    scale_vec::1X scale_vec::2X scale_vec::4X block16 block32 satfinite and xor popc x1 x2 x4 x128 \
    trans shared b16 b8 b32 b8x16 b6x16_p32 b4x16_p64 ld st cp mma mma_async cta_group::1 cta_group::2 \
    32x32b 16x256b 16x32bx2 128x256b 32x128b warpx4 pack::16b rn rz rm rp rna rs rni rzi ftz sat relu \
    f16x2 bf16x2 f32x2 e4m3x2 e2m1x2 ue8m0x2 u64 s64 u16 approx full NaN xorsign abs oob m k";

/// Type fields of a valid instruction descriptor of each kind.
const TYPES: [u32; 7] = [0x490, 0x910, 0x10, 0x20, 1 << 23, 0x480 | 1 << 23, 0x480 | 1 << 23];

fn words() -> impl Strategy<Value = Vec<&'static str>> {
    let known: Vec<&'static str> = WORDS.split_whitespace().collect();
    prop::collection::vec(prop::sample::select(known), 0..10)
}

fn tensor_map() -> impl Strategy<Value = [u8; 128]> {
    // Small fields keep most maps inside the limits, and arbitrary bytes the rest honest.
    let sane = (0u32..16, 1u64..6, 1u32..5, 1u32..40, 0u32..7).prop_map(
        |(kind, rank, dim, size, swizzle)| {
            use emulator::tensor::tensor_map::{DataType, swizzle_from_number};
            let dims = vec![u64::from(dim) * 64; rank as usize];
            let mut boxes = vec![size % 5 + 1; rank as usize];
            boxes[0] = size * 4;
            let kind = DataType::new(kind).expect("below 16");
            let mut map = TensorMap::dense(kind, 0x1000, &dims, &boxes);
            map.swizzle = swizzle_from_number(swizzle).expect("below 7");
            map.encode()
        },
    );
    prop_oneof![
        sane,
        any::<[u8; 128]>(),
        (any::<[u8; 120]>()).prop_map(|tail| {
            let mut bytes = [0; 128];
            bytes[..8].copy_from_slice(b"hdynTMA1");
            bytes[8..].copy_from_slice(&tail);
            bytes
        })
    ]
}

proptest! {
    #[test]
    fn any_qualifiers(list in words(), mnemonic in prop::sample::select(vec!["add", "fma", "max", "ex2", "div"])) {
        let _ = Mma::parse(&list, &ISA);
        let _ = Wgmma::parse(&list, &ISA);
        let _ = Matrix::parse_load(&list, &ISA);
        let _ = Matrix::parse_store(&list, &ISA);
        let _ = Transfer::parse(&list, &ISA);
        let _ = TensorMma::parse(&list, &ISA);
        let _ = SharedCopy::parse(&list, &ISA);
        let _ = Packed::parse(mnemonic, &list);
        let _ = Approx::parse(mnemonic, &list);
    }

    #[test]
    fn any_conversion(list in words(), a: u64, b: u64, random: u32) {
        if let Ok(cvt) = Cvt::parse(&list) {
            cvt.apply([a, b], random);
        }
    }

    #[test]
    fn any_conversion_between_types(to in 0usize..21, from in 0usize..21, rounding in 0usize..10, a: u64, b: u64) {
        let types = ["f64", "f32", "f16", "bf16", "tf32", "f16x2", "bf16x2", "e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2",
            "e2m1x2", "ue8m0x2", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];
        let roundings = ["rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "rs"];
        for list in [
            vec![types[to], types[from]],
            vec![roundings[rounding], types[to], types[from]],
            vec![roundings[rounding], "satfinite", types[to], types[from]],
            vec!["sat", roundings[rounding], types[to], types[from]],
        ] {
            if let Ok(cvt) = Cvt::parse(&list) {
                cvt.apply([a, b], b as u32);
            }
        }
    }

    #[test]
    fn any_shared_descriptor(descriptor: u64, mn in 0usize..256, k in 0usize..64, bits in prop::sample::select(vec![4usize, 8, 16, 32])) {
        for matrix in [SharedMatrix::wgmma(descriptor, &ISA), SharedMatrix::tcgen05(descriptor, &ISA)].into_iter().flatten() {
            for major in [Major::K, Major::Mn] {
                matrix.address(mn, k, bits, major, &ISA);
            }
        }
    }

    #[test]
    fn any_wgmma_descriptor(descriptor: u64, other: u64, transpose: bool) {
        let wgmma = Wgmma::parse(&["mma_async", "sync", "aligned", "m64n8k16", "f32", "f16", "f16"], &ISA).expect("listed");
        let options = wgmma::Options {
            accumulate: true,
            negate_a: false,
            negate_b: true,
            transpose_a: transpose,
            transpose_b: !transpose,
        };
        let mut d = vec![[0u64; 32]; wgmma.d_registers()];
        let a = wgmma::OperandA::Descriptor(descriptor);
        let _ = wgmma.apply(3, a, other, options, &mut d, |_| Ok::<_, ()>([0x3c; 16]));
    }

    #[test]
    fn any_tensor_map(bytes in tensor_map(), coordinates: [i32; 5], near: [i8; 5], four: bool, store: bool, shared: u32) {
        if let Ok(map) = TensorMap::decode(&bytes) {
            prop_assert_eq!(TensorMap::decode(&map.encode()), Ok(map));
            let near = near.map(i32::from);
            for coordinates in [coordinates, near] {
                for coordinates in [&coordinates[..map.rank], &coordinates[..]] {
                    let copy = TensorCopy {
                        map: &map,
                        coordinates,
                        mode: if four { Mode::FourRows } else { Mode::Tile },
                        direction: if store { Direction::Store } else { Direction::Load },
                        shared: shared & !127,
                    };
                    let _ = copy.pieces(&ISA, |_| Ok::<_, ()>(()));
                }
            }
        }
    }

    #[test]
    fn any_tensor_memory_operands(d: u32, a: u32, b: u64, instruction: u32, scales: [u32; 2], tensor_a: bool, kind in 0usize..7, columns in 5u32..10) {
        let kinds = ["f16", "tf32", "f8f6f4", "i8", "mxf8f6f4", "mxf4", "mxf4nvf4"];
        let kind_word = format!("kind::{}", kinds[kind]);
        let mut list = vec!["mma", "cta_group::1", &kind_word];
        if kind > 3 {
            list.extend(["block_scale", if kind == 4 { "scale_vec::1X" } else { "scale_vec::2X" }]);
        }
        let mma = TensorMma::parse(&list, &ISA).expect("listed");
        let mut memory = TensorMemory::default();
        memory.allocate(1 << columns).expect("a valid size");
        // Half of the runs use small addresses and fixed bits, to get past the first checks.
        for small in [false, true] {
            let operands = Operands {
                d: if small { d & 31 } else { d },
                a: if tensor_a { OperandA::Tensor(if small { a & 31 } else { a }) } else { OperandA::Shared(b & !(0x7f << 46) | 1 << 46) },
                b: b & !(0xfff << 46) | 1 << 46,
                instruction: if small {
                    instruction & 0x007e_0000 | 8 << 24 | TYPES[kind]
                } else {
                    instruction
                },
scales: (kind > 3).then_some(if small { scales.map(|s| s & 31) } else { scales }),
                disabled_lanes: [instruction; 8],
                accumulate: true,
                scale_input_d: 0,
            };
            let _ = mma.apply(&mut [&mut memory], &operands, |_, _| Ok::<_, ()>([7; 16]));
        }
        for shape in ["32x32b", "16x256b", "16x32bx2"] {
            let transfer = Transfer::parse(&["ld", "sync", "aligned", shape, "x4", "b32"], &ISA).expect("listed");
            let mut registers = vec![[0u64; 32]; transfer.registers()];
            let _ = transfer.load(&memory, d as usize % 4, d, a, &mut registers);
            let _ = transfer.store(&mut memory, 0, d & 511, a, &registers);
        }
    }
}
