//! Arithmetic with a single rounding, in every rounding mode.
//!
//! For operands of up to 24 significant bits (`f32`, `f16`, `bf16`) products are exact in `f64`;
//! sums, quotients and roots are computed in `f64` *rounded to odd*: when the nearest `f64` is
//! inexact, the neighbour with an odd last bit is taken. A value rounded to odd with at least two
//! bits more than the destination rounds to the destination as the exact value would, in every mode
//! (S. Boldo, G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using
//! rounding to odd", IEEE Transactions on Computers 57(4), 2008).

use super::format::{Format, Overflow, Rounding};

/// Given the nearest `f64` and the sign of `exact - nearest`, the value rounded to odd.
fn to_odd(nearest: f64, error: f64) -> f64 {
    if error == 0.0 || !nearest.is_finite() || !error.is_finite() || nearest.to_bits() & 1 == 1 {
        nearest
    } else if (error > 0.0) == (nearest > 0.0) {
        f64::from_bits(nearest.to_bits() + 1)
    } else {
        f64::from_bits(nearest.to_bits() - 1)
    }
}

/// `exact - (a + b)` for `sum = a + b`: Knuth's TwoSum.
pub(super) fn sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let b_part = sum - a;
    (a - (sum - b_part)) + (b - b_part)
}

/// `a + b` rounded to odd.
pub fn add_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    to_odd(sum, sum_error(a, b, sum))
}

/// `a * b + c` rounded to odd, for `a` and `b` of at most 26 significant bits (their product is
/// then exact).
pub fn fma_odd(a: f64, b: f64, c: f64) -> f64 {
    add_odd(a * b, c)
}

/// `a / b` rounded to odd, for operands in the range of `f32`.
pub fn div_odd(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    if !quotient.is_finite() || quotient == 0.0 {
        return quotient;
    }
    let rest = (-quotient).mul_add(b, a);
    to_odd(quotient, if b < 0.0 { -rest } else { rest })
}

/// The square root of `a` rounded to odd, for `a` in the range of `f32`.
pub fn sqrt_odd(a: f64) -> f64 {
    let root = a.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    to_odd(root, (-root).mul_add(root, a))
}

/// An integer as `f64` rounded to odd.
pub fn integer_odd(value: i128) -> f64 {
    let nearest = value as f64;
    // Below 2^65 the nearest f64 is an integer that fits, so the error is exact.
    to_odd(nearest, (value - nearest as i128) as f64)
}

/// An operation on two or three operands of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a * b + c`
    Fma,
    /// `a / b`
    Div,
    /// `1 / a`
    Rcp,
    /// `sqrt(a)`
    Sqrt,
}

/// How an arithmetic instruction rounds and what it does to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Rounding mode; PTX's default is `.rn`.
    pub rounding: Rounding,
    /// `.ftz`: subnormal operands and results become zeros of the same sign.
    pub ftz: bool,
    /// `.sat`: clamp to [0, 1], NaN becomes +0.
    pub sat: bool,
    /// `.relu`: negative results become +0, NaN becomes canonical.
    pub relu: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self { rounding: Rounding::NearestEven, ftz: false, sat: false, relu: false }
    }
}

/// `operation(a, b, c)` on codes of `format` (`f32`, `f16` or `bf16`), rounded once.
pub fn compute(format: &Format, operation: Operation, operands: [u32; 3], mode: Mode) -> u32 {
    let [a, b, c] =
        operands.map(|code| format.decode(if mode.ftz { format.flush(code) } else { code }));
    let exact = match operation {
        Operation::Add => add_odd(a, b),
        Operation::Sub => add_odd(a, -b),
        Operation::Mul => a * b,
        Operation::Fma => fma_odd(a, b, c),
        Operation::Div => div_odd(a, b),
        Operation::Rcp => div_odd(1.0, a),
        Operation::Sqrt => sqrt_odd(a),
    };
    // A sum that cancels exactly is +0, but -0 when rounding down (IEEE 754, 6.3).
    let exact = if exact == 0.0 && mode.rounding == Rounding::Down && cancels(operation, a, b, c) {
        -0.0
    } else {
        exact
    };
    finish(format, exact, mode)
}

/// Whether a zero result came from two terms of opposite sign.
pub(super) fn cancels(operation: Operation, a: f64, b: f64, c: f64) -> bool {
    let (x, y) = match operation {
        Operation::Add => (a, b),
        Operation::Sub => (a, -b),
        Operation::Fma => (a * b, c),
        _ => return false,
    };
    x.is_sign_negative() != y.is_sign_negative()
}

