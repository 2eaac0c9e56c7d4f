//! Which combinations of types and modifiers `cvt` has: the syntax table of PTX ISA 9.0, 9.7.9.21.

use super::{Cvt, Type};
use crate::convert::{Format, Rounding};

impl Cvt {
    pub(super) fn validate(&self) -> Result<(), String> {
        let fail = |why: &str| Err(format!("cvt: {why}"));
        let roundings = u32::from(self.rounding.is_some())
            + u32::from(self.integral.is_some())
            + u32::from(self.stochastic);
        if roundings > 1 {
            return fail("more than one rounding modifier");
        }
        if self.ftz
            && !matches!(
                (self.to, self.from),
                (Type::Float(Format::F32), _) | (_, Type::Float(Format::F32))
            )
        {
            return fail(".ftz needs .f32 as source or destination");
        }
        if self.relu
            && !matches!(
                self.to,
                Type::Float(Format::F16 | Format::BF16 | Format::TF32) | Type::Pair(..)
            )
        {
            return fail(".relu is not defined for this destination");
        }
        if self.sat
            && !matches!(
                self.to,
                Type::Integer(_) | Type::F64 | Type::Float(Format::F32 | Format::F16)
            )
        {
            return fail(".sat is not defined for this destination");
        }
        let satfinite = matches!(
            self.to,
            Type::Float(Format::F16 | Format::BF16 | Format::TF32)
                | Type::Pair(..)
                | Type::ScalePair
        );
        if self.satfinite && !satfinite {
            return fail(".satfinite is not defined for this destination");
        }
        match (self.to, self.from) {
            (Type::Integer(_), Type::Integer(_)) if roundings > 0 => {
                fail("rounding between integers")
            }
            (Type::Integer(_), Type::Integer(_)) => Ok(()),
            (Type::Integer(_), Type::F64 | Type::Float(_))
                if self.from != Type::Float(Format::TF32) =>
            {
                match self.integral {
                    Some(_) => Ok(()),
                    None => fail("float to integer needs .rni, .rzi, .rmi or .rpi"),
                }
            }
            (Type::F64 | Type::Float(_), Type::Integer(_))
                if self.to != Type::Float(Format::TF32) =>
            {
                match self.rounding {
                    Some(
                        Rounding::NearestEven | Rounding::Zero | Rounding::Down | Rounding::Up,
                    ) => Ok(()),
                    _ => fail("integer to float needs .rn, .rz, .rm or .rp"),
                }
            }
            (Type::Float(Format::TF32), Type::Float(Format::F32)) => match self.rounding {
                Some(Rounding::NearestEven | Rounding::Zero) => Ok(()),
                Some(Rounding::NearestAway) if !self.relu => Ok(()),
                _ => fail("to .tf32 needs .rn, .rz or .rna"),
            },
            (Type::F64 | Type::Float(_), Type::F64 | Type::Float(_)) => {
                self.validate_float_to_float()
            }
            (Type::Pair(Format::F16 | Format::BF16, 16), Type::Float(Format::F32)) => {
                match self.rounding {
                    Some(Rounding::NearestEven | Rounding::Zero) => Ok(()),
                    None if self.stochastic => Ok(()),
                    _ => fail("to .f16x2 or .bf16x2 needs .rn, .rz or .rs"),
                }
            }
            (Type::Pair(_, 4 | 8), Type::Float(Format::F32)) => self.validate_narrow(),
            // From halves: the 8-bit types from f16x2 since ISA 7.8, all from both since 9.1.
            (Type::Pair(_, 4 | 8), Type::Pair(Format::F16 | Format::BF16, 16)) => {
                self.validate_narrow()
            }
            // To bf16x2 since ISA 9.1.
            (Type::Pair(Format::F16 | Format::BF16, 16), Type::Pair(_, 4 | 8)) => {
                match self.rounding {
                    Some(Rounding::NearestEven) if !self.satfinite => Ok(()),
                    _ => fail("widening to .f16x2 or .bf16x2 takes .rn and at most .relu"),
                }
            }
            (Type::ScalePair, Type::Float(Format::F32) | Type::Pair(Format::BF16, 16)) => {
                match self.rounding {
                    Some(Rounding::Zero | Rounding::Up) => Ok(()),
                    _ => fail("to .ue8m0x2 needs .rz or .rp"),
                }
            }
            (Type::Pair(Format::BF16, 16), Type::ScalePair) => match self.rounding {
                Some(Rounding::NearestEven) if !self.relu && !self.satfinite => Ok(()),
                _ => fail(".bf16x2 from .ue8m0x2 takes .rn only"),
            },
            _ => fail("no conversion between these types"),
        }
    }

    fn validate_narrow(&self) -> Result<(), String> {
        if self.rounding == Some(Rounding::NearestEven) && self.satfinite {
            return Ok(());
        }
        Err("cvt: an 8-, 6- or 4-bit destination needs .rn.satfinite (.rs is not supported)".into())
    }

    fn validate_float_to_float(&self) -> Result<(), String> {
        let width = |kind: Type| match kind {
            Type::F64 => 64,
            Type::Float(format) => format.bits,
            _ => 0,
        };
        if [self.to, self.from].contains(&Type::Float(Format::TF32)) {
            return Err("cvt: .tf32 is only a destination, from .f32".into());
        }
        let narrows = width(self.to) < width(self.from);
        // Between f16 and bf16 a rounding is allowed; without one ptxas takes the nearest.
        let exchanges = width(self.to) == width(self.from) && self.to != self.from;
        match (self.integral, self.rounding) {
            (Some(_), _) if self.to == self.from => Ok(()),
            (Some(_), _) => Err("cvt: integer rounding between floats needs equal types".into()),
            (
                None,
                Some(Rounding::NearestEven | Rounding::Zero | Rounding::Down | Rounding::Up),
            ) if narrows || exchanges => Ok(()),
            (None, None) if !narrows => Ok(()),
            _ if narrows => Err("cvt: narrowing needs .rn, .rz, .rm or .rp".into()),
            _ => Err("cvt: a conversion that loses nothing takes no rounding".into()),
        }
    }
}
