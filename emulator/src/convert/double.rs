//! `f64` arithmetic in the directed rounding modes.
//!
//! The processor gives the nearest result; the mode then needs the sign of what it left out, which
//! is found by adding the terms as exact integers.

use super::exact::{Operation, cancels, sum_error};
use super::format::Rounding;

/// `operation(a, b, c)` in `f64` with any of `.rn`, `.rz`, `.rm`, `.rp`.
pub fn compute_f64(operation: Operation, [a, b, c]: [f64; 3], rounding: Rounding) -> f64 {
    // The nearest result and something with the sign of `exact - nearest`.
    let (nearest, error) = match operation {
        Operation::Add => (a + b, sum_error(a, b, a + b)),
        Operation::Sub => (a - b, sum_error(a, -b, a - b)),
        Operation::Mul => (a * b, scaled_error(a, b, 0.0, a * b)),
        Operation::Fma => (a.mul_add(b, c), scaled_error(a, b, c, a.mul_add(b, c))),
        Operation::Div => (a / b, scaled_error(-(a / b), b, a, 0.0) * b.signum()),
        Operation::Rcp => (1.0 / a, scaled_error(-(1.0 / a), a, 1.0, 0.0) * a.signum()),
        Operation::Sqrt => (a.sqrt(), scaled_error(-a.sqrt(), a.sqrt(), a, 0.0)),
    };
    if nearest.is_nan() {
        return f64::from_bits(0x7fff_ffff_ffff_ffff);
    }
    if nearest == 0.0 && error == 0.0 && rounding == Rounding::Down && cancels(operation, a, b, c) {
        return -0.0;
    }
    if nearest.is_infinite() {
        return overflow_f64(nearest, [a, b, c], rounding);
    }
    let toward = match rounding {
        Rounding::Down => -1.0,
        Rounding::Up => 1.0,
        Rounding::Zero if nearest == 0.0 => return nearest,
        Rounding::Zero => -nearest.signum(),
        _ => return nearest,
    };
    match error * toward {
        e if e > 0.0 && toward > 0.0 => nearest.next_up(),
        e if e > 0.0 => nearest.next_down(),
        _ => nearest,
    }
}

/// An infinite nearest result is exact if an operand was infinite (or a divisor zero); otherwise it
/// overflowed.
fn overflow_f64(nearest: f64, operands: [f64; 3], rounding: Rounding) -> f64 {
    let exact =
        operands.iter().any(|x| x.is_infinite()) || operands[1] == 0.0 || operands[0] == 0.0;
    let inward = match rounding {
        Rounding::Zero => true,
        Rounding::Down => nearest > 0.0,
        Rounding::Up => nearest < 0.0,
        _ => false,
    };
    if inward && !exact { f64::MAX.copysign(nearest) } else { nearest }
}

/// A value with the sign of `a * b + c - d`, for `d` near that sum, also where intermediate results
/// would leave the normal range: the terms are compared as exact integers.
fn scaled_error(a: f64, b: f64, c: f64, d: f64) -> f64 {
    let terms = [product(a, b), product(c, 1.0), product(-d, 1.0)];
    if !(a.is_finite() && b.is_finite() && c.is_finite() && d.is_finite()) {
        return 0.0;
    }
    sign_of_sum(terms)
}

/// `significand * 2^exponent`, exact.
#[derive(Clone, Copy)]
struct Big {
    significand: i128,
    exponent: i32,
}

fn product(a: f64, b: f64) -> Big {
    let (x, y) = (split(a), split(b));
    Big { significand: i128::from(x.0) * i128::from(y.0), exponent: x.1 + y.1 }
}

fn split(x: f64) -> (i64, i32) {
    let bits = x.to_bits();
    let field = (bits >> 52 & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let magnitude = if field == 0 { fraction } else { fraction | 1 << 52 };
    (if bits >> 63 == 1 { -magnitude } else { magnitude }, field.max(1) - 1075)
}

/// The sign of an exact sum of three terms, by adding them as two's-complement numbers of 4 608
/// bits: the exponents of an `f64` product span less than that.
fn sign_of_sum(terms: [Big; 3]) -> f64 {
    const LIMBS: usize = 72;
    let lowest = 2 * -1074;
    let mut sum = [0u64; LIMBS];
    for term in terms {
        let at = (term.exponent - lowest).max(0) as usize;
        let (limb, bit) = (at / 64, at % 64);
        let fill = if term.significand < 0 { u64::MAX } else { 0 };
        let words = term.significand as u128;
        let parts = [
            (words << bit) as u64,
            ((words << bit) >> 64) as u64,
            high_part(term.significand, bit),
        ];
        let mut carry = false;
        for (i, slot) in sum.iter_mut().enumerate().skip(limb) {
            let addend = parts.get(i - limb).copied().unwrap_or(fill);
            let (partial, over) = slot.overflowing_add(addend);
            let (total, again) = partial.overflowing_add(u64::from(carry));
            *slot = total;
            carry = over || again;
        }
    }
    if sum[LIMBS - 1] >> 63 == 1 {
        -1.0
    } else if sum.iter().any(|&limb| limb != 0) {
        1.0
    } else {
        0.0
    }
}

/// Bits 128 and up of `value << bit`, sign-extended.
fn high_part(value: i128, bit: usize) -> u64 {
    if bit == 0 { (value >> 127) as u64 } else { (value >> (128 - bit)) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f64_directed_rounding_brackets_the_exact_value() {
        let third = compute_f64(Operation::Div, [1.0, 3.0, 0.0], Rounding::Down);
        assert_eq!(compute_f64(Operation::Div, [1.0, 3.0, 0.0], Rounding::Up), third.next_up());
        assert!(third <= 1.0 / 3.0);
        let one_up = compute_f64(Operation::Add, [1.0, 1e-300, 0.0], Rounding::Up);
        assert_eq!(one_up, 1f64.next_up());
        let tiny = compute_f64(Operation::Mul, [1e-200, -1e-200, 0.0], Rounding::Down);
        assert_eq!(tiny, -f64::from_bits(1));
        let below = compute_f64(
            Operation::Fma,
            [1.0 + f64::EPSILON, 1.0 + f64::EPSILON, -f64::EPSILON],
            Rounding::Down,
        );
        assert_eq!(below, 1.0 + f64::EPSILON);
        assert_eq!(compute_f64(Operation::Mul, [1e300, 1e300, 0.0], Rounding::Zero), f64::MAX);
        assert!(compute_f64(Operation::Add, [1.0, -1.0, 0.0], Rounding::Down).is_sign_negative());
    }
}