/// Rounds an exact (or rounded-to-odd) result into `format` and applies the result modifiers.
pub fn finish(format: &Format, exact: f64, mode: Mode) -> u32 {
    let exact = match exact {
        x if mode.sat && (x.is_nan() || x <= 0.0) => 0.0,
        x if mode.sat && x > 1.0 => 1.0,
        x if mode.relu && x <= 0.0 => 0.0,
        x => x,
    };
    let code = format.encode(exact, mode.rounding, Overflow::Infinity);
    if mode.ftz { format.flush(code) } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact answer by brute force: the neighbour of the rounded-to-nearest result that the
    /// mode asks for, found by comparing exact integers.
    #[test]
    fn f32_sums_and_products_round_once_in_every_mode() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            // Exponents near each other, so that sums do cancel and do span more than 53 bits.
            let mut draw = || {
                let bits = next();
                f32::from_bits((bits as u32 & 0x807f_ffff) | ((bits >> 40) as u32 % 120 + 70) << 23)
            };
            let (a, b, c) = (draw(), draw(), draw());
            let run = |operation, rounding| {
                let mode = Mode { rounding, ..Mode::default() };
                f32::from_bits(compute(
                    &Format::F32,
                    operation,
                    [a.to_bits(), b.to_bits(), c.to_bits()],
                    mode,
                ))
            };
            assert_eq!(run(Operation::Add, Rounding::NearestEven), a + b);
            assert_eq!(run(Operation::Mul, Rounding::NearestEven), a * b);
            assert_eq!(run(Operation::Div, Rounding::NearestEven), a / b);
            assert_eq!(
                run(Operation::Fma, Rounding::NearestEven),
                a.mul_add(b, c),
                "{a:e} {b:e} {c:e}"
            );
            assert_eq!(
                run(Operation::Sqrt, Rounding::NearestEven).to_bits() & 0x7fff_ffff,
                match a.sqrt() {
                    x if x.is_nan() => 0x7fff_ffff,
                    x => x.to_bits(),
                }
            );
            for operation in [Operation::Add, Operation::Fma, Operation::Div] {
                let (down, up) = (run(operation, Rounding::Down), run(operation, Rounding::Up));
                let (near, zero) =
                    (run(operation, Rounding::NearestEven), run(operation, Rounding::Zero));
                assert!(down <= near && near <= up);
                assert!(up == down || up == down.next_up());
                assert_eq!(zero, if near > 0.0 { down } else { up });
            }
        }
    }

    #[test]
    fn fma_does_not_round_twice() {
        // 1 + 2^-24 is halfway between neighbours; the product's last bit, far below, decides.
        let (a, b) = (1.0f32 + f32::EPSILON, 2.0f32.powi(-24));
        let up = compute(
            &Format::F32,
            Operation::Fma,
            [a.to_bits(), b.to_bits(), 1f32.to_bits()],
            Mode::default(),
        );
        assert_eq!(f32::from_bits(up), 1.0 + f32::EPSILON);
        // In bf16, 1.0078125 * 2^-8 + 1 lies just above the tie; the product or the sum rounded by
        // itself would hit it.
        let bf16 = |x: f64| Format::BF16.encode(x, Rounding::NearestEven, Overflow::Infinity);
        let operands = [bf16(1.0078125), bf16(2f64.powi(-8)), bf16(1.0)];
        assert_eq!(
            compute(&Format::BF16, Operation::Fma, operands, Mode::default()),
            bf16(1.0078125)
        );
    }

    #[test]
    fn flush_saturate_relu() {
        let subnormal = 1u32;
        let mode = Mode { ftz: true, ..Mode::default() };
        assert_eq!(compute(&Format::F32, Operation::Add, [subnormal, 0, 0], mode), 0);
        let mode = Mode { sat: true, ..Mode::default() };
        let two = 2f32.to_bits();
        assert_eq!(compute(&Format::F32, Operation::Add, [two, two, 0], mode), 1f32.to_bits());
        assert_eq!(compute(&Format::F32, Operation::Add, [0x7fc0_0000, two, 0], mode), 0);
        let mode = Mode { relu: true, ..Mode::default() };
        assert_eq!(compute(&Format::F16, Operation::Mul, [0x3c00, 0xbc00, 0], mode), 0);
        assert_eq!(compute(&Format::F16, Operation::Mul, [0x7e01, 0xbc00, 0], mode), 0x7fff);
    }
}
