//! Comparison and selection; see PTX ISA 9.7.6 and 9.7.7.

use super::lanes::{extend, for_integer, map2, map3, test2};
use super::{Decoded, Input};
use crate::convert::format::Format;
use crate::ptx::Type;
use crate::ptx::alu_op::{Alu, BoolOp};
use crate::ptx::instruction::{Op, Test2};
use crate::ptx::operand::{Operand, Pred, PredSource};

const COMPARISONS: [&str; 18] = [
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu",
    "geu", "num", "nan",
];

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    match input.name {
        "setp" => setp(input),
        "set" => set(input),
        "selp" => {
            let ty = input.qualifiers.ty()?;
            let [to, a, b, p] = input.take::<4>()?;
            Ok(Op::Alu(Alu::Select {
                to: to.register(ty)?,
                a: a.source(ty)?,
                b: b.source(ty)?,
                p: p.predicate()?,
            }))
        }
        "slct" => slct(input),
        _ => testp(input),
    }
}

fn bool_op(input: &mut Input<'_, '_>) -> Option<BoolOp> {
    input.qualifiers.take_map(|part| match part {
        "and" => Some(BoolOp::And),
        "or" => Some(BoolOp::Or),
        "xor" => Some(BoolOp::Xor),
        _ => None,
    })
}

fn comparison(input: &mut Input<'_, '_>) -> Result<&'static str, String> {
    let found = input.qualifiers.take_map(|part| COMPARISONS.iter().find(|c| **c == part).copied());
    found.ok_or_else(|| format!("{} needs a comparison", input.name))
}

fn setp(input: &mut Input<'_, '_>) -> Decoded {
    let name = comparison(input)?;
    let op = bool_op(input);
    let ftz = input.qualifiers.take("ftz");
    let ty = input.qualifiers.ty()?;
    let count = 3 + usize::from(op.is_some());
    input.count(count, count)?;
    let (a, b) = (input.operand(1)?.source(ty)?, input.operand(2)?.source(ty)?);
    let combine = op.map(|op| Ok::<_, String>((op, input.operand(3)?.predicate()?))).transpose()?;
    let optional = |operand: &Operand<'_>| match operand {
        Operand::Sink => Ok(None),
        other => other.predicate_register().map(Some),
    };
    let (to, second): (Option<Pred>, Option<Pred>) = match input.operand(0)? {
        Operand::Pair(p, q) => (optional(p)?, optional(q)?),
        other => (optional(other)?, None),
    };
    if let Some(half) = half_of(ty) {
        let low = test(name, half, ftz)?;
        let shifted = test(name, half, ftz)?;
        let high: Test2 =
            std::sync::Arc::new(move |a, b| shifted(&a.map(|x| x >> 16), &b.map(|x| x >> 16)));
        return Ok(Op::Alu(Alu::ComparePacked { low, high, a, b, combine, to, second }));
    }
    Ok(Op::Alu(Alu::Compare { f: test(name, ty, ftz)?, a, b, combine, to, complement: second }))
}

fn half_of(ty: Type) -> Option<Type> {
    match ty {
        Type::F16x2 => Some(Type::F16),
        Type::Bf16x2 => Some(Type::Bf16),
        _ => None,
    }
}

/// `set`: the truth as 0xffffffff or 1.0.
fn set(input: &mut Input<'_, '_>) -> Decoded {
    let name = comparison(input)?;
    let op = bool_op(input);
    let ftz = input.qualifiers.take("ftz");
    let (to_type, ty) = (input.qualifiers.ty()?, input.qualifiers.ty()?);
    if matches!(ty, Type::F16x2 | Type::Bf16x2) {
        if op.is_some() {
            return Err("set of both halves with a boolean operation is not modelled".into());
        }
        return set_packed(input, name, to_type, ty, ftz);
    }
    let yes = match to_type {
        Type::U32 | Type::S32 => 0xffff_ffff,
        Type::U16 | Type::S16 => 0xffff,
        Type::F32 => u64::from(1f32.to_bits()),
        Type::F16 => 0x3c00,
        Type::Bf16 => 0x3f80,
        other => return Err(format!("set to .{other:?} is not modelled")),
    };
    let count = 3 + usize::from(op.is_some());
    input.count(count, count)?;
    let (a, b) = (input.operand(1)?.source(ty)?, input.operand(2)?.source(ty)?);
    let combine = op.map(|op| Ok::<_, String>((op, input.operand(3)?.predicate()?))).transpose()?;
    Ok(Op::Alu(Alu::Set {
        f: test(name, ty, ftz)?,
        a,
        b,
        combine,
        to: input.operand(0)?.register(to_type)?,
        yes,
    }))
}

