//! Extended-precision arithmetic with the carry flag; see PTX ISA 9.7.2.

use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::alu_op::{Alu, CarryKind};
use crate::ptx::instruction::Op;
use crate::ptx::operand::Source;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    let carry_out = input.qualifiers.take("cc");
    let carry_in = input.name.ends_with('c');
    let half = input.qualifiers.take_any(&["lo", "hi"]);
    let ty = input.qualifiers.ty()?;
    if !matches!(ty, Type::U32 | Type::S32 | Type::U64 | Type::S64) {
        return Err(format!("{} is not defined for .{ty:?}", input.name));
    }
    let kind = match (input.name, half) {
        ("add" | "addc", None) => CarryKind::Add,
        ("sub" | "subc", None) => CarryKind::Sub,
        ("mad" | "madc", Some("lo")) => CarryKind::MadLow,
        ("mad" | "madc", Some("hi")) => CarryKind::MadHigh(ty.is_signed()),
        _ => return Err(format!("{} with these qualifiers is not modelled", input.name)),
    };
    let count = if matches!(kind, CarryKind::Add | CarryKind::Sub) { 3 } else { 4 };
    input.count(count, count)?;
    let source = |i: usize| input.operand(i)?.source(ty);
    let c = if count == 4 { source(3)? } else { Source::Constant(0) };
    let to = input.operand(0)?.register(ty)?;
    Ok(Op::Alu(Alu::Carry {
        kind,
        bits: ty.bits(),
        to,
        a: source(1)?,
        b: source(2)?,
        c,
        carry_in,
        carry_out,
    }))
}
