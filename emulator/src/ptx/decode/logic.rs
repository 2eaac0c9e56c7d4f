//! Logic, shifts and bit fields; see PTX ISA 9.7.8, 9.7.1.14 to 9.7.1.22 and 9.7.9.7 (`prmt`).

use super::arithmetic::{Function, operation};
use super::lanes::{extend, map1, map2, map3};
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::alu_op::{Alu, BoolOp};
use crate::ptx::instruction::{Map3, Op};
use crate::ptx::operand::{Operand, low_bits};

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    match input.name {
        "prmt" => permute(input),
        "lop3" => lop3(input),
        "shf" => funnel(input),
        "bfe" => bit_field_extract(input),
        "bfi" => bit_field_insert(input),
        "fns" => {
            only_b32(input)?;
            operation(input, Function::Three(map3(find_nth_set)), Type::B32, Type::B32, false)
        }
        "bmsk" | "szext" => clamp_or_wrap(input),
        "shl" | "shr" => shift(input),
        "and" | "or" | "xor" | "not" | "cnot" => bitwise(input),
        _ => count(input),
    }
}

fn only_b32(input: &mut Input<'_, '_>) -> Result<(), String> {
    if input.qualifiers.take("b32") {
        Ok(())
    } else {
        Err(format!("{} is defined for .b32", input.name))
    }
}

fn bitwise(input: &mut Input<'_, '_>) -> Decoded {
    let ty = input.qualifiers.ty()?;
    if ty == Type::Pred {
        let table = match input.name {
            "and" => 0b1000,
            "or" => 0b1110,
            "xor" => 0b0110,
            "not" => 0b0011, // a is bit 1 of the index
            name => return Err(format!("{name} is not defined for .pred")),
        };
        let to = input.operand(0)?.predicate_register()?;
        let a = input.operand(1)?.predicate()?;
        let b = if input.name == "not" { a } else { input.operand(2)?.predicate()? };
        input.count(2 + usize::from(input.name != "not"), 2 + usize::from(input.name != "not"))?;
        return Ok(Op::Alu(Alu::Logic { table, to, a, b }));
    }
    if !ty.is_untyped() || ty == Type::B8 || ty == Type::B128 {
        return Err(format!("{} is not defined for .{ty:?}", input.name));
    }
    let mask = low_bits(ty.bits());
    let f = match input.name {
        "and" => Function::Two(map2(move |a, b| a & b & mask)),
        "or" => Function::Two(map2(move |a, b| (a | b) & mask)),
        "xor" => Function::Two(map2(move |a, b| (a ^ b) & mask)),
        "not" => Function::One(map1(move |a| !a & mask)),
        _ => Function::One(map1(move |a| u64::from(a & mask == 0))),
    };
    operation(input, f, ty, ty, false)
}

/// `shl`, `shr`: amounts are 32-bit and clamped to the width.
fn shift(input: &mut Input<'_, '_>) -> Decoded {
    let ty = input.qualifiers.ty()?;
    let bits = ty.bits();
    if !matches!(bits, 16 | 32 | 64)
        || (input.name == "shl" && !ty.is_untyped())
        || matches!(ty, Type::F16 | Type::F32 | Type::F64)
    {
        return Err(format!("{} is not defined for .{ty:?}", input.name));
    }
    let mask = low_bits(bits);
    let f = match (input.name, ty.is_signed()) {
        ("shl", _) => {
            map2(move |a, b| (a & mask).checked_shl((b as u32).min(bits)).unwrap_or(0) & mask)
        }
        (_, false) => map2(move |a, b| (a & mask).checked_shr((b as u32).min(bits)).unwrap_or(0)),
        (_, true) => map2(move |a, b| (extend(ty, a) >> (b as u32).min(bits)) as u64 & mask),
    };
    let [to, a, b] = input.take::<3>()?;
    Ok(Op::Alu(Alu::Map2 {
        float: false,
        f,
        to: to.register(ty)?,
        a: a.source(ty)?,
        b: b.source(Type::B32)?,
    }))
}

