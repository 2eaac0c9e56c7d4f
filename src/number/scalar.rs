//! The formats that are no small floats: bfloat16, int8, the E8M0 scale; and two E2M1 codes in a byte.

use half::bf16;

use super::minifloat::{E2M1, Minifloat};

/// The nearest bfloat16, ties to even. A finite value beyond the largest, 3.39e38, saturates; infinity and NaN, which
/// the format has, stay what they are.
#[inline]
pub fn encode_bf16(value: f32) -> bf16 {
    let rounded = bf16::from_f32(value);
    if rounded.is_infinite() && value.is_finite() {
        return if value < 0.0 { bf16::MIN } else { bf16::MAX };
    }
    rounded
}

/// Largest int8 code; -128 is not used, so that the range is symmetric.
pub const INT8_MAX: f32 = 127.0;

/// The nearest integer in -127..=127, ties to even; infinity saturates, NaN gives 0.
#[inline]
pub const fn encode_int8(value: f32) -> i8 {
    encode_int8_f64(value as f64)
}

/// [`encode_int8`] of a value that f32 would have to round first.
#[inline]
pub(super) const fn encode_int8_f64(value: f64) -> i8 {
    // At 1.5 x 2^52 one step of f64 is 1: adding it rounds to nearest even and leaves the integer, in two's
    // complement, in the low bits. `round_ties_even` is a call to libm where SSE4.1 can't be assumed.
    const ANCHOR: f64 = (3u64 << 51) as f64;
    if value.is_nan() {
        return 0;
    }
    (value.clamp(-(INT8_MAX as f64), INT8_MAX as f64) + ANCHOR).to_bits() as i8
}

/// The code of NaN in E8M0.
pub const E8M0_NAN: u8 = 0xff;

/// The value of an E8M0 scale, 2^(code - 127), from 2^-127 (an f32 subnormal) to 2^127; NaN for 0xff.
#[inline]
pub const fn decode_e8m0(code: u8) -> f32 {
    match code {
        0 => f32::from_bits(1 << 22),
        E8M0_NAN => f32::NAN,
        _ => f32::from_bits((code as u32) << 23),
    }
}

/// The shared scale of a block of E2M1 elements whose largest magnitude is `max`, by the rule of OCP MX v1.0,
/// section 6.3: 2^(floor(log2(max)) - 2), where 2 is the exponent of E2M1's largest power of two, clamped to the range
/// of E8M0.
///
/// - The rule lets magnitudes in (6, 8) times the scale saturate at 6: that is the specification, not an accident.
/// - `max` = 0: log2 is minus infinity and clamps to 2^-127, code 0. Below 2^-125 the scale is clamped as well, and
///   elements lose precision, then vanish.
/// - `max` infinite: saturates to the largest finite f32 first, so that the block stays finite: scale 2^125.
/// - `max` NaN: code 0xff; every element of the block then reads as NaN.
#[inline]
pub const fn shared_scale(max: f32) -> u8 {
    shared_scale_of(E2M1, max)
}

/// [`shared_scale`] of a block of elements in another format: its own exponent takes the place of E2M1's 2.
#[inline]
pub(super) const fn shared_scale_of(element: Minifloat, max: f32) -> u8 {
    if max.is_nan() {
        return E8M0_NAN;
    }
    let max = max.abs().min(f32::MAX);
    // For subnormals the field is 0, as if the exponent were -127: clamped to the same code.
    let log2 = (max.to_bits() >> 23) as i32 - 127;
    let code = log2 - element.max_exponent() + 127;
    if code < 0 { 0 } else { code as u8 }
}

/// Packs two E2M1 codes: `low`, the element of the even index, in the low nibble.
#[inline]
pub const fn pack_nibbles(low: u8, high: u8) -> u8 {
    (low & 0x0f) | (high << 4)
}

/// The two E2M1 codes of a byte: even index (low nibble) first.
#[inline]
pub const fn unpack_nibbles(byte: u8) -> [u8; 2] {
    [byte & 0x0f, byte >> 4]
}
