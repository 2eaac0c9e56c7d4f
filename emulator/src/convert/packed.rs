//! Two-lane arithmetic: `f16x2` and `bf16x2` in a 32-bit register, `f32x2` in a 64-bit one.
//!
//! Each half is computed by itself with one rounding. Qualifiers are those of PTX ISA 9.0, 9.7.3
//! (for `.f32x2`) and 9.7.4; the scalar `f16` and `bf16` forms take the same path.

use super::exact::{Mode, Operation, compute};
use super::format::{Format, Rounding};

/// What an instruction does to each half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Arithmetic(Operation),
    Min,
    Max,
    Neg,
    Abs,
}

/// A decoded scalar or packed half-precision instruction, or packed `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    kind: Kind,
    format: Format,
    lanes: u32,
    mode: Mode,
    nan: bool,
    xorsign: bool,
    oob: bool,
}

impl Packed {
    /// Whether this module implements `mnemonic` for the type `kind` (the last qualifier).
    pub fn handles(mnemonic: &str, kind: &str) -> bool {
        match kind {
            "f32x2" => matches!(mnemonic, "add" | "sub" | "mul" | "fma"),
            "f16" | "bf16" | "f16x2" | "bf16x2" => {
                matches!(mnemonic, "add" | "sub" | "mul" | "fma" | "min" | "max" | "neg" | "abs")
            }
            _ => false,
        }
    }

    /// Parses `mnemonic` and the qualifiers after it, e.g. `("fma", ["rn", "bf16x2"])`.
    ///
    /// # Errors
    /// A sentence naming the qualifier or type that the ISA does not list.
    pub fn parse(mnemonic: &str, qualifiers: &[&str]) -> Result<Self, String> {
        let [modifiers @ .., name] = qualifiers else {
            return Err(format!("{mnemonic} needs a type"));
        };
        if !Self::handles(mnemonic, name) {
            return Err(format!("{mnemonic} is not defined for .{name}"));
        }
        let (format, lanes) = match *name {
            "f16" => (Format::F16, 1),
            "bf16" => (Format::BF16, 1),
            "f16x2" => (Format::F16, 2),
            "bf16x2" => (Format::BF16, 2),
            _ => (Format::F32, 2),
        };
        let kind = match mnemonic {
            "add" => Kind::Arithmetic(Operation::Add),
            "sub" => Kind::Arithmetic(Operation::Sub),
            "mul" => Kind::Arithmetic(Operation::Mul),
            "fma" => Kind::Arithmetic(Operation::Fma),
            "min" => Kind::Min,
            "max" => Kind::Max,
            "neg" => Kind::Neg,
            _ => Kind::Abs,
        };
        let mut packed = Self {
            kind,
            format,
            lanes,
            mode: Mode::default(),
            nan: false,
            xorsign: false,
            oob: false,
        };
        let arithmetic = matches!(kind, Kind::Arithmetic(_));
        let select = matches!(kind, Kind::Min | Kind::Max);
        let fma = kind == Kind::Arithmetic(Operation::Fma);
        let mut rounded = false;
        for &modifier in modifiers {
            match modifier {
                "rn" if arithmetic => rounded = true,
                "rz" | "rm" | "rp" if arithmetic && format == Format::F32 => {
                    rounded = true;
                    packed.mode.rounding =
                        Rounding::parse(modifier).unwrap_or(Rounding::NearestEven);
                }
                "ftz" if format != Format::BF16 => packed.mode.ftz = true,
                "sat" if arithmetic && format == Format::F16 => packed.mode.sat = true,
                "relu" if fma && format != Format::F32 => packed.mode.relu = true,
                "oob" if fma && format != Format::F32 => packed.oob = true,
                "NaN" if select => packed.nan = true,
                "xorsign" if select => packed.xorsign = true,
                "abs" if packed.xorsign => {}
                _ => return Err(format!("{mnemonic}.{name} does not take .{modifier}")),
            }
        }
        if packed.xorsign && !modifiers.contains(&"abs") {
            return Err(format!("{mnemonic}: .xorsign goes with .abs"));
        }
        if fma && !rounded {
            return Err(format!("fma.{name} needs a rounding modifier"));
        }
        Ok(packed)
    }

    /// Number of source operands.
    pub fn sources(&self) -> usize {
        match self.kind {
            Kind::Neg | Kind::Abs => 1,
            Kind::Arithmetic(Operation::Fma) => 3,
            _ => 2,
        }
    }

    /// Computes on register images, lane by lane.
    pub fn apply(&self, sources: [u64; 3]) -> u64 {
        let width = self.format.bits;
        (0..self.lanes).fold(0, |result, lane| {
            let operands =
                sources.map(|x| (x >> (lane * width)) as u32 & super::format::low_mask(width));
            result | u64::from(self.lane(operands)) << (lane * width)
        })
    }

    fn lane(&self, operands: [u32; 3]) -> u32 {
        let format = &self.format;
        let sign = 1 << (format.bits - 1);
        let [a, b, _] = operands.map(|x| if self.mode.ftz { format.flush(x) } else { x });
        match self.kind {
            // The special NaN that out-of-bounds TMA elements are filled with (ISA 5.5.5,
            // "OOB-NaN") has every bit set.
            Kind::Arithmetic(_) if self.oob && operands[..2].contains(&0xffff) => 0,
            Kind::Arithmetic(operation) => compute(format, operation, operands, self.mode),
            Kind::Neg => a ^ sign,
            Kind::Abs => a & !sign,
            Kind::Min | Kind::Max => {
                let flip = if self.xorsign { (a ^ b) & sign } else { 0 };
                let [x, y] = if self.xorsign { [a & !sign, b & !sign] } else { [a, b] };
                let chosen = select(format, x, y, self.kind == Kind::Max, self.nan);
                if self.xorsign && Some(chosen) != format.nan {
                    chosen & !sign | flip
                } else {
                    chosen
                }
            }
        }
    }
}

/// IEEE 754-2019 minimumNumber/maximumNumber, or minimum/maximum with `propagate_nan`; `-0 < +0`.
fn select(format: &Format, a: u32, b: u32, max: bool, propagate_nan: bool) -> u32 {
    let (x, y) = (format.decode(a), format.decode(b));
    let nan = format.nan.unwrap_or(0);
    match (x.is_nan(), y.is_nan()) {
        (true, true) => nan,
        (true, false) | (false, true) if propagate_nan => nan,
        (true, false) => b,
        (false, true) => a,
        (false, false) => {
            let less = x < y || (x == y && x.is_sign_negative());
            if less == max { b } else { a }
        }
    }
}

#[cfg(test)]
mod tests;