/// `set` of both halves: 1.0 or 0xffff in each that is true.
fn set_packed(input: &Input<'_, '_>, name: &str, to_type: Type, ty: Type, ftz: bool) -> Decoded {
    let format = if ty == Type::F16x2 { Format::F16 } else { Format::BF16 };
    let one = match to_type {
        Type::U32 | Type::S32 => 0xffff,
        Type::F16x2 if to_type == ty => 0x3c00,
        Type::Bf16x2 if to_type == ty => 0x3f80,
        other => return Err(format!("set to .{other:?} from .{ty:?} is not defined")),
    };
    let f = float_test(name).ok_or_else(|| format!("set.{name} is not defined for halves"))?;
    let read = move |x: u64| {
        let code = x as u32 & 0xffff;
        format.decode(if ftz { format.flush(code) } else { code })
    };
    let half = move |a, b| if f(read(a), read(b)) { one } else { 0u64 };
    let [to, a, b] = input.take::<3>()?;
    Ok(Op::Alu(Alu::Map2 {
        float: true,
        f: map2(move |a, b| half(a, b) | half(a >> 16, b >> 16) << 16),
        to: to.register(to_type)?,
        a: a.source(ty)?,
        b: b.source(ty)?,
    }))
}

/// One comparison of one type.
fn test(name: &'static str, ty: Type, ftz: bool) -> Result<Test2, String> {
    let refuse = || format!("comparison .{name} is not defined for .{ty:?}");
    match ty {
        Type::F32 | Type::F64 | Type::F16 | Type::Bf16 => {
            if ftz && !matches!(ty, Type::F32 | Type::F16) {
                return Err(refuse());
            }
            let read = move |x: u64| match ty {
                Type::F64 => f64::from_bits(x),
                Type::F32 => {
                    Format::F32.decode(if ftz { Format::F32.flush(x as u32) } else { x as u32 })
                }
                Type::F16 => Format::F16.decode(if ftz {
                    Format::F16.flush(x as u32 & 0xffff)
                } else {
                    x as u32
                }),
                _ => Format::BF16.decode(x as u32),
            };
            let f = float_test(name).ok_or_else(refuse)?;
            Ok(test2(move |a, b| f(read(a), read(b))))
        }
        _ if ftz => Err(refuse()),
        Type::B16 | Type::B32 | Type::B64 => {
            let mask = crate::ptx::operand::low_bits(ty.bits());
            match name {
                "eq" => Ok(test2(move |a, b| (a ^ b) & mask == 0)),
                "ne" => Ok(test2(move |a, b| (a ^ b) & mask != 0)),
                _ => Err(refuse()),
            }
        }
        _ => for_integer!(ty, T, U => {
            let _: U = 0;
            let unsigned = !ty.is_signed();
            match name {
                "eq" => Some(test2(|a, b| a as T == b as T)),
                "ne" => Some(test2(|a, b| a as T != b as T)),
                "lt" => Some(test2(|a, b| (a as T) < b as T)),
                "le" => Some(test2(|a, b| a as T <= b as T)),
                "gt" => Some(test2(|a, b| a as T > b as T)),
                "ge" => Some(test2(|a, b| a as T >= b as T)),
                "lo" if unsigned => Some(test2(|a, b| (a as T) < b as T)),
                "ls" if unsigned => Some(test2(|a, b| a as T <= b as T)),
                "hi" if unsigned => Some(test2(|a, b| a as T > b as T)),
                "hs" if unsigned => Some(test2(|a, b| a as T >= b as T)),
                _ => None,
            }
        })
        .flatten()
        .ok_or_else(refuse),
    }
}