fn permute(input: &mut Input<'_, '_>) -> Decoded {
    only_b32(input)?;
    let mode = input.qualifiers.take_any(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]);
    let select: fn(u32, u32) -> u32 = match mode {
        None => {
            return operation(
                input,
                Function::Three(map3(permute_bytes)),
                Type::B32,
                Type::B32,
                false,
            );
        }
        Some("f4e") => |s, i| (s + i) & 7,
        Some("b4e") => |s, i| s.wrapping_sub(i) & 7,
        Some("rc8") => |s, _| s,
        Some("ecl") => |s, i| s.max(i),
        Some("ecr") => |s, i| s.min(i),
        Some(_) => |s, i| ((s & 1) << 1) | (i & 1),
    };
    let f = map3(move |a, b, c| {
        let bytes = (b << 32 | a & 0xffff_ffff).to_le_bytes();
        (0..4)
            .fold(0, |word, i| word | u64::from(bytes[select(c as u32 & 3, i) as usize]) << (8 * i))
    });
    operation(input, Function::Three(f), Type::B32, Type::B32, false)
}

/// `prmt` without a mode: four nibbles select a byte each; a nibble's top bit replicates the byte's sign.
fn permute_bytes(a: u64, b: u64, c: u64) -> u64 {
    let pool = b << 32 | a & 0xffff_ffff;
    (0..4).fold(0, |word, i| {
        let nibble = c >> (4 * i) & 15;
        let byte = (pool >> (8 * (nibble & 7))) as u8;
        let byte = if nibble & 8 != 0 { (byte as i8 >> 7) as u8 } else { byte };
        word | u64::from(byte) << (8 * i)
    })
}

fn lop3(input: &mut Input<'_, '_>) -> Decoded {
    let combine = match input.qualifiers.take_any(&["or", "and"]) {
        Some("or") => Some(BoolOp::Or),
        Some(_) => Some(BoolOp::And),
        None => None,
    };
    only_b32(input)?;
    let table = input.operand(4)?.constant()?;
    if table > 255 {
        return Err(format!("table {table:#x} is more than 8 bits"));
    }
    let f: Map3 = map3(move |a, b, c| {
        let mut d = 0u32;
        for row in 0..8u32 {
            if table >> row & 1 == 1 {
                let pick =
                    |x: u64, bit: u32| if row >> bit & 1 == 1 { x as u32 } else { !(x as u32) };
                d |= pick(a, 2) & pick(b, 1) & pick(c, 0);
            }
        }
        u64::from(d)
    });
    let source = |i: usize| input.operand(i)?.source(Type::B32);
    let (a, b, c) = (source(1)?, source(2)?, source(3)?);
    let Some(op) = combine else {
        input.count(5, 5)?;
        return Ok(Op::Alu(Alu::Map3 {
            float: false,
            f,
            to: input.operand(0)?.register(Type::B32)?,
            a,
            b,
            c,
        }));
    };
    input.count(6, 6)?;
    let Operand::Pair(to, p) = input.operand(0)? else {
        return Err("the destination must be d|p".into());
    };
    let to = if **to == Operand::Sink { None } else { Some(to.register(Type::B32)?) };
    Ok(Op::Alu(Alu::MapTest {
        f,
        to,
        a,
        b,
        c,
        p: p.predicate_register()?,
        op,
        q: input.operand(5)?.predicate()?,
    }))
}

fn funnel(input: &mut Input<'_, '_>) -> Decoded {
    let left = match input.qualifiers.take_any(&["l", "r"]) {
        Some(direction) => direction == "l",
        None => return Err("shf needs .l or .r".into()),
    };
    let clamp = match input.qualifiers.take_any(&["clamp", "wrap"]) {
        Some(mode) => mode == "clamp",
        None => return Err("shf needs .clamp or .wrap".into()),
    };
    only_b32(input)?;
    let f = map3(move |a, b, c| {
        let both = b << 32 | a & 0xffff_ffff;
        let n = if clamp { (c as u32).min(32) } else { c as u32 & 31 };
        if left { (both << n) >> 32 } else { (both >> n) & 0xffff_ffff }
    });
    operation(input, Function::Three(f), Type::B32, Type::B32, false)
}

fn bit_field_extract(input: &mut Input<'_, '_>) -> Decoded {
    let ty = input.qualifiers.ty()?;
    if !ty.is_integer() || !matches!(ty.bits(), 32 | 64) {
        return Err(format!("bfe is not defined for .{ty:?}"));
    }
    let width = ty.bits();
    let f = map3(move |a, b, c| {
        let (at, length) = (b as u32 & 255, c as u32 & 255);
        let value = a & low_bits(width);
        if length == 0 {
            return 0;
        }
        let end = (at + length - 1).min(width - 1);
        let negative = ty.is_signed() && value >> end & 1 == 1;
        let field = if at >= width { 0 } else { value >> at & low_bits(length) };
        let known = length.min(width.saturating_sub(at));
        (if negative { field | !low_bits(known) } else { field }) & low_bits(width)
    });
    let [to, a, b, c] = input.take::<4>()?;
    let (b, c) = (b.source(Type::B32)?, c.source(Type::B32)?);
    Ok(Op::Alu(Alu::Map3 { float: false, f, to: to.register(ty)?, a: a.source(ty)?, b, c }))
}

