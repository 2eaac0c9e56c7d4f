//! `f32` and `f64` arithmetic; see PTX ISA 9.7.3.
//!
//! Round-to-nearest `f32` without `.sat` takes the processor's own arithmetic, which rounds the same way; every other
//! mode goes through [`crate::convert::exact`]. NaN results are PTX's canonical ones.

use super::arithmetic::{Function, operation};
use super::lanes::{map1, map2, map3};
use super::{Decoded, Input};
use crate::convert::Rounding;
use crate::convert::double::compute_f64;
use crate::convert::exact::{Mode, Operation, compute};
use crate::convert::format::Format;
use crate::ptx::Type;
use crate::ptx::alu_op::Alu;
use crate::ptx::instruction::Op;

/// Canonical NaN of `f32`.
const NAN: u32 = 0x7fff_ffff;

/// Modifiers of an instruction; each may appear once.
struct Modifiers {
    rounding: Option<Rounding>,
    ftz: bool,
    sat: bool,
    nan: bool,
    xorsign: bool,
}

impl Modifiers {
    fn parse(name: &str, modifiers: &[&str]) -> Result<Self, String> {
        let mut found = Self { rounding: None, ftz: false, sat: false, nan: false, xorsign: false };
        let mut abs = false;
        for modifier in modifiers {
            let flag = match *modifier {
                "ftz" => &mut found.ftz,
                "sat" => &mut found.sat,
                "NaN" => &mut found.nan,
                "xorsign" => &mut found.xorsign,
                "abs" => &mut abs,
                "rn" | "rz" | "rm" | "rp" if found.rounding.is_none() => {
                    found.rounding = Rounding::parse(modifier);
                    continue;
                }
                other => return Err(format!("{name} does not take .{other}")),
            };
            if std::mem::replace(flag, true) {
                return Err(format!("{name} has .{modifier} twice"));
            }
        }
        if abs == found.xorsign {
            Ok(found)
        } else {
            Err(format!("{name}: .xorsign goes with .abs"))
        }
    }
}

fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn bits(value: f32) -> u64 {
    u64::from(if value.is_nan() { NAN } else { value.to_bits() })
}

