//! The small floats: E4M3, E5M2 (OCP OFP8 v1.0) and E2M1 (OCP MX v1.0, section 5.3.3).
//!
//! One encoder serves all three. It works in f64, where every f32 and every quotient of two f32 that matters is held
//! well enough to be rounded once: to nearest, ties to even, saturating at the largest finite code, the sign of zero
//! kept. Infinity saturates too. NaN keeps its sign and becomes the format's quiet NaN; E2M1 has none, see [`E2M1`].
//!
//! This is CUDA's conversion `cvt.rn.satfinite`, except for NaN: from f32, CUDA writes 0x7f without a sign in both FP8
//! formats (`cuda_fp8.hpp`) and the largest positive value in E2M1 (`cuda_fp4.h`). Codes of NaN here are those of the
//! Python package `ml_dtypes`, on which JAX and the tables of the tests rest.

/// A binary floating-point format of at most 8 bits with a sign bit and IEEE-like subnormals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minifloat {
    /// Bits of the significand after the leading one.
    mantissa_bits: u32,
    /// What is subtracted from the exponent field.
    bias: i32,
    /// Code of the largest finite magnitude; magnitudes above it are special.
    max_code: u8,
    /// Code of infinity, if there is one.
    infinity: Option<u8>,
    /// Code of the NaN that is written, if there is one; every other code above `max_code` is read as NaN too.
    nan: Option<u8>,
    /// The sign bit; everything below it is the magnitude.
    sign: u8,
}

/// OCP FP8 E4M3: bias 7, largest 448, smallest subnormal 2^-9, NaN at 0x7f and 0xff, no infinity.
pub const E4M3: Minifloat = Minifloat {
    mantissa_bits: 3,
    bias: 7,
    max_code: 0x7e,
    infinity: None,
    nan: Some(0x7f),
    sign: 0x80,
};

/// OCP FP8 E5M2: bias 15, largest finite 57344, smallest subnormal 2^-16, infinity at 0x7c, NaN above it.
pub const E5M2: Minifloat = Minifloat {
    mantissa_bits: 2,
    bias: 15,
    max_code: 0x7b,
    infinity: Some(0x7c),
    nan: Some(0x7e),
    sign: 0x80,
};

/// OCP MX E2M1 in the low nibble: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; neither infinity nor NaN.
///
/// A NaN encodes as the zero of the opposite sign, as in `ml_dtypes`. A caller who must not lose it puts it in the
/// scale, as [`super::Matrix::quantise`] does.
pub const E2M1: Minifloat =
    Minifloat { mantissa_bits: 1, bias: 1, max_code: 0x7, infinity: None, nan: None, sign: 0x8 };

/// Value of each E4M3 code.
pub static E4M3_VALUES: [f32; 256] = E4M3.values();
/// Value of each E5M2 code.
pub static E5M2_VALUES: [f32; 256] = E5M2.values();
/// Value of each E2M1 code.
pub static E2M1_VALUES: [f32; 16] = E2M1.values();
/// Twice the value of each E2M1 code: the integers that dot products of bytes work on. Both zeros are 0.
pub static E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

const F64_MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const F64_BIAS: i32 = f64::MAX_EXP - 1;

impl Minifloat {
    /// The nearest code, ties to even; saturating. See the module's page for zero, infinity and NaN.
    #[inline]
    pub const fn encode(self, value: f32) -> u8 {
        self.encode_f64(value as f64)
    }

    /// [`Self::encode`] of a value that f32 would have to round first, such as an element over its scale.
    #[inline]
    pub const fn encode_f64(self, value: f64) -> u8 {
        let sign = if value.is_sign_negative() { self.sign } else { 0 };
        if value.is_nan() {
            return match self.nan {
                Some(code) => sign | code,
                None => sign ^ self.sign,
            };
        }
        let magnitude = value.abs().min(self.max() as f64);
        // One step of the format at this magnitude is 2^quantum; below the smallest normal it stays the same.
        let exponent = (magnitude.to_bits() >> F64_MANTISSA_BITS) as i32 - F64_BIAS;
        let min_exponent = 1 - self.bias;
        let exponent = if exponent > min_exponent { exponent } else { min_exponent };
        let quantum = exponent - self.mantissa_bits as i32;
        // Adding 2^(quantum + 52) leaves the number of steps, rounded to nearest even, in the low bits of the sum.
        let anchor_exponent = quantum + F64_MANTISSA_BITS as i32 + F64_BIAS;
        let anchor = f64::from_bits((anchor_exponent as u64) << F64_MANTISSA_BITS);
        let steps = (magnitude + anchor).to_bits() - anchor.to_bits();
        // A normal number has 2^mantissa_bits steps below it in its binade, which carries into the exponent field.
        let code = (((exponent - min_exponent) as u64) << self.mantissa_bits) + steps;
        sign | code as u8
    }

    /// The value of `code`; exact. Bits above the sign bit are ignored.
    pub const fn decode(self, code: u8) -> f32 {
        let magnitude = code & (self.sign - 1);
        let value = if magnitude > self.max_code {
            match self.infinity {
                Some(infinity) if infinity == magnitude => f32::INFINITY,
                _ => f32::NAN,
            }
        } else {
            let field = (magnitude >> self.mantissa_bits) as i32;
            let fraction = (magnitude & ((1 << self.mantissa_bits) - 1)) as i32;
            let normal = if field > 0 { 1 << self.mantissa_bits } else { 0 };
            let exponent =
                if field > 0 { field } else { 1 } - self.bias - self.mantissa_bits as i32;
            (normal + fraction) as f32 * f32::from_bits(((exponent + 127) as u32) << 23)
        };
        if code & self.sign != 0 { -value } else { value }
    }

    /// The largest finite value.
    pub const fn max(self) -> f32 {
        self.decode(self.max_code)
    }

    /// Exponent of the largest power of two: `emax_elem` of the MX rule.
    pub const fn max_exponent(self) -> i32 {
        (self.max_code >> self.mantissa_bits) as i32 - self.bias
    }

    /// The value of each code, in code order.
    const fn values<const N: usize>(self) -> [f32; N] {
        let mut values = [0.0; N];
        let mut code = 0;
        while code < N {
            values[code] = self.decode(code as u8);
            code += 1;
        }
        values
    }
}
