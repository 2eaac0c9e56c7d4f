//! Moves, conversions and address arithmetic; see PTX ISA 9.7.9.

use super::arithmetic::{Function, operation};
use super::compare::copy_predicate;
use super::lanes::{map1, map2, map3};
use super::{Decoded, Input};
use crate::convert::cvt::Cvt;
use crate::ptx::Type;
use crate::ptx::alu_op::Alu;
use crate::ptx::instruction::{Memory, Op};
use crate::ptx::operand::{Operand, Space};

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    match input.name {
        "mov" => mov(input),
        "cvt" if input.qualifiers.has("pack") => pack(input),
        "cvt" => cvt(input),
        "cvta" => cvta(input),
        "isspacep" => {
            let space = super::memory::space(input).ok_or("isspacep needs a state space")?;
            let [to, a] = input.take::<2>()?;
            Ok(Op::Memory(Memory::IsSpace {
                space,
                to: to.predicate_register()?,
                a: a.source(Type::B64)?,
            }))
        }
        _ => map_address(input),
    }
}

fn mov(input: &mut Input<'_, '_>) -> Decoded {
    let ty = input.qualifiers.ty()?;
    let [to, a] = input.take::<2>()?;
    if ty == Type::Pred {
        return Ok(copy_predicate(to.predicate_register()?, a.predicate()?));
    }
    match (to, a) {
        (to, Operand::Vector(parts)) => {
            let bits = element_bits(ty, parts.len())?;
            let part = element_type(bits);
            let parts = parts.iter().map(|p| p.source(part)).collect::<Result<_, _>>()?;
            Ok(Op::Alu(Alu::Pack { to: to.register(ty)?, parts, bits }))
        }
        (Operand::Vector(parts), a) => {
            let bits = element_bits(ty, parts.len())?;
            let part = element_type(bits);
            let to = parts.iter().map(|p| destination(p, part)).collect::<Result<_, _>>()?;
            Ok(Op::Alu(Alu::Unpack { to, from: a.source(ty)?, bits }))
        }
        _ => Ok(Op::Alu(Alu::Move { to: to.register(ty)?, a: a.source(ty)? })),
    }
}

/// A register, or nothing for `_`.
pub fn destination(
    operand: &Operand<'_>,
    ty: Type,
) -> Result<Option<crate::ptx::operand::Reg>, String> {
    if *operand == Operand::Sink { Ok(None) } else { operand.register(ty).map(Some) }
}

fn element_bits(ty: Type, count: usize) -> Result<u32, String> {
    match (ty.bits(), count) {
        (128, 2) => Ok(64),
        (128 | 64 | 32 | 16, 2 | 4) if ty.bits() / count as u32 >= 8 => {
            Ok(ty.bits() / count as u32)
        }
        _ => Err(format!("a vector of {count} does not make a .{ty:?}")),
    }
}

fn element_type(bits: u32) -> Type {
    match bits {
        8 => Type::B8,
        16 => Type::B16,
        32 => Type::B32,
        _ => Type::B64,
    }
}

/// A type by its name and how wide its register is: `e4m3x2` and the like live in 16 bits.
fn register_type(name: &str) -> Type {
    match name {
        "tf32" => Type::B32,
        "e2m1x2" => Type::B8,
        "ue8m0x2" | "e4m3x2" | "e5m2x2" | "e2m3x2" | "e3m2x2" => Type::B16,
        _ => Type::parse(name).unwrap_or(Type::B32),
    }
}

fn cvt(input: &mut Input<'_, '_>) -> Decoded {
    let names = input.qualifiers.rest();
    let [.., to, from] = names[..] else {
        return Err("cvt needs two types".into());
    };
    let cvt = Cvt::parse(&names)?;
    let (to, from) = (register_type(to), register_type(from));
    // A result narrower than its register is extended by its type's sign.
    let wide = match input.operand(0)? {
        Operand::Register(reg) => u32::from(reg.bits),
        _ => to.bits(),
    };
    let mask = crate::ptx::operand::low_bits(wide);
    match (cvt.sources(), cvt.needs_random_bits()) {
        (1, false) => operation(
            input,
            Function::One(map1(move |a| cvt.apply([a, 0], 0) & mask)),
            to,
            from,
            true,
        ),
        (1, true) => operation(
            input,
            Function::Two(map2(move |a, r| cvt.apply([a, 0], r as u32) & mask)),
            to,
            from,
            true,
        ),
        (_, false) => operation(
            input,
            Function::Two(map2(move |a, b| cvt.apply([a, b], 0) & mask)),
            to,
            from,
            true,
        ),
        (_, true) => operation(
            input,
            Function::Three(map3(move |a, b, r| cvt.apply([a, b], r as u32) & mask)),
            to,
            from,
            true,
        ),
    }
}

