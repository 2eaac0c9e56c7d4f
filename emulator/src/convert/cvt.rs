//! The `cvt` instruction: every pair of types of PTX ISA 9.0, 9.7.9.21, parsed strictly and
//! converted with one rounding.
//!
//! Register images go in and out as `u64`: a packed destination has its first source operand in the
//! upper half, a signed integer is sign-extended, everything else zero-extended. `.rs` (stochastic
//! rounding) is supported for `f16x2` and `bf16x2`, whose use of the random bits the ISA's text
//! defines; for the `x4` types it gives only a figure, so they are refused.

use super::exact::integer_odd;
use super::format::{Format, Overflow, Rounding, decode_ue8m0, encode_ue8m0};
use super::integer::{Integer, round_integral};

mod rules;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Integer(Integer),
    F64,
    /// One element of a format.
    Float(Format),
    /// Two elements, each in a field of so many bits.
    Pair(Format, u32),
    /// Two UE8M0 codes in a byte each.
    ScalePair,
}

/// A decoded `cvt`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cvt {
    to: Type,
    from: Type,
    rounding: Option<Rounding>,
    integral: Option<Rounding>,
    stochastic: bool,
    ftz: bool,
    sat: bool,
    satfinite: bool,
    relu: bool,
}

impl Cvt {
    /// Parses the qualifiers after `cvt`, e.g. `["rn", "satfinite", "e4m3x2", "f32"]`.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse(qualifiers: &[&str]) -> Result<Self, String> {
        let [modifiers @ .., to, from] = qualifiers else {
            return Err("cvt needs a destination and a source type".into());
        };
        let kind = |name: &str| {
            parse_type(name).ok_or_else(|| format!("cvt does not know the type .{name}"))
        };
        let (to, from) = (kind(to)?, kind(from)?);
        let mut cvt = Self {
            to,
            from,
            rounding: None,
            integral: None,
            stochastic: false,
            ftz: false,
            sat: false,
            satfinite: false,
            relu: false,
        };
        for &modifier in modifiers {
            let repeated = match modifier {
                "ftz" => std::mem::replace(&mut cvt.ftz, true),
                "sat" => std::mem::replace(&mut cvt.sat, true),
                "satfinite" => std::mem::replace(&mut cvt.satfinite, true),
                "relu" => std::mem::replace(&mut cvt.relu, true),
                "rs" => std::mem::replace(&mut cvt.stochastic, true),
                "rni" | "rzi" | "rmi" | "rpi" => cvt
                    .integral
                    .replace(Rounding::parse(&modifier[..2]).unwrap_or(Rounding::Zero))
                    .is_some(),
                _ => match Rounding::parse(modifier) {
                    Some(rounding) => cvt.rounding.replace(rounding).is_some(),
                    None => return Err(format!("cvt does not know the qualifier .{modifier}")),
                },
            };
            if repeated {
                return Err(format!("cvt has .{modifier} twice"));
            }
        }
        cvt.validate()?;
        Ok(cvt)
    }

    /// How many source registers the instruction reads, without the random bits of `.rs`.
    pub fn sources(&self) -> usize {
        match (self.to, self.from) {
            (Type::Pair(..) | Type::ScalePair, Type::Float(_)) => 2,
            _ => 1,
        }
    }

    /// Whether a last operand gives the random bits of `.rs`.
    pub fn needs_random_bits(&self) -> bool {
        self.stochastic
    }

    /// Converts. `sources` are register images in operand order; `random` is the operand of `.rs`,
    /// else ignored.
    pub fn apply(&self, sources: [u64; 2], random: u32) -> u64 {
        match (self.to, self.from) {
            (Type::Integer(to), Type::Integer(from)) => {
                let value = from.read(sources[0]);
                to.write(if self.sat { to.clamp(value) } else { value })
            }
            (Type::Integer(to), from) => {
                let rounding = self.integral.unwrap_or(Rounding::Zero);
                to.round_float(self.read(from, sources[0]), rounding, from == Type::F64)
            }
            (to, Type::Integer(from)) => self.integer_to_float(to, from.read(sources[0])),
            (Type::Pair(format, field), Type::Float(_)) => {
                let [high, low] = sources.map(|x| f64::from(f32::from_bits(x as u32)));
                let round = |shift: u32| match self.stochastic {
                    true => {
                        let width = 23 - format.fraction;
                        Rounding::Stochastic {
                            bits: random >> shift & super::format::low_mask(width),
                            width,
                        }
                    }
                    false => self.rounding.unwrap_or(Rounding::NearestEven),
                };
                let [high, low] =
                    [self.encode(&format, high, round(16)), self.encode(&format, low, round(0))];
                u64::from(high) << field | u64::from(low)
            }
            (Type::Pair(to, wide), Type::Pair(from, narrow)) => {
                let convert = |code: u64| {
                    u64::from(self.encode(&to, from.decode(code as u32), Rounding::NearestEven))
                };
                convert(sources[0] >> narrow) << wide
                    | convert(sources[0] & u64::from(super::format::low_mask(narrow)))
            }
            (Type::ScalePair, from) => {
                let [high, low] = match from {
                    Type::Float(format) => sources.map(|x| format.decode(x as u32)),
                    _ => [sources[0] >> 16, sources[0]]
                        .map(|x| Format::BF16.decode(x as u32 & 0xffff)),
                };
                let overflow = if self.satfinite { Overflow::Saturate } else { Overflow::Infinity };
                let code =
                    |x| u64::from(encode_ue8m0(x, self.rounding == Some(Rounding::Up), overflow));
                code(high) << 8 | code(low)
            }
            (Type::Pair(to, field), Type::ScalePair) => {
                let convert = |code: u64| {
                    u64::from(to.encode(
                        decode_ue8m0(code as u8),
                        Rounding::NearestEven,
                        Overflow::Infinity,
                    ))
                };
                convert(sources[0] >> 8) << field | convert(sources[0])
            }
            (to, from) => self.write(to, self.read(from, sources[0])),
        }
    }

    /// A source value with `.ftz` applied.
    fn read(&self, from: Type, register: u64) -> f64 {
        match from {
            Type::F64 => f64::from_bits(register),
            Type::Float(format) => {
                let code = register as u32 & super::format::low_mask(format.bits);
                format.decode(if self.ftz && format == Format::F32 {
                    format.flush(code)
                } else {
                    code
                })
            }
            _ => f64::NAN,
        }
    }

    fn integer_to_float(&self, to: Type, value: i128) -> u64 {
        let rounding = self.rounding.unwrap_or(Rounding::NearestEven);
        if to != Type::F64 {
            return self.write(to, integer_odd(value));
        }
        let nearest = value as f64;
        let error = value - nearest as i128;
        let rounded = match rounding {
            Rounding::Down if error < 0 => nearest.next_down(),
            Rounding::Up if error > 0 => nearest.next_up(),
            Rounding::Zero if error != 0 && (error < 0) == (value > 0) => {
                f64::from_bits(nearest.to_bits() - 1)
            }
            _ => nearest,
        };
        self.write(to, rounded)
    }

    fn write(&self, to: Type, value: f64) -> u64 {
        let value = match self.integral {
            Some(rounding) => round_integral(value, rounding),
            None => value,
        };
        let value = match value {
            x if self.sat && (x.is_nan() || x <= 0.0) => 0.0,
            x if self.sat && x > 1.0 => 1.0,
            x => x,
        };
        match to {
            Type::Float(format) => {
                let code =
                    self.encode(&format, value, self.rounding.unwrap_or(Rounding::NearestEven));
                let code =
                    if self.ftz && format == Format::F32 { format.flush(code) } else { code };
                // tf32 lives in the upper bits of a 32-bit register.
                u64::from(code) << if format == Format::TF32 { 13 } else { 0 }
            }
            _ if value.is_nan() => 0x7fff_ffff_ffff_ffff,
            _ => value.to_bits(),
        }
    }

    fn encode(&self, format: &Format, value: f64, rounding: Rounding) -> u32 {
        let overflow = if self.satfinite { Overflow::Saturate } else { Overflow::Infinity };
        let value = if self.relu && value <= 0.0 { 0.0 } else { value };
        format.encode(value, rounding, overflow)
    }
}

fn parse_type(name: &str) -> Option<Type> {
    Some(match name {
        "f64" => Type::F64,
        "f32" => Type::Float(Format::F32),
        "f16" => Type::Float(Format::F16),
        "bf16" => Type::Float(Format::BF16),
        "tf32" => Type::Float(Format::TF32),
        "f16x2" => Type::Pair(Format::F16, 16),
        "bf16x2" => Type::Pair(Format::BF16, 16),
        "e4m3x2" => Type::Pair(Format::E4M3, 8),
        "e5m2x2" => Type::Pair(Format::E5M2, 8),
        "e2m3x2" => Type::Pair(Format::E2M3, 8),
        "e3m2x2" => Type::Pair(Format::E3M2, 8),
        "e2m1x2" => Type::Pair(Format::E2M1, 4),
        "ue8m0x2" => Type::ScalePair,
        _ => Type::Integer(Integer::parse(name)?),
    })
}

#[cfg(test)]
mod tests;
