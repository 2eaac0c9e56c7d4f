//! Integer arithmetic; see PTX ISA 9.7.1.

use super::arithmetic::{Function, operation};
use super::lanes::{extend, for_integer, map1, map2, map3};
use super::{Decoded, Input};
use crate::ptx::Type;

pub fn decode(input: &mut Input<'_, '_>, names: &[&str], ty: Type) -> Decoded {
    if matches!(input.name, "dp4a" | "dp2a") {
        return dot_product(input, names);
    }
    let modifiers = &names[..names.len() - 1];
    let unknown = || format!("{}.{} is not modelled", input.name, names.join("."));
    let (f, to) = match (input.name, modifiers) {
        ("mul" | "mad", ["wide"]) => return wide(input, ty).ok_or_else(unknown)?,
        (
            "add" | "sub" | "mul" | "mad" | "mul24" | "mad24" | "min" | "max" | "div" | "rem"
            | "sad" | "abs" | "neg",
            _,
        ) => (function(input.name, modifiers, ty).ok_or_else(unknown)?, ty),
        _ => return Err(unknown()),
    };
    operation(input, f, to, ty, false)
}

fn function(name: &str, modifiers: &[&str], ty: Type) -> Option<Function> {
    if matches!(ty, Type::U16x2 | Type::S16x2) {
        return packed16(name, modifiers, ty);
    }
    let bits = ty.bits();
    let two = |f| Some(Function::Two(f));
    match (name, modifiers) {
        ("add", []) => {
            two(for_integer!(ty, T, U => map2(|a, b| (a as U).wrapping_add(b as U) as u64))?)
        }
        ("sub", []) => {
            two(for_integer!(ty, T, U => map2(|a, b| (a as U).wrapping_sub(b as U) as u64))?)
        }
        ("add", ["sat"]) if ty == Type::S32 => {
            two(map2(|a, b| u64::from((a as i32).saturating_add(b as i32) as u32)))
        }
        ("sub", ["sat"]) if ty == Type::S32 => {
            two(map2(|a, b| u64::from((a as i32).saturating_sub(b as i32) as u32)))
        }
        ("mul", ["lo"]) => {
            two(for_integer!(ty, T, U => map2(|a, b| (a as U).wrapping_mul(b as U) as u64))?)
        }
        ("mul", ["hi"]) => two(for_integer!(ty, T, U => map2(move |a, b| {
            (((a as T as i128).wrapping_mul(b as T as i128)) >> bits) as U as u64
        }))?),
        ("mad", ["lo"]) => Some(Function::Three(for_integer!(ty, T, U => map3(|a, b, c| {
            (a as U).wrapping_mul(b as U).wrapping_add(c as U) as u64
        }))?)),
        ("mad", ["hi"]) => Some(Function::Three(for_integer!(ty, T, U => map3(move |a, b, c| {
            let high = (((a as T as i128).wrapping_mul(b as T as i128)) >> bits) as U;
            high.wrapping_add(c as U) as u64
        }))?)),
        ("mad", ["hi", "sat"]) if ty == Type::S32 => Some(Function::Three(map3(|a, b, c| {
            let high = (i64::from(a as i32) * i64::from(b as i32)) >> 32;
            u64::from((high as i32).saturating_add(c as i32) as u32)
        }))),
        ("mul24", [half @ ("lo" | "hi")]) if bits == 32 => {
            let shift = if *half == "hi" { 16 } else { 0 };
            two(map2(move |a, b| ((low24(ty, a) * low24(ty, b)) >> shift) as u32 as u64))
        }
        ("mad24", [half @ ("lo" | "hi")]) if bits == 32 => {
            let shift = if *half == "hi" { 16 } else { 0 };
            Some(Function::Three(map3(move |a, b, c| {
                u64::from((((low24(ty, a) * low24(ty, b)) >> shift) as u32).wrapping_add(c as u32))
            })))
        }
        ("min", []) => {
            two(for_integer!(ty, T, U => map2(|a, b| (a as T).min(b as T) as U as u64))?)
        }
        ("max", []) => {
            two(for_integer!(ty, T, U => map2(|a, b| (a as T).max(b as T) as U as u64))?)
        }
        ("min", ["relu"]) if ty == Type::S32 => {
            two(map2(|a, b| (a as i32).min(b as i32).max(0) as u64))
        }
        ("max", ["relu"]) if ty == Type::S32 => {
            two(map2(|a, b| (a as i32).max(b as i32).max(0) as u64))
        }
        // Division by zero yields an unspecified value on hardware; all ones is what sm_80 gives.
        ("div", []) => two(for_integer!(ty, T, U => map2(|a, b| {
            if b as T == 0 { U::MAX as u64 } else { (a as T).wrapping_div(b as T) as U as u64 }
        }))?),
        ("rem", []) => two(for_integer!(ty, T, U => map2(|a, b| {
            if b as T == 0 { a as U as u64 } else { (a as T).wrapping_rem(b as T) as U as u64 }
        }))?),
        ("sad", []) => Some(Function::Three(for_integer!(ty, T, U => map3(|a, b, c| {
            (a as T).abs_diff(b as T).wrapping_add(c as U) as u64
        }))?)),
        ("abs", []) if ty.is_signed() => Some(Function::One(
            for_integer!(ty, T, U => map1(|a| if (a as T as i64) < 0 { (a as U).wrapping_neg() as u64 } else { a as U as u64 }))?,
        )),
        ("neg", []) if ty.is_signed() => {
            Some(Function::One(for_integer!(ty, T, U => map1(|a| (a as U).wrapping_neg() as u64))?))
        }
        _ => None,
    }
}