/// `cvt.pack.sat.{u16,s16}.s32 d, a, b` and `cvt.pack.sat.{u8,s8,u4,s4,u2,s2}.s32.b32 d, a, b, c`.
fn pack(input: &mut Input<'_, '_>) -> Decoded {
    let names = input.qualifiers.rest();
    let ["pack", "sat", to, "s32", rest @ ..] = &names[..] else {
        return Err("cvt.pack needs .sat and .s32".into());
    };
    let (signed, bits) = match *to {
        "u16" => (false, 16u32),
        "s16" => (true, 16),
        "u8" => (false, 8),
        "s8" => (true, 8),
        "u4" => (false, 4),
        "s4" => (true, 4),
        "u2" => (false, 2),
        "s2" => (true, 2),
        other => return Err(format!("cvt.pack to .{other} is not defined")),
    };
    if (bits == 16) != rest.is_empty() || !matches!(rest, [] | ["b32"]) {
        return Err("cvt.pack takes .b32 for results below 16 bits".into());
    }
    let (least, most) = if signed {
        (-(1i32 << (bits - 1)), (1i32 << (bits - 1)) - 1)
    } else {
        (0, (1i32 << bits) - 1)
    };
    let field = move |x: u64| u64::from((x as i32).clamp(least, most) as u32 & ((1 << bits) - 1));
    let f = move |a, b, c: u64| (c << (2 * bits) | field(a) << bits | field(b)) & 0xffff_ffff;
    let f = if bits == 16 {
        Function::Two(map2(move |a, b| f(a, b, 0)))
    } else {
        Function::Three(map3(f))
    };
    operation(input, f, Type::B32, Type::B32, false)
}

fn cvta(input: &mut Input<'_, '_>) -> Decoded {
    let to_space = input.qualifiers.take("to");
    let space = super::memory::space(input).ok_or("cvta needs a state space")?;
    let ty = input.qualifiers.ty()?;
    if ty != Type::U64 {
        return Err("cvta is modelled for 64-bit addresses".into());
    }
    let [to, a] = input.take::<2>()?;
    Ok(Op::Memory(Memory::Convert {
        space,
        to_space,
        to: to.register(ty)?,
        a: address_value(a, ty)?,
    }))
}

fn address_value(operand: &Operand<'_>, ty: Type) -> Result<crate::ptx::operand::Source, String> {
    match operand {
        Operand::Address { .. } => Err("a value is expected, not [address]".into()),
        other => other.source(ty),
    }
}

/// `mapa`, `getctarank`.
fn map_address(input: &mut Input<'_, '_>) -> Decoded {
    let generic = match super::memory::space(input) {
        None => true,
        Some(Space::SharedCluster) => false,
        Some(other) => return Err(format!("{} is not defined for {other:?}", input.name)),
    };
    let ty = input.qualifiers.ty()?;
    if !matches!(ty, Type::U32 | Type::U64) || (generic && ty == Type::U32) {
        return Err(format!("{} is not modelled for .{ty:?} here", input.name));
    }
    if input.name == "mapa" {
        let [to, a, rank] = input.take::<3>()?;
        let (to, a, rank) = (to.register(ty)?, a.source(ty)?, rank.source(Type::B32)?);
        return Ok(Op::Memory(Memory::Mapa { generic, to, a, rank }));
    }
    let [to, a] = input.take::<2>()?;
    Ok(Op::Memory(Memory::BlockRank { to: to.register(Type::B32)?, a: a.source(ty)? }))
}
