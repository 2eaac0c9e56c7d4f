//! Element types of matrix operands and how a 32-bit word of them is read.

use crate::convert::format::{TABLES, bf16_to_f32, f16_to_f32};

/// An element type in the container that an instruction keeps it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// binary64, one in a 64-bit register.
    F64,
    /// TensorFloat-32: the upper 19 bits of a word.
    Tf32,
    /// binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// FP8 E4M3.
    E4m3,
    /// FP8 E5M2.
    E5m2,
    /// FP6 E2M3 in the low six bits of a byte.
    E2m3,
    /// FP6 E3M2 in the low six bits of a byte.
    E3m2,
    /// FP4 E2M1 in the central four bits of a byte (`kind::f8f6f4`, `kind::mxf8f6f4`).
    E2m1Byte,
    /// FP4 E2M1, two a byte, the first in the low half (`kind::mxf4`, `kind::mxf4nvf4`).
    E2m1,
    /// Signed byte.
    S8,
    /// Unsigned byte.
    U8,
    /// Signed four-bit integer, the first in the low half of a byte.
    S4,
    /// Unsigned four-bit integer.
    U4,
    /// One bit.
    B1,
}

impl Element {
    /// The type a qualifier names, in the container that all but the block-scaled and `f8f6f4`
    /// kinds use.
    pub fn parse(qualifier: &str) -> Option<Self> {
        Some(match qualifier {
            "f64" => Self::F64,
            "tf32" => Self::Tf32,
            "f16" => Self::F16,
            "bf16" => Self::Bf16,
            "e4m3" => Self::E4m3,
            "e5m2" => Self::E5m2,
            "e2m3" => Self::E2m3,
            "e3m2" => Self::E3m2,
            "e2m1" => Self::E2m1,
            "s8" => Self::S8,
            "u8" => Self::U8,
            "s4" => Self::S4,
            "u4" => Self::U4,
            "b1" => Self::B1,
            _ => return None,
        })
    }

    /// Width of the container, bits.
    pub const fn bits(self) -> usize {
        match self {
            Self::F64 => 64,
            Self::Tf32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::E4m3
            | Self::E5m2
            | Self::E2m3
            | Self::E3m2
            | Self::E2m1Byte
            | Self::S8
            | Self::U8 => 8,
            Self::E2m1 | Self::S4 | Self::U4 => 4,
            Self::B1 => 1,
        }
    }

    /// Whether it is an 8-, 6- or 4-bit float kept in a byte.
    pub const fn is_f8f6f4(self) -> bool {
        matches!(self, Self::E4m3 | Self::E5m2 | Self::E2m3 | Self::E3m2 | Self::E2m1Byte)
    }

    /// Whether it is an integer (`b1` included).
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::S8 | Self::U8 | Self::S4 | Self::U4 | Self::B1)
    }

    /// Elements in one register: 32 bits' worth, or one `f64`.
    pub const fn per_register(self) -> usize {
        match self {
            Self::F64 => 1,
            _ => 32 / self.bits(),
        }
    }

    /// Sixteen bytes of shared memory as packed containers. The 6- and 4-bit types of `f8f6f4` lie
    /// there as sixteen packed elements and padding (ISA 9.7.16.10.4.4), everything else as is.
    pub fn chunk(self, bytes: u128) -> u128 {
        let expand = |bits: u32, shift: u32| {
            let element = |i: u32| (bytes >> (bits * i) & ((1 << bits) - 1)) << shift;
            (0..16).fold(0, |chunk, i| chunk | element(i) << (8 * i))
        };
        match self {
            Self::E2m3 | Self::E3m2 => expand(6, 0),
            Self::E2m1Byte => expand(4, 2),
            _ => bytes,
        }
    }

    /// The value of a container's bits; bits beyond the element are ignored.
    pub fn value(self, code: u64) -> f64 {
        let byte = (code & 0xff) as usize;
        match self {
            Self::F64 => f64::from_bits(code),
            Self::Tf32 => f64::from(f32::from_bits(code as u32 & !0x1fff)),
            Self::F16 => f64::from(f16_to_f32(code as u16)),
            Self::Bf16 => f64::from(bf16_to_f32(code as u16)),
            Self::E4m3 => TABLES.e4m3[byte],
            Self::E5m2 => TABLES.e5m2[byte],
            Self::E2m3 => TABLES.e2m3[byte & 0x3f],
            Self::E3m2 => TABLES.e3m2[byte & 0x3f],
            Self::E2m1Byte => TABLES.e2m1[byte >> 2 & 0xf],
            Self::E2m1 => TABLES.e2m1[byte & 0xf],
            Self::S8 => f64::from(byte as u8 as i8),
            Self::U8 => f64::from(byte as u8),
            Self::S4 => f64::from(((byte as u8) << 4) as i8 >> 4),
            Self::U4 => f64::from(byte as u8 & 0xf),
            Self::B1 => f64::from(byte as u8 & 1),
        }
    }

    /// Calls `put(element, value)` for each element of a register image, the lowest first.
    #[inline]
    pub fn unpack(self, register: u64, mut put: impl FnMut(usize, f64)) {
        // One loop a type, so that the type is not looked at for each element.
        macro_rules! each {
            ($($kind:ident)*) => {
                match self {
                    $(Self::$kind => {
                        for e in 0..const { Self::$kind.per_register() } {
                            put(e, Self::$kind.value(register >> (e * (Self::$kind.bits() % 64))));
                        }
                    })*
                }
            };
        }
        each!(F64 Tf32 F16 Bf16 E4m3 E5m2 E2m3 E3m2 E2m1Byte E2m1 S8 U8 S4 U4 B1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_read_low_to_high() {
        let read = |element: Element, word| {
            let mut values = Vec::new();
            element.unpack(word, |_, value| values.push(value));
            values
        };
        assert_eq!(read(Element::Bf16, 0x4000_3f80), [1.0, 2.0]);
        assert_eq!(read(Element::S8, 0x80ff_7f01), [1.0, 127.0, -1.0, -128.0]);
        assert_eq!(read(Element::U8, 0x80ff_7f01), [1.0, 127.0, 255.0, 128.0]);
        assert_eq!(read(Element::S4, 0x0000_0087), [7.0, -8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(read(Element::E2m1, 0x0000_00f2), [1.0, -6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        // The padding bits around an e2m1 in a byte are ignored.
        assert_eq!(read(Element::E2m1Byte, 0xff00_083c), [-6.0, 1.0, 0.0, -6.0]);
        assert_eq!(read(Element::Tf32, 0x3f80_1fff), [1.0]);
        assert_eq!(read(Element::F64, 1f64.to_bits()), [1.0]);
    }
}
