//! Tests of the formats: against their definition, against a second implementation, against tables, and by property.

mod codecs;
mod quantise;
mod tables;

use super::{E2M1, E4M3, E5M2, Minifloat};

/// A small float by its parameters, for tests that recompute everything from them.
struct Definition {
    name: &'static str,
    codec: Minifloat,
    bits: u32,
    mantissa_bits: u32,
    bias: i32,
    max: f64,
}

const DEFINITIONS: [Definition; 3] = [
    Definition { name: "E4M3", codec: E4M3, bits: 8, mantissa_bits: 3, bias: 7, max: 448.0 },
    Definition { name: "E5M2", codec: E5M2, bits: 8, mantissa_bits: 2, bias: 15, max: 57344.0 },
    Definition { name: "E2M1", codec: E2M1, bits: 4, mantissa_bits: 1, bias: 1, max: 6.0 },
];

impl Definition {
    fn sign(&self) -> u8 {
        1 << (self.bits - 1)
    }

    /// The value of a magnitude, as if the format had neither infinity nor NaN.
    fn value(&self, magnitude: u8) -> f64 {
        let field = i32::from(magnitude >> self.mantissa_bits);
        let fraction = f64::from(magnitude & ((1 << self.mantissa_bits) - 1))
            / f64::from(1u8 << self.mantissa_bits);
        if field == 0 {
            fraction * 2f64.powi(1 - self.bias)
        } else {
            (1.0 + fraction) * 2f64.powi(field - self.bias)
        }
    }

    fn magnitudes(&self) -> impl Iterator<Item = (u8, f64)> + '_ {
        (0..self.sign())
            .map(|code| (code, self.value(code)))
            .filter(|(_, value)| *value <= self.max)
    }

    /// The nearest code of `value` over `scale` by search: saturating, ties to even, sign kept.
    fn nearest(&self, value: f64, scale: f64) -> u8 {
        let target = value.abs().min(self.max * scale);
        let distance = |candidate: f64| (target - candidate * scale).abs();
        let (code, _) = self
            .magnitudes()
            .reduce(|best, next| {
                let (old, new) = (distance(best.1), distance(next.1));
                if new < old || (new == old && next.0 % 2 == 0) { next } else { best }
            })
            .unwrap();
        if value.is_sign_negative() { code | self.sign() } else { code }
    }
}
