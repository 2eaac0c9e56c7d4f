//! Shared-memory swizzles: permutations of 16-byte (or larger) chunks by exclusive-or of address
//! bits.
//!
//! All modes XOR low address bits with the index of the 128-byte line; they act on the address
//! itself, so a tile that does not start at the pattern's boundary needs no base offset here. PTX
//! ISA 9.0, 5.5.7.

use super::Rules;

/// A swizzle mode with its atomicity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Swizzle {
    /// Addresses unchanged.
    #[default]
    None,
    /// 32-byte mode, 16-byte chunks.
    B32,
    /// 64-byte mode, 16-byte chunks.
    B64,
    /// 128-byte mode, 16-byte chunks.
    B128,
    /// 128-byte mode, 32-byte chunks.
    B128Atom32,
    /// 128-byte mode, 32-byte chunks, with the two 8-byte halves of each 16 bytes exchanged on odd
    /// lines.
    B128Atom32Flip8,
    /// 128-byte mode, 64-byte chunks.
    B128Atom64,
}

impl Swizzle {
    /// Bytes of a row that the pattern permutes within; 16 without swizzle.
    pub const fn width(self) -> u32 {
        match self {
            Self::None => 16,
            Self::B32 => 32,
            Self::B64 => 64,
            _ => 128,
        }
    }
}

/// The address bits that a mode inverts on 128-byte line `line`.
pub fn pattern(swizzle: Swizzle, line: u32) -> u32 {
    match swizzle {
        Swizzle::None => 0,
        Swizzle::B32 => (line & 1) << 4,
        Swizzle::B64 => (line & 3) << 4,
        Swizzle::B128 => (line & 7) << 4,
        Swizzle::B128Atom32 => (line & 3) << 5,
        Swizzle::B128Atom32Flip8 => (line & 3) << 5 | (line & 1) << 3,
        Swizzle::B128Atom64 => (line & 1) << 6,
    }
}

impl Rules {
    /// Where the byte at `address` of the unswizzled layout lies.
    pub fn swizzled(&self, swizzle: Swizzle, address: u32) -> u32 {
        address ^ (self.swizzle)(swizzle, address >> 7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::ISA;

    /// The tables of ISA 5.5.7: line by line, which 16-byte chunk of the source lies in each place.
    #[test]
    fn patterns_are_those_of_the_isa() {
        let tables: [(Swizzle, &[[u32; 8]]); 5] = [
            (Swizzle::B32, &[[0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 3, 2, 5, 4, 7, 6]]),
            (
                Swizzle::B64,
                &[
                    [0, 1, 2, 3, 4, 5, 6, 7],
                    [1, 0, 3, 2, 5, 4, 7, 6],
                    [2, 3, 0, 1, 6, 7, 4, 5],
                    [3, 2, 1, 0, 7, 6, 5, 4],
                ],
            ),
            (
                Swizzle::B128,
                &[
                    [0, 1, 2, 3, 4, 5, 6, 7],
                    [1, 0, 3, 2, 5, 4, 7, 6],
                    [2, 3, 0, 1, 6, 7, 4, 5],
                    [3, 2, 1, 0, 7, 6, 5, 4],
                    [4, 5, 6, 7, 0, 1, 2, 3],
                    [5, 4, 7, 6, 1, 0, 3, 2],
                    [6, 7, 4, 5, 2, 3, 0, 1],
                    [7, 6, 5, 4, 3, 2, 1, 0],
                ],
            ),
            (
                Swizzle::B128Atom32,
                &[
                    [0, 1, 2, 3, 4, 5, 6, 7],
                    [2, 3, 0, 1, 6, 7, 4, 5],
                    [4, 5, 6, 7, 0, 1, 2, 3],
                    [6, 7, 4, 5, 2, 3, 0, 1],
                ],
            ),
            (Swizzle::B128Atom64, &[[0, 1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 0, 1, 2, 3]]),
        ];
        for (swizzle, table) in tables {
            for line in 0..32u32 {
                for chunk in 0..8u32 {
                    let at = ISA.swizzled(swizzle, line * 128 + chunk * 16 + 5);
                    assert_eq!((at / 128, at % 16), (line, 5));
                    let row = table[line as usize % table.len()];
                    assert_eq!(row[(at / 16 % 8) as usize], chunk, "{swizzle:?} line {line}");
                }
            }
        }
        assert_eq!(ISA.swizzled(Swizzle::B128Atom32Flip8, 128), 128 + 32 + 8);
        assert_eq!(ISA.swizzled(Swizzle::B128Atom32Flip8, 256), 256 + 64);
        assert_eq!(ISA.swizzled(Swizzle::None, 0x1234), 0x1234);
    }
}
