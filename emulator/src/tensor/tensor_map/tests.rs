use super::*;

fn bf16() -> DataType {
    DataType::new(9).expect("a type")
}

#[test]
fn the_object_holds_every_parameter() {
    let mut map =
        TensorMap::dense(bf16(), 0x7000_1230, &[1 << 32, 7, 3, 2, 9], &[64, 256, 2, 1, 3]);
    map.strides = [1 << 39, 16, 48, 4096];
    map.element_strides = [1, 8, 2, 1, 1];
    map.swizzle = Swizzle::B128Atom64;
    map.l2_promotion = 2;
    map.fill_nan = true;
    assert_eq!(TensorMap::decode(&map.encode()), Ok(map));
}

#[test]
fn foreign_bytes_are_refused() {
    assert!(TensorMap::decode(&[0; 128]).is_err());
    let mut bytes = TensorMap::dense(bf16(), 0, &[64, 64], &[64, 64]).encode();
    bytes[8] = 1; // address not a multiple of 16
    assert!(TensorMap::decode(&bytes).is_err());
    for at in 8..128 {
        let mut bytes = TensorMap::dense(bf16(), 0, &[64, 64], &[64, 64]).encode();
        bytes[at] ^= 0xff;
        let _ = TensorMap::decode(&bytes); // an error or another map, never a panic
    }
}

#[test]
fn each_limit_is_enforced() {
    let good = TensorMap::dense(bf16(), 0x1000, &[64, 64], &[64, 64]);
    good.validate().expect("within the limits");
    type Break = fn(&mut TensorMap);
    let breaks: [(&str, Break); 15] = [
        ("rank 0", |m| m.rank = 0),
        ("rank 6", |m| m.rank = 6),
        ("address", |m| m.address = 0x1008),
        ("dim 0", |m| m.dims[1] = 0),
        ("dim too large", |m| m.dims[1] = (1 << 32) + 1),
        ("stride", |m| m.strides[0] = 136),
        ("stride too large", |m| m.strides[0] = 1 << 40),
        ("box 0", |m| m.box_dims[1] = 0),
        ("box 257", |m| m.box_dims[1] = 257),
        ("box row not 16 bytes", |m| m.box_dims[0] = 4),
        ("element stride 9", |m| m.element_strides[1] = 9),
        ("swizzle 64 with a 128-byte row", |m| m.swizzle = Swizzle::B64),
        ("interleave", |m| m.interleave = 1),
        ("l2", |m| m.l2_promotion = 4),
        ("NaN fill of integers", |m| (m.data_type, m.fill_nan) = (DataType(1), true)),
    ];
    for (name, break_it) in breaks {
        let mut map = good;
        break_it(&mut map);
        assert!(map.validate().is_err(), "{name}");
    }
    let mut nibbles = TensorMap::dense(DataType(14), 0x1000, &[256, 8], &[128, 8]);
    nibbles.validate().expect("within the limits");
    nibbles.address = 0x1010;
    assert!(nibbles.validate().is_err());
}
