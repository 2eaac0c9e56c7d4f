//! Integer types of `cvt`: extension, saturation, rounding of floating-point values to integers.

use super::format::Rounding;

/// A PTX integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integer {
    pub bits: u32,
    pub signed: bool,
}

impl Integer {
    pub(super) fn parse(qualifier: &str) -> Option<Self> {
        let signed = match qualifier.as_bytes().first()? {
            b's' => true,
            b'u' => false,
            _ => return None,
        };
        let bits = match &qualifier[1..] {
            "8" => 8,
            "16" => 16,
            "32" => 32,
            "64" => 64,
            _ => return None,
        };
        Some(Self { bits, signed })
    }

    /// The value of the low bits of a register.
    pub(super) fn read(self, register: u64) -> i128 {
        let unused = 64 - self.bits;
        if self.signed {
            i128::from((register << unused) as i64 >> unused)
        } else {
            i128::from(register << unused >> unused)
        }
    }

    /// The register image of the low bits of `value`: sign- or zero-extended, as a wider
    /// destination register holds it.
    pub(super) fn write(self, value: i128) -> u64 {
        self.read(value as u64) as u64
    }

    pub(super) fn clamp(self, value: i128) -> i128 {
        let (least, most) = self.range();
        value.clamp(least, most)
    }

    pub(super) fn range(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// A floating-point value rounded and clamped; `source_is_f64` selects what NaN becomes (ISA
    /// 9.7.9.21, "Integer Notes": zero, or only the top bit set if the source is f64 or the
    /// destination is 64 bits wide).
    pub(super) fn round_float(self, value: f64, rounding: Rounding, source_is_f64: bool) -> u64 {
        if value.is_nan() {
            let top = if source_is_f64 || self.bits == 64 { 1 << (self.bits - 1) } else { 0 };
            return self.write(top);
        }
        // `as` saturates at the ends of i128, far outside every destination.
        self.write(self.clamp(round_integral(value, rounding) as i128))
    }
}

/// `value` rounded to an integral value; the sign of a zero result is the operand's.
pub(super) fn round_integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
        _ => value.round_ties_even(),
    }
}