fn low24(ty: Type, value: u64) -> i64 {
    let shifted = (value as u32) << 8;
    if ty.is_signed() { i64::from(shifted as i32 >> 8) } else { i64::from(shifted >> 8) }
}

/// `add`, `min`, `max` (with `.relu`) on two 16-bit halves.
fn packed16(name: &str, modifiers: &[&str], ty: Type) -> Option<Function> {
    let relu = match modifiers {
        [] => false,
        ["relu"] if ty == Type::S16x2 && name != "add" => true,
        _ => return None,
    };
    let element = if ty == Type::S16x2 { Type::S16 } else { Type::U16 };
    let f: fn(i128, i128) -> i128 = match name {
        "add" => |a, b| a + b,
        "min" => |a, b| a.min(b),
        "max" => |a, b| a.max(b),
        _ => return None,
    };
    Some(Function::Two(map2(move |a, b| {
        let half = |shift: u32| {
            let value = f(extend(element, a >> shift), extend(element, b >> shift));
            u64::from(if relu { value.max(0) } else { value } as u16) << shift
        };
        half(0) | half(16)
    })))
}

/// `mul.wide`, `mad.wide`: the product of twice the width.
fn wide(input: &Input<'_, '_>, ty: Type) -> Option<Decoded> {
    let double = match ty {
        Type::U16 => Type::U32,
        Type::S16 => Type::S32,
        Type::U32 => Type::U64,
        Type::S32 => Type::S64,
        _ => return None,
    };
    let mask = if double.bits() == 32 { u64::from(u32::MAX) } else { u64::MAX };
    let f = for_integer!(ty, T, U => {
        let _: U = 0;
        map2(move |a, b| (a as T as i64).wrapping_mul(b as T as i64) as u64 & mask)
    })?;
    if input.name == "mul" {
        return Some(operation(input, Function::Two(f), double, ty, false));
    }
    let f = for_integer!(ty, T, U => {
        let _: U = 0;
        map3(move |a, b, c| ((a as T as i64).wrapping_mul(b as T as i64) as u64).wrapping_add(c) & mask)
    })?;
    Some(mad_wide(input, f, double, ty))
}

fn mad_wide(
    input: &Input<'_, '_>,
    f: crate::ptx::instruction::Map3,
    double: Type,
    ty: Type,
) -> Decoded {
    use crate::ptx::alu_op::Alu;
    use crate::ptx::instruction::Op;
    let [to, a, b, c] = input.take::<4>()?;
    Ok(Op::Alu(Alu::Map3 {
        float: false,
        f,
        to: to.register(double)?,
        a: a.source(ty)?,
        b: b.source(ty)?,
        c: c.source(double)?,
    }))
}

/// `dp4a.atype.btype`, `dp2a.{lo,hi}.atype.btype`.
fn dot_product(input: &Input<'_, '_>, names: &[&str]) -> Decoded {
    let signed = |name: &str| match name {
        "s32" => Ok(true),
        "u32" => Ok(false),
        other => Err(format!("{} has no type .{other}", input.name)),
    };
    let byte = |signed: bool, value: u64, i: u32| {
        let byte = (value >> (8 * i)) as u8;
        if signed { i64::from(byte as i8) } else { i64::from(byte) }
    };
    let f = match (input.name, names) {
        ("dp4a", [a, b]) => {
            let (a_signed, b_signed) = (signed(a)?, signed(b)?);
            map3(move |a, b, c| {
                let sum: i64 = (0..4).map(|i| byte(a_signed, a, i) * byte(b_signed, b, i)).sum();
                u64::from((c as u32).wrapping_add(sum as u32))
            })
        }
        ("dp2a", [half @ ("lo" | "hi"), a, b]) => {
            let (a_signed, b_signed) = (signed(a)?, signed(b)?);
            let first = if *half == "hi" { 2 } else { 0 };
            map3(move |a, b, c| {
                let sum: i64 = (0..2u32)
                    .map(|i| {
                        let wide = (a >> (16 * i)) as u16;
                        let wide = if a_signed { i64::from(wide as i16) } else { i64::from(wide) };
                        wide * byte(b_signed, b, first + i)
                    })
                    .sum();
                u64::from((c as u32).wrapping_add(sum as u32))
            })
        }
        _ => return Err(format!("{}.{} is not modelled", input.name, names.join("."))),
    };
    operation(input, Function::Three(f), Type::B32, Type::B32, false)
}
