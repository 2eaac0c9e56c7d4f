//! Floating-point formats as data, with one decoder and one encoder for all of them.
//!
//! A format is its field widths, its bias and what its top codes mean. The encoder rounds an exact
//! value once, in any of PTX's rounding modes, and reports overflow the way the instruction asks
//! for (infinity or the largest finite value). Sources: PTX ISA 9.0, 5.2.3 "Alternate
//! Floating-Point Data Formats" and 9.7.9.21 `cvt`; OCP Microscaling Formats (MX) v1.0, section
//! 5.3, for the element formats.

/// How a value between two neighbours is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `.rn`: nearest, ties to even.
    NearestEven,
    /// `.rna`: nearest, ties away from zero.
    NearestAway,
    /// `.rz`: toward zero.
    Zero,
    /// `.rm`: toward negative infinity.
    Down,
    /// `.rp`: toward positive infinity.
    Up,
    /// `.rs`: away from zero if `bits`, added to the `width` most significant discarded bits, carry
    /// out.
    Stochastic {
        /// The random bits, right-aligned.
        bits: u32,
        /// How many of them there are.
        width: u32,
    },
}

impl Rounding {
    /// The mode a qualifier names: `rn`, `rna`, `rz`, `rm`, `rp`.
    pub fn parse(qualifier: &str) -> Option<Self> {
        Some(match qualifier {
            "rn" => Self::NearestEven,
            "rna" => Self::NearestAway,
            "rz" => Self::Zero,
            "rm" => Self::Down,
            "rp" => Self::Up,
            _ => return None,
        })
    }

    /// `value / 2^shift`, rounded to an integer; `negative` is the sign the magnitude `value`
    /// carries.
    pub fn shift_right(self, value: u64, shift: u32, negative: bool) -> u64 {
        if shift == 0 {
            return value;
        }
        let (quotient, rest, half) = match shift {
            1..=63 => (value >> shift, value & ((1 << shift) - 1), 1u64 << (shift - 1)),
            64 => (0, value, 1 << 63),
            // All of it is below half a unit: keep only that it is not zero.
            _ => (0, u64::from(value != 0), 1 << 63),
        };
        let away = match self {
            Self::NearestEven => rest > half || (rest == half && quotient & 1 == 1),
            Self::NearestAway => rest >= half,
            Self::Zero => false,
            Self::Down => rest != 0 && negative,
            Self::Up => rest != 0 && !negative,
            Self::Stochastic { bits, width } => {
                let top = if shift >= width {
                    rest.checked_shr(shift - width).unwrap_or(0)
                } else {
                    rest << (width - shift)
                };
                (top + u64::from(bits)) >> width != 0
            }
        };
        quotient + u64::from(away)
    }
}

/// What the encoder returns for a magnitude that rounds beyond the largest finite value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// IEEE 754: infinity, or the largest finite value where the rounding mode points back at it.
    Infinity,
    /// `.satfinite`: the largest finite value with the sign kept.
    Saturate,
}

/// A binary floating-point format of at most 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// PTX's name of the type.
    pub name: &'static str,
    /// Width of the code, sign included.
    pub bits: u32,
    /// Width of the stored fraction.
    pub fraction: u32,
    /// Exponent bias.
    pub bias: i32,
    /// Code of the largest finite value.
    pub max: u32,
    /// Code of positive infinity, if there is one.
    pub infinity: Option<u32>,
    /// Canonical NaN, if there is one.
    pub nan: Option<u32>,
    /// Whether the top bit is a sign.
    pub signed: bool,
}

impl Format {
    /// IEEE binary32. PTX's canonical NaN is 0x7fffffff.
    pub const F32: Self = Self::ieee("f32", 32, 23, 0x7fff_ffff);
    /// IEEE binary16.
    pub const F16: Self = Self::ieee("f16", 16, 10, 0x7fff);
    /// bfloat16.
    pub const BF16: Self = Self::ieee("bf16", 16, 7, 0x7fff);
    /// TensorFloat-32 without its 13 unused low bits: 8 exponent and 10 fraction bits.
    pub const TF32: Self = Self::ieee("tf32", 19, 10, 0x3ffff);
    /// OCP FP8 E5M2: IEEE-like, with infinities.
    pub const E5M2: Self = Self::ieee("e5m2", 8, 2, 0x7f);
    /// OCP FP8 E4M3: no infinity, one NaN a sign, largest value 448.
    pub const E4M3: Self = Self { max: 0x7e, nan: Some(0x7f), ..Self::finite("e4m3", 8, 3, 7) };
    /// E4M3 without sign, the block-scale type `.ue4m3`: the top bit is ignored.
    pub const UE4M3: Self = Self { name: "ue4m3", bits: 7, signed: false, ..Self::E4M3 };
    /// OCP FP6 E2M3: finite only, largest value 7.5.
    pub const E2M3: Self = Self::finite("e2m3", 6, 3, 1);
    /// OCP FP6 E3M2: finite only, largest value 28.
    pub const E3M2: Self = Self::finite("e3m2", 6, 2, 3);
    /// OCP FP4 E2M1: finite only, largest value 6.
    pub const E2M1: Self = Self::finite("e2m1", 4, 1, 1);

    const fn ieee(name: &'static str, bits: u32, fraction: u32, nan: u32) -> Self {
        let exponent = bits - 1 - fraction;
        let infinity = ((1 << exponent) - 1) << fraction;
        let bias = (1 << (exponent - 1)) - 1;
        Self {
            name,
            bits,
            fraction,
            bias,
            max: infinity - 1,
            infinity: Some(infinity),
            nan: Some(nan),
            signed: true,
        }
    }

