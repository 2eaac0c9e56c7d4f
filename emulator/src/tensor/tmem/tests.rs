use super::*;
use crate::tensor::ISA;

/// A memory whose word is `lane << 16 | column`.
fn numbered() -> TensorMemory {
    let mut memory = TensorMemory::default();
    assert_eq!(memory.allocate(512), Ok(Some(0)));
    for lane in 0..LANES {
        (0..COLUMNS).for_each(|column| memory.write(lane, column, lane << 16 | column));
    }
    memory
}

fn load(text: &str, warp: usize, address: u32, half: u32) -> Vec<Lanes> {
    let transfer = Transfer::parse(&text.split('.').collect::<Vec<_>>(), &ISA)
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut registers = vec![[0; 32]; transfer.registers()];
    transfer
        .load(&numbered(), warp, address, half, &mut registers)
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    registers
}

#[test]
fn fragments_are_those_of_the_figures() {
    let word = |lane: u64, column: u64| lane << 16 | column;
    let got = load("ld.sync.aligned.32x32b.x4.b32", 2, 64 << 16 | 8, 0);
    assert_eq!(got[3][5], word(64 + 5, 8 + 3));
    // Thread 14 is group 3, quad member 2.
    let got = load("ld.sync.aligned.16x256b.x2.b32", 1, 32 << 16, 0);
    assert_eq!(
        [got[0][14], got[1][14], got[2][14], got[4][14]],
        [word(35, 4), word(35, 5), word(43, 4), word(35, 12)]
    );
    let got = load("ld.sync.aligned.16x128b.x2.b32", 0, 16 << 16, 0);
    assert_eq!([got[0][14], got[1][14], got[2][14]], [word(19, 2), word(27, 2), word(19, 6)]);
    let got = load("ld.sync.aligned.16x64b.x2.b32", 0, 0, 0);
    assert_eq!(
        [got[0][12], got[0][13], got[0][14], got[1][15]],
        [word(3, 0), word(11, 0), word(3, 1), word(11, 3)]
    );
    let got = load("ld.sync.aligned.16x32bx2.x2.b32", 3, 96 << 16 | 4, 32);
    assert_eq!([got[1][3], got[1][19]], [word(99, 5), word(99, 37)]);
}

#[test]
fn every_shape_covers_its_block_once() {
    for (shape, per_count, lanes, columns) in [
        (Shape::L32x32b, 1, 32, 1),
        (Shape::L16x64b, 1, 16, 2),
        (Shape::L16x128b, 2, 16, 4),
        (Shape::L16x256b, 4, 16, 8),
    ] {
        for count in [1, 4] {
            let mut seen = vec![0; lanes * columns * count];
            for (thread, r) in
                (0..32).flat_map(|thread| (0..per_count * count).map(move |r| (thread, r)))
            {
                let (lane, column) = place(shape, thread, r);
                seen[lane * columns * count + column] += 1;
            }
            assert!(seen.iter().all(|&n| n == 1), "{shape:?} x{count}");
        }
    }
}

#[test]
fn packing_takes_the_low_halves_of_two_columns() {
    let got = load("ld.sync.aligned.16x256b.x1.pack::16b.b32", 0, 0, 0);
    // Register 1 of thread 14 is word 5 of the row: columns 10 and 11.
    assert_eq!(got[1][14], 10 | 11 << 16);
    let transfer =
        Transfer::parse(&["st", "sync", "aligned", "32x32b", "x1", "unpack::16b", "b32"], &ISA)
            .expect("valid");
    let mut memory = numbered();
    transfer.store(&mut memory, 0, 6, 0, &[[0x1234_5678; 32]]).expect("allowed");
    assert_eq!([memory.read(9, 6), memory.read(9, 7)], [0x5678, 0x1234]);
}

#[test]
fn stores_mirror_loads() {
    for text in ["32x32b.x8", "16x64b.x4", "16x128b.x8", "16x256b.x2", "16x32bx2.x16"] {
        let parse = |direction: &str| {
            let text = format!("{direction}.sync.aligned.{text}.b32");
            Transfer::parse(&text.split('.').collect::<Vec<_>>(), &ISA).expect("valid")
        };
        let store = parse("st");
        let registers: Vec<Lanes> =
            (0..store.registers()).map(|r| std::array::from_fn(|t| (r * 100 + t) as u64)).collect();
        let mut memory = numbered();
        store.store(&mut memory, 5, 32 << 16 | 3, 16, &registers).expect("allowed");
        let mut back = vec![[0; 32]; registers.len()];
        parse("ld").load(&memory, 5, 32 << 16 | 3, 16, &mut back).expect("allowed");
        assert_eq!(back, registers, "{text}");
    }
}

#[test]
fn allocations_are_checked() {
    let mut memory = TensorMemory::default();
    assert!(
        memory.allocate(48).is_err()
            && memory.allocate(16).is_err()
            && memory.allocate(1024).is_err()
    );
    assert_eq!(memory.allocate(256), Ok(Some(0)));
    assert_eq!(memory.allocate(128), Ok(Some(256)));
    assert_eq!(memory.allocate(256), Ok(None));
    assert!(memory.check(250, 10).is_err(), "two allocations are not one");
    assert!(memory.check(380, 8).is_err());
    assert!(memory.deallocate(0, 128).is_err());
    assert_eq!(memory.deallocate(0, 256), Ok(()));
    assert_eq!(memory.allocated(), 128);
    let load =
        Transfer::parse(&["ld", "sync", "aligned", "32x32b", "x1", "b32"], &ISA).expect("valid");
    let mut registers = [[0; 32]];
    assert!(load.load(&memory, 0, 0, 0, &mut registers).is_err(), "freed");
    assert!(load.load(&memory, 1, 256, 0, &mut registers).is_err(), "lanes of warp 0");
    load.load(&memory, 1, 32 << 16 | 256, 0, &mut registers).expect("allowed");
    assert_eq!(registers[0][0], u64::from(POISON));
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "ld.sync.aligned.16x256b.x64.b32",
        "ld.sync.aligned.16x128b.x128.b32",
        "ld.sync.aligned.32x32b.x3.b32",
        "st.sync.aligned.32x32b.x1.pack::16b.b32",
        "ld.sync.aligned.8x8b.x1.b32",
        "ld.aligned.32x32b.x1.b32",
    ] {
        assert!(Transfer::parse(&text.split('.').collect::<Vec<_>>(), &ISA).is_err(), "{text}");
    }
}