fn flush(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

pub fn decode(input: &Input<'_, '_>, modifiers: &[&str], ty: Type) -> Decoded {
    let found = Modifiers::parse(input.name, modifiers)?;
    let double = ty == Type::F64;
    let refuse = |what: &str| Err(format!("{}.{ty:?} does not take {what}", input.name));
    if double && (found.ftz || found.sat || found.nan || found.xorsign) {
        return refuse(".ftz, .sat, .NaN or .xorsign");
    }
    let operation_of = match input.name {
        "add" => Some(Operation::Add),
        "sub" => Some(Operation::Sub),
        "mul" => Some(Operation::Mul),
        "fma" | "mad" => Some(Operation::Fma),
        "div" => Some(Operation::Div),
        "rcp" => Some(Operation::Rcp),
        "sqrt" => Some(Operation::Sqrt),
        _ => None,
    };
    let f = if let Some(kind) = operation_of {
        let must_round =
            matches!(kind, Operation::Fma | Operation::Div | Operation::Rcp | Operation::Sqrt);
        if must_round && found.rounding.is_none() {
            return refuse("no rounding modifier");
        }
        if found.nan || found.xorsign || (found.sat && must_round && kind != Operation::Fma) {
            return refuse("such a modifier");
        }
        rounded(kind, &found, double)
    } else {
        if found.rounding.is_some() || found.sat {
            return refuse("rounding or .sat");
        }
        if (found.nan || found.xorsign) && !matches!(input.name, "min" | "max") {
            return refuse(".NaN or .xorsign");
        }
        unrounded(input, &found, double)?
    };
    operation(input, f, ty, ty, true)
}

fn rounded(kind: Operation, found: &Modifiers, double: bool) -> Function {
    let rounding = found.rounding.unwrap_or(Rounding::NearestEven);
    if double {
        let run = move |a: u64, b: u64, c: u64| {
            compute_f64(kind, [a, b, c].map(f64::from_bits), rounding).to_bits()
        };
        return arity(kind, run);
    }
    if rounding == Rounding::NearestEven && !found.sat && !found.ftz {
        match kind {
            Operation::Add => return Function::Two(map2(|a, b| bits(single(a) + single(b)))),
            Operation::Sub => return Function::Two(map2(|a, b| bits(single(a) - single(b)))),
            Operation::Mul => return Function::Two(map2(|a, b| bits(single(a) * single(b)))),
            Operation::Fma => {
                return Function::Three(map3(|a, b, c| {
                    bits(single(a).mul_add(single(b), single(c)))
                }));
            }
            _ => {}
        }
    }
    let mode = Mode { rounding, ftz: found.ftz, sat: found.sat, relu: false };
    arity(kind, move |a, b, c| {
        u64::from(compute(&Format::F32, kind, [a, b, c].map(|x| x as u32), mode))
    })
}

fn arity(kind: Operation, run: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static) -> Function {
    match kind {
        Operation::Rcp | Operation::Sqrt => Function::One(map1(move |a| run(a, 0, 0))),
        Operation::Fma => Function::Three(map3(run)),
        _ => Function::Two(map2(move |a, b| run(a, b, 0))),
    }
}

/// Absolute value, sign and selection.
fn unrounded(input: &Input<'_, '_>, found: &Modifiers, double: bool) -> Result<Function, String> {
    let ftz = found.ftz;
    let sign = if double { 1u64 << 63 } else { 1 << 31 };
    let clean = move |x: u64| if ftz { u64::from(flush(single(x)).to_bits()) } else { x };
    Ok(match input.name {
        "abs" => Function::One(map1(move |a| clean(a) & !sign)),
        "neg" => Function::One(map1(move |a| clean(a) ^ sign)),
        "copysign" if !ftz => Function::Two(map2(move |a, b| b & !sign | a & sign)),
        "min" | "max" if double => {
            let max = input.name == "max";
            Function::Two(map2(move |a, b| {
                select(f64::from_bits(a), f64::from_bits(b), max, false).to_bits()
            }))
        }
        "min" | "max" => {
            let (max, nan, xorsign) = (input.name == "max", found.nan, found.xorsign);
            let pick = move |a: u64, b: u64| {
                let (a, b) = (single(clean(a)), single(clean(b)));
                let (x, y) = if xorsign { (a.abs(), b.abs()) } else { (a, b) };
                let chosen = select(f64::from(x), f64::from(y), max, nan) as f32;
                let flip =
                    xorsign && !chosen.is_nan() && a.is_sign_negative() != b.is_sign_negative();
                bits(if flip { -chosen } else { chosen })
            };
            if input.operands.len() == 4 && !xorsign {
                Function::Three(map3(move |a, b, c| pick(pick(a, b), c)))
            } else {
                Function::Two(map2(pick))
            }
        }
        name => return Err(format!("{name} is not modelled for floating-point types")),
    })
}

/// IEEE 754-2019 minimumNumber or maximumNumber, or with `propagate` minimum or maximum; `-0 < +0`.
fn select(a: f64, b: f64, max: bool, propagate: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f64::from_bits(0x7fff_ffff_ffff_ffff),
        (true, false) | (false, true) if propagate => f64::NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) => {
            let less = a < b || (a == b && a.is_sign_negative());
            if less == max { b } else { a }
        }
    }
}

/// `add`, `sub`, `fma` of `f32` with `f16` or `bf16` operands (PTX ISA 9.7.5): `d, a, c` or `d, a, b, c`, all but the
/// last operand narrow.
pub fn mixed(input: &Input<'_, '_>, names: &[&str], narrow: &str) -> Decoded {
    let (format, narrow) = match narrow {
        "f16" => (Format::F16, Type::F16),
        _ => (Format::BF16, Type::Bf16),
    };
    let found = Modifiers::parse(input.name, &names[..names.len() - 1])?;
    let rounding = found.rounding.unwrap_or(Rounding::NearestEven);
    if found.ftz || found.nan || found.xorsign {
        return Err(format!("{} does not take such a modifier with mixed types", input.name));
    }
    let mode = Mode { rounding, ftz: false, sat: found.sat, relu: false };
    let widen = move |x: u64| (format.decode(x as u32) as f32).to_bits();
    let to = input.operand(0)?.register(Type::F32)?;
    let source = |i: usize, ty: Type| input.operand(i)?.source(ty);
    Ok(Op::Alu(match input.name {
        "add" | "sub" => {
            input.count(3, 3)?;
            let kind = if input.name == "add" { Operation::Add } else { Operation::Sub };
            let f = map2(move |a, c| {
                u64::from(compute(&Format::F32, kind, [widen(a), c as u32, 0], mode))
            });
            Alu::Map2 { float: true, f, to, a: source(1, narrow)?, b: source(2, Type::F32)? }
        }
        "fma" => {
            input.count(4, 4)?;
            let f = map3(move |a, b, c| {
                u64::from(compute(
                    &Format::F32,
                    Operation::Fma,
                    [widen(a), widen(b), c as u32],
                    mode,
                ))
            });
            Alu::Map3 {
                float: true,
                f,
                to,
                a: source(1, narrow)?,
                b: source(2, narrow)?,
                c: source(3, Type::F32)?,
            }
        }
        name => return Err(format!("{name} has no mixed-precision form")),
    }))
}