    const fn finite(name: &'static str, bits: u32, fraction: u32, bias: i32) -> Self {
        Self {
            name,
            bits,
            fraction,
            bias,
            max: (1 << (bits - 1)) - 1,
            infinity: None,
            nan: None,
            signed: true,
        }
    }

    const fn sign_bit(&self) -> u32 {
        if self.signed { 1 << (self.bits - 1) } else { 0 }
    }

    /// The exact value of a code; bits above the format's width are ignored.
    pub const fn decode(&self, code: u32) -> f64 {
        let magnitude = code & (self.sign_bit().wrapping_sub(1) & low_mask(self.bits));
        let value = if matches!(self.infinity, Some(code) if code == magnitude) {
            f64::INFINITY
        } else if magnitude > self.max {
            f64::NAN
        } else {
            let field = (magnitude >> self.fraction) as i32;
            let fraction = (magnitude & low_mask(self.fraction)) as u64;
            if field == 0 {
                fraction as f64 * power_of_two(1 - self.bias - self.fraction as i32)
            } else {
                f64::from_bits(
                    ((field - self.bias + 1023) as u64) << 52 | fraction << (52 - self.fraction),
                )
            }
        };
        if code & self.sign_bit() != 0 { -value } else { value }
    }

    /// The code of `value`, rounded once. NaN gives the canonical NaN, or the largest value in a
    /// format without NaN.
    pub fn encode(&self, value: f64, rounding: Rounding, overflow: Overflow) -> u32 {
        if value.is_nan() {
            return self.nan.unwrap_or(self.max);
        }
        let bits = value.to_bits();
        let negative = bits >> 63 == 1;
        let sign = if negative { self.sign_bit() } else { 0 };
        if value.is_infinite() {
            return sign
                | self.infinity.filter(|_| overflow == Overflow::Infinity).unwrap_or(self.max);
        }
        let field = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & low_mask64(52);
        let (significand, exponent) =
            if field == 0 { (fraction, -1022) } else { (fraction | 1 << 52, field - 1023) };

        // `significand * 2^(exponent - 52)` becomes `units * 2^(quantum - fraction)`.
        let smallest = 1 - self.bias;
        let quantum = exponent.max(smallest);
        let shift = (quantum - exponent) as u32 + 52 - self.fraction;
        let units = rounding.shift_right(significand, shift, negative);
        // The hidden bit in `units` carries into the exponent field, and so does a rounding up to
        // the next power.
        let code = (((quantum - smallest) as u64) << self.fraction) + units;
        if code <= u64::from(self.max) {
            return sign | code as u32;
        }
        let back = match rounding {
            Rounding::Zero => true,
            Rounding::Down => !negative,
            Rounding::Up => negative,
            _ => false,
        };
        match self.infinity {
            Some(infinity) if overflow == Overflow::Infinity && !back => sign | infinity,
            _ => sign | self.max,
        }
    }

    /// Replaces a subnormal code by a zero of the same sign (`.ftz`).
    pub fn flush(&self, code: u32) -> u32 {
        let exponent = low_mask(self.bits - u32::from(self.signed)) & !low_mask(self.fraction);
        if code & exponent == 0 { code & self.sign_bit() } else { code }
    }
}

/// `2^exponent` for a normal `f64`.
pub const fn power_of_two(exponent: i32) -> f64 {
    debug_assert!(exponent >= -1022 && exponent <= 1023);
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Value of a UE8M0 block scale: `2^(code - 127)`, with 255 = NaN.
pub fn decode_ue8m0(code: u8) -> f64 {
    if code == 255 { f64::NAN } else { power_of_two(i32::from(code) - 127) }
}

/// The UE8M0 code of `|value|`, rounded to a power of two toward zero or (`up`) away from it.
pub fn encode_ue8m0(value: f64, up: bool, overflow: Overflow) -> u8 {
    if value.is_nan() {
        return 255;
    }
    let bits = value.abs().to_bits();
    let exponent = (bits >> 52) as i32 - 1023 + i32::from(up && bits & low_mask64(52) != 0);
    match exponent + 127 {
        code if code < 0 => 0,
        code @ 0..=254 => code as u8,
        _ if overflow == Overflow::Saturate => 254,
        _ => 255,
    }
}

/// All 256 values of an 8-bit (or narrower) format.
pub type ByteTable = [f64; 256];

/// Values of every code of the narrow formats, for decoding whole matrices.
pub struct Tables {
    /// E4M3.
    pub e4m3: ByteTable,
    /// E5M2.
    pub e5m2: ByteTable,
    /// E2M3 in the low six bits.
    pub e2m3: ByteTable,
    /// E3M2 in the low six bits.
    pub e3m2: ByteTable,
    /// E2M1 in the low four bits.
    pub e2m1: ByteTable,
}

/// The decoding tables.
pub static TABLES: Tables = Tables {
    e4m3: table(Format::E4M3),
    e5m2: table(Format::E5M2),
    e2m3: table(Format::E2M3),
    e3m2: table(Format::E3M2),
    e2m1: table(Format::E2M1),
};

const fn table(format: Format) -> ByteTable {
    let mut values = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        values[code] = format.decode(code as u32);
        code += 1;
    }
    values
}

/// Exact `f32` value of a binary16 code.
pub fn f16_to_f32(code: u16) -> f32 {
    // The magnitude, moved to f32's fields, is off by the difference of the biases (112): one exact
    // product mends it.
    let magnitude =
        f32::from_bits(u32::from(code & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let special = if code & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | u32::from(code & 0x8000) << 16)
}

/// Exact `f32` value of a bfloat16 code.
pub fn bf16_to_f32(code: u16) -> f32 {
    f32::from_bits(u32::from(code) << 16)
}

pub(crate) const fn low_mask(bits: u32) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}

pub(crate) const fn low_mask64(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

#[cfg(test)]
mod tests;