/// `bfi d, a, b, c, len`
fn bit_field_insert(input: &mut Input<'_, '_>) -> Decoded {
    let ty = input.qualifiers.ty()?;
    if !ty.is_untyped() || !matches!(ty.bits(), 32 | 64) {
        return Err(format!("bfi is not defined for .{ty:?}"));
    }
    let [to, a, b, at, length] = input.take::<5>()?;
    Ok(Op::Alu(Alu::InsertBits {
        bits: ty.bits(),
        to: to.register(ty)?,
        a: a.source(ty)?,
        b: b.source(ty)?,
        at: at.source(Type::B32)?,
        length: length.source(Type::B32)?,
    }))
}

/// `fns`: the position of the n-th set bit from a base, up or down.
fn find_nth_set(mask: u64, base: u64, offset: u64) -> u64 {
    let (mask, base, offset) = (mask as u32, base as u32, offset as i32);
    const NONE: u64 = 0xffff_ffff;
    if base > 31 {
        return NONE;
    }
    let set = |i: &u32| mask >> i & 1 == 1;
    let found = match offset {
        0 => set(&base).then_some(base),
        n if n > 0 => (base..32).filter(set).nth(n as usize - 1),
        n => (0..=base).rev().filter(set).nth(n.unsigned_abs() as usize - 1),
    };
    found.map_or(NONE, u64::from)
}

fn clamp_or_wrap(input: &mut Input<'_, '_>) -> Decoded {
    let clamp = match input.qualifiers.take_any(&["clamp", "wrap"]) {
        Some(mode) => mode == "clamp",
        None => return Err(format!("{} needs .clamp or .wrap", input.name)),
    };
    let limit = move |x: u64| if clamp { (x as u32).min(32) } else { x as u32 & 31 };
    let ty = input.qualifiers.ty()?;
    let f = match (input.name, ty) {
        ("bmsk", Type::B32) => map2(move |a, b| (low_bits(limit(b)) << limit(a)) & 0xffff_ffff),
        ("szext", Type::U32) => map2(move |a, b| a & low_bits(limit(b)) & 0xffff_ffff),
        ("szext", Type::S32) => map2(move |a, b| match limit(b) {
            0 => 0,
            n => sign_extend(a as u32, n),
        }),
        _ => return Err(format!("{} is not defined for .{ty:?}", input.name)),
    };
    operation(input, Function::Two(f), Type::B32, Type::B32, false)
}

fn sign_extend(value: u32, bits: u32) -> u64 {
    let unused = 32 - bits;
    u64::from(((value << unused) as i32 >> unused) as u32)
}

fn count(input: &mut Input<'_, '_>) -> Decoded {
    let amount = input.qualifiers.take("shiftamt");
    let ty = input.qualifiers.ty()?;
    let bits = ty.bits();
    if !matches!(bits, 32 | 64) || (amount && input.name != "bfind") {
        return Err(format!("{} is not defined for .{ty:?}", input.name));
    }
    let mask = low_bits(bits);
    let (f, to) = match input.name {
        "popc" if ty.is_untyped() => (map1(move |a| u64::from((a & mask).count_ones())), Type::B32),
        "clz" if ty.is_untyped() => {
            (map1(move |a| u64::from((a & mask).leading_zeros() - (64 - bits))), Type::B32)
        }
        "brev" if ty.is_untyped() => (map1(move |a| (a & mask).reverse_bits() >> (64 - bits)), ty),
        "bfind" if ty.is_integer() => {
            let f = map1(move |a| {
                let value = extend(ty, a);
                let value = (if value < 0 { !value } else { value }) as u64;
                match value.checked_ilog2() {
                    None => 0xffff_ffff,
                    Some(top) => u64::from(if amount { bits - 1 - top } else { top }),
                }
            });
            (f, Type::B32)
        }
        name => return Err(format!("{name} is not defined for .{ty:?}")),
    };
    operation(input, Function::One(f), to, ty, false)
}
