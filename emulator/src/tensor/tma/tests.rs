use super::*;
use crate::tensor::ISA;
use crate::tensor::tensor_map::{DataType, swizzle_from_number};
use std::collections::HashMap;

fn data_type(number: u32) -> DataType {
    DataType::new(number).expect("a type")
}

/// Where each byte of shared memory comes from.
fn run(copy: &TensorCopy) -> HashMap<u32, Source> {
    let mut bytes = HashMap::new();
    let visit = |piece: Piece| {
        for i in 0..piece.bytes {
            let source = match piece.global {
                Source::Global(address) => Source::Global(address + u64::from(i)),
                fill => fill,
            };
            assert!(
                bytes.insert(piece.shared + i, source).is_none(),
                "byte {} twice",
                piece.shared + i
            );
        }
        assert!(piece.shared / 16 == (piece.shared + piece.bytes - 1) / 16, "crosses a chunk");
        Ok::<_, ()>(())
    };
    copy.pieces(&ISA, visit).expect("valid copy");
    bytes
}

/// Every rank and swizzle against plain nested loops over elements, with a box that hangs over
/// every edge.
#[test]
fn loads_equal_plain_loops() {
    for rank in 1..=5usize {
        for swizzle in 0..7 {
            for number in [0, 7, 8, 9] {
                let size = u64::from(data_type(number).unit().global);
                let dims: Vec<u64> = [40, 5, 4, 3, 3][..rank].to_vec();
                let row = 32 / size as u32;
                let boxes: Vec<u32> = [row, 4, 3, 2, 2][..rank].to_vec();
                let mut map = TensorMap::dense(data_type(number), 0x10000, &dims, &boxes);
                for (i, stride) in map.strides.iter_mut().enumerate() {
                    *stride = 512 << (3 * i);
                }
                map.swizzle = swizzle_from_number(swizzle).expect("a swizzle");
                map.fill_nan = map.data_type.is_float();
                map.validate().expect("valid map");
                for coordinates in
                    [[0, 0, 0, 0, 0], [-3, 2, -1, 1, 2], [30, 3, 3, 2, 2], [-3, -1, -2, -1, -1]]
                {
                    let coordinates = &coordinates[..rank];
                    let copy = TensorCopy {
                        map: &map,
                        coordinates,
                        mode: Mode::Tile,
                        direction: Direction::Load,
                        shared: 384,
                    };
                    let got = run(&copy);
                    assert_eq!(got.len() as u32, map.box_bytes());
                    let total: u32 = boxes.iter().product();
                    for linear in 0..total {
                        let (mut rest, mut inside, mut address) = (linear, true, 0x10000);
                        for (i, &extent) in boxes.iter().enumerate() {
                            let x = i64::from(coordinates[i]) + i64::from(rest % extent);
                            rest /= extent;
                            inside &= (0..dims[i] as i64).contains(&x);
                            let stride = if i == 0 { size } else { map.strides[i - 1] };
                            address += x * stride as i64;
                        }
                        for byte in 0..size {
                            let at = 384 + u64::from(linear) * size + byte;
                            let line = at >> 7;
                            let mask = [
                                0,
                                (line & 1) << 4,
                                (line & 3) << 4,
                                (line & 7) << 4,
                                (line & 3) << 5,
                                (line & 3) << 5 | (line & 1) << 3,
                                (line & 1) << 6,
                            ];
                            let want = match (inside, map.fill_nan) {
                                (true, _) => Source::Global(address as u64 + byte),
                                (false, true) => Source::Fill(0xff),
                                (false, false) => Source::Fill(0),
                            };
                            let at = (at ^ mask[swizzle as usize]) as u32;
                            assert_eq!(
                                got[&at], want,
                                "rank {rank} swizzle {swizzle} type {number} {coordinates:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn traversal_strides_skip_elements() {
    let mut map = TensorMap::dense(data_type(9), 0, &[64, 64], &[8, 7]);
    map.element_strides[1] = 3;
    assert_eq!(map.box_bytes(), 3 * 16);
    let copy = TensorCopy {
        map: &map,
        coordinates: &[8, 1],
        mode: Mode::Tile,
        direction: Direction::Load,
        shared: 0,
    };
    let got = run(&copy);
    assert_eq!(got[&16], Source::Global(4 * 128 + 16));
    assert_eq!(got[&32], Source::Global(7 * 128 + 16));
}

#[test]
fn stores_leave_out_what_lies_outside() {
    let map = TensorMap::dense(data_type(7), 0, &[6, 3], &[8, 4]);
    let map = TensorMap { strides: [32, 0, 0, 0], ..map };
    let copy = TensorCopy {
        map: &map,
        coordinates: &[0, 1],
        mode: Mode::Tile,
        direction: Direction::Store,
        shared: 0,
    };
    let got = run(&copy);
    assert_eq!(got.len(), 2 * 24);
    assert_eq!(got[&32], Source::Global(64));
    let copy = TensorCopy { coordinates: &[-1, 1], ..copy };
    assert!(matches!(copy.pieces(&ISA, |_| Ok::<_, ()>(())), Err(Failure::Operand(_))));
}

#[test]
fn gather4_takes_four_rows() {
    let map = TensorMap::dense(data_type(9), 0, &[64, 64], &[16, 1]);
    let coordinates = &[16, 1, 5, 0, 99];
    let copy = TensorCopy {
        map: &map,
        coordinates,
        mode: Mode::FourRows,
        direction: Direction::Load,
        shared: 128,
    };
    assert_eq!(copy.bytes(), 128);
    let got = run(&copy);
    assert_eq!(got[&128], Source::Global(128 + 32));
    assert_eq!(got[&160], Source::Global(5 * 128 + 32));
    assert_eq!(got[&192], Source::Global(32));
    assert_eq!(got[&224], Source::Fill(0));
}

#[test]
fn narrow_types_are_padded_in_shared_memory() {
    // 128 four-bit elements: 64 bytes in global memory, sixteen at a time in the low half of 16
    // bytes.
    let map = TensorMap::dense(data_type(14), 0, &[256, 2], &[128, 2]);
    let copy = TensorCopy {
        map: &map,
        coordinates: &[128, 1],
        mode: Mode::Tile,
        direction: Direction::Load,
        shared: 0,
    };
    assert_eq!(copy.bytes(), 256);
    let got = run(&copy);
    assert_eq!(got[&16], Source::Global(128 + 64 + 8));
    assert!(!got.contains_key(&8));
    assert_eq!(got[&128], Source::Fill(0));
    // Six bits: 12 of 16 bytes.
    let map = TensorMap::dense(data_type(15), 0, &[128, 2], &[128, 1]);
    let copy = TensorCopy { map: &map, coordinates: &[0, 1], ..copy };
    let got = run(&copy);
    assert_eq!(got[&(7 * 16 + 11)], Source::Global(96 + 7 * 12 + 11));
    assert!(!got.contains_key(&12));
    // Packed four bits: dense.
    let map = TensorMap::dense(data_type(13), 0, &[64, 2], &[32, 1]);
    let copy = TensorCopy { map: &map, coordinates: &[32, 1], ..copy };
    assert_eq!(run(&copy)[&3], Source::Global(32 + 16 + 3));
}

#[test]
fn bad_operands_are_refused() {
    let map = TensorMap::dense(data_type(9), 0, &[64, 64], &[16, 2]);
    let good = TensorCopy {
        map: &map,
        coordinates: &[0, 0],
        mode: Mode::Tile,
        direction: Direction::Load,
        shared: 128,
    };
    let refused = |copy: TensorCopy| {
        matches!(copy.pieces(&ISA, |_| Ok::<_, ()>(())), Err(Failure::Operand(_)))
    };
    assert!(!refused(good));
    assert!(refused(TensorCopy { coordinates: &[0], ..good }));
    assert!(refused(TensorCopy { shared: 64, ..good }));
    assert!(refused(TensorCopy { mode: Mode::FourRows, coordinates: &[0; 5], ..good }));
}
