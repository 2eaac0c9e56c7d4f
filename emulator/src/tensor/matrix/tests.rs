use super::*;
use crate::tensor::ISA;
use std::convert::Infallible;

fn load(text: &str, row: impl Fn(usize) -> Row) -> Vec<Lanes> {
    let qualifiers: Vec<&str> = text.split('.').collect();
    let matrix = Matrix::parse_load(&qualifiers, &ISA).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut registers = vec![[0xdead_beef_dead_beefu64; 32]; matrix.registers()];
    matrix.load(|lane| Ok::<_, Infallible>(row(lane)), &mut registers).expect("infallible");
    registers
}

/// Byte `c` of the row that lane `l` addresses is `16 * l + c`, so each byte names where it
/// came from.
fn numbered(lane: usize) -> Row {
    std::array::from_fn(|c| (16 * (lane % 16) + c) as u8)
}

#[test]
fn m8n8_quads_hold_rows_and_matrices_come_from_groups_of_eight_lanes() {
    let row = |lane: usize| -> Row { std::array::from_fn(|c| (lane * 8 + c / 2) as u8) };
    let plain = load("sync.aligned.m8n8.x4.shared.b16", row);
    let trans = load("sync.aligned.m8n8.x4.trans.shared::cta.b16", row);
    for matrix in 0..4 {
        for lane in 0..32 {
            let (g, t) = (lane / 4, lane % 4);
            let element =
                |row: usize, column: usize| ((8 * matrix + row) * 8 + column) as u64 * 0x101;
            assert_eq!(plain[matrix][lane], element(g, 2 * t) | element(g, 2 * t + 1) << 16);
            assert_eq!(trans[matrix][lane], element(2 * t, g) | element(2 * t + 1, g) << 16);
        }
    }
}

#[test]
fn m16n16_transposes_bytes() {
    let got = load("sync.aligned.m16n16.x2.trans.shared.b8", numbered);
    assert_eq!(got.len(), 4);
    // Lane 6 is g = 1, t = 2: register 1 holds stored column 1 + 8 of stored rows 8 to 11.
    let want = (0..4).fold(0u64, |w, b| w | ((16 * (8 + b)) as u64 + 9) << (8 * b));
    assert_eq!(got[1][6], want);
    assert_eq!(got[3][6], want);
}

#[test]
fn narrow_elements_are_expanded() {
    // Elements 0..16 in four bits each, padding set to show that it is dropped.
    let row = |_| (0xffff_ffff_ffff_ffffu128 << 64 | 0xfedc_ba98_7654_3210).to_le_bytes();
    let got = load("sync.aligned.m8n16.x1.shared.b8x16.b4x16_p64", row);
    assert_eq!(got[0][1], 0x1c18_1410);
    let row =
        |_| ((0..16).fold(0xffff_ffffu128 << 96, |w, i| w | (i + 40) << (6 * i))).to_le_bytes();
    let got = load("sync.aligned.m8n16.x2.shared.b8x16.b6x16_p32", row);
    assert_eq!(got[1][30], 0x3332_3130);
    let got = load("sync.aligned.m16n16.x1.trans.shared.b8x16.b6x16_p32", row);
    assert_eq!(got[1][4 * 2], 0x3232_3232);
}

#[test]
fn stores_mirror_loads() {
    let registers: Vec<Lanes> = (0..4)
        .map(|r| std::array::from_fn(|lane| (r * 1000 + lane * 7) as u64 * 0x10001))
        .collect();
    for text in ["sync.aligned.m8n8.x4.shared.b16", "sync.aligned.m8n8.x4.trans.shared.b16"] {
        let qualifiers: Vec<&str> = text.split('.').collect();
        let matrix = Matrix::parse_store(&qualifiers, &ISA).expect("valid");
        let mut rows = [[0u8; 16]; 32];
        let store = |lane: usize, bytes| {
            rows[lane] = bytes;
            Ok::<_, Infallible>(())
        };
        matrix.store(&registers, store).expect("infallible");
        let back = load(text, |lane| rows[lane]);
        assert!(
            back.iter()
                .zip(&registers)
                .all(|(x, y)| x.iter().zip(y).all(|(x, y)| *x == *y & 0xffff_ffff))
        );
    }
    let matrix =
        Matrix::parse_store(&["sync", "aligned", "m16n8", "x1", "trans", "shared", "b8"], &ISA)
            .expect("valid");
    let mut rows = [[0u8; 16]; 8];
    let registers = [std::array::from_fn(|lane| 0x0302_0100 + 0x0404_0404 * lane as u64)];
    let store = |lane: usize, bytes| {
        rows[lane] = bytes;
        Ok::<_, Infallible>(())
    };
    matrix.store(&registers, store).expect("infallible");
    // Byte 3 of lane 9 (g = 2, t = 1): matrix row 2 + 8, column 2 + 1, stored in row 3 at 10.
    assert_eq!(rows[3][10], 9 * 4 + 3);
}

#[test]
fn movmatrix_transposes() {
    let source: Lanes = std::array::from_fn(|lane| {
        let (g, t) = (lane / 4, lane % 4);
        (8 * g + 2 * t) as u64 | ((8 * g + 2 * t + 1) as u64) << 16
    });
    let got = transpose(&source, &ISA);
    // Lane 6 (g = 1, t = 2) holds (1, 4) and (1, 5) of the transpose: (4, 1) and (5, 1) of the
    // source.
    assert_eq!(got[6], 33 | 41 << 16);
}

#[test]
fn refuses_what_the_isa_does_not_list() {
    for text in [
        "sync.aligned.m8n8.x3.shared.b16",
        "sync.aligned.m16n16.x4.trans.shared.b8",
        "sync.aligned.m16n16.x1.shared.b8",
        "sync.aligned.m8n16.x1.trans.shared.b8x16.b4x16_p64",
        "aligned.m8n8.x1.shared.b16",
        "sync.aligned.m8n8.x1.global.b16",
    ] {
        assert!(Matrix::parse_load(&text.split('.').collect::<Vec<_>>(), &ISA).is_err(), "{text}");
    }
    assert!(
        Matrix::parse_store(&["sync", "aligned", "m16n8", "x1", "shared", "b8"], &ISA).is_err()
    );
}