fn float_test(name: &str) -> Option<fn(f64, f64) -> bool> {
    fn unordered(a: f64, b: f64) -> bool {
        a.is_nan() || b.is_nan()
    }
    Some(match name {
        "eq" => |a, b| a == b,
        "ne" => |a, b| a != b && !unordered(a, b),
        "lt" => |a, b| a < b,
        "le" => |a, b| a <= b,
        "gt" => |a, b| a > b,
        "ge" => |a, b| a >= b,
        "equ" => |a, b| a == b || unordered(a, b),
        "neu" => |a, b| a != b,
        "ltu" => |a, b| a < b || unordered(a, b),
        "leu" => |a, b| a <= b || unordered(a, b),
        "gtu" => |a, b| a > b || unordered(a, b),
        "geu" => |a, b| a >= b || unordered(a, b),
        "num" => |a, b| !unordered(a, b),
        "nan" => unordered,
        _ => return None,
    })
}

/// `slct d, a, b, c`: a if c >= 0.
fn slct(input: &mut Input<'_, '_>) -> Decoded {
    let ftz = input.qualifiers.take("ftz");
    let (ty, condition) = (input.qualifiers.ty()?, input.qualifiers.ty()?);
    let f = match condition {
        Type::S32 if !ftz => map3(|a, b, c| if extend(Type::S32, c) >= 0 { a } else { b }),
        // -0 and flushed subnormals are zero; NaN selects b.
        Type::F32 => map3(move |a, b, c| {
            let c = if ftz { Format::F32.flush(c as u32) } else { c as u32 };
            if f32::from_bits(c) >= 0.0 { a } else { b }
        }),
        other => return Err(format!("slct on .{other:?} is not defined")),
    };
    let [to, a, b, c] = input.take::<4>()?;
    let c = c.source(condition)?;
    Ok(Op::Alu(Alu::Map3 {
        float: false,
        f,
        to: to.register(ty)?,
        a: a.source(ty)?,
        b: b.source(ty)?,
        c,
    }))
}

fn testp(input: &mut Input<'_, '_>) -> Decoded {
    let kinds = ["finite", "infinite", "number", "notanumber", "normal", "subnormal"];
    let kind = input.qualifiers.take_any(&kinds).ok_or("testp needs a property")?;
    let ty = input.qualifiers.ty()?;
    let read: fn(u64) -> std::num::FpCategory = match ty {
        Type::F32 => |x| f32::from_bits(x as u32).classify(),
        Type::F64 => |x| f64::from_bits(x).classify(),
        other => return Err(format!("testp is not defined for .{other:?}")),
    };
    use std::num::FpCategory::{Infinite, Nan, Normal, Subnormal, Zero};
    let f: fn(std::num::FpCategory) -> bool = match kind {
        "finite" => |c| matches!(c, Normal | Subnormal | Zero),
        "infinite" => |c| c == Infinite,
        "number" => |c| c != Nan,
        "notanumber" => |c| c == Nan,
        "normal" => |c| c == Normal,
        _ => |c| c == Subnormal,
    };
    let [to, a] = input.take::<2>()?;
    let a = a.source(ty)?;
    let f = test2(move |a, _| f(read(a)));
    Ok(Op::Alu(Alu::Compare {
        f,
        a,
        b: a,
        combine: None,
        to: Some(to.predicate_register()?),
        complement: None,
    }))
}

/// Kept next to the comparisons: the identity, for moves of predicates.
pub fn copy_predicate(to: Pred, a: PredSource) -> Op {
    Op::Alu(Alu::Logic { table: 0b1100, to, a, b: a })
}
