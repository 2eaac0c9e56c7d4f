//! Arithmetic by type: integers, `f32` and `f64`, packed and half-precision numbers, approximations.

use super::lanes::{map1, map2, map3};
use super::{Decoded, Input, float, integer};
use crate::convert::approx::Approx;
use crate::convert::packed::Packed;
use crate::ptx::Type;
use crate::ptx::alu_op::Alu;
use crate::ptx::instruction::{Map1, Map2, Map3, Op};

/// A function with its number of operands.
pub enum Function {
    One(Map1),
    Two(Map2),
    Three(Map3),
}

/// The operation over the operands `d, a{, b{, c}}`, results of type `to` and operands of type `from`.
pub fn operation(input: &Input<'_, '_>, f: Function, to: Type, from: Type, float: bool) -> Decoded {
    let to = input.operand(0)?.register(to)?;
    let source = |i: usize| input.operand(i)?.source(from);
    Ok(Op::Alu(match f {
        Function::One(f) => {
            input.count(2, 2)?;
            Alu::Map1 { float, f, to, a: source(1)? }
        }
        Function::Two(f) => {
            input.count(3, 3)?;
            Alu::Map2 { float, f, to, a: source(1)?, b: source(2)? }
        }
        Function::Three(f) => {
            input.count(4, 4)?;
            Alu::Map3 { float, f, to, a: source(1)?, b: source(2)?, c: source(3)? }
        }
    }))
}

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    if input.qualifiers.has("approx") || input.qualifiers.has("full") {
        return approximate(input);
    }
    let mut names = input.qualifiers.rest();
    let last = names.last().copied().unwrap_or_default();
    // Mixed precision, `add.f32.bf16 d, a, c`: the narrow operand is widened exactly first.
    if let [.., "f32", "f16" | "bf16"] = names[..] {
        names.pop();
        return float::mixed(input, &names, last);
    }
    if Packed::handles(input.name, last) {
        return packed(input, &names, last);
    }
    let ty = Type::parse(last).ok_or_else(|| format!("{} is not modelled", input.name))?;
    match ty {
        Type::F32 | Type::F64 => float::decode(input, &names[..names.len() - 1], ty),
        _ => integer::decode(input, &names, ty),
    }
}

fn packed(input: &Input<'_, '_>, names: &[&str], last: &str) -> Decoded {
    let ty = Type::parse(last).ok_or("no type")?;
    let packed = Packed::parse(input.name, names)?;
    let f = match packed.sources() {
        1 => Function::One(map1(move |a| packed.apply([a, 0, 0]))),
        2 => Function::Two(map2(move |a, b| packed.apply([a, b, 0]))),
        _ => Function::Three(map3(move |a, b, c| packed.apply([a, b, c]))),
    };
    operation(input, f, ty, ty, true)
}

fn approximate(input: &mut Input<'_, '_>) -> Decoded {
    let names = input.qualifiers.rest();
    let ty = names.last().copied().and_then(Type::parse).ok_or("no type")?;
    let approx = Approx::parse(input.name, &names)?;
    let f = match approx.sources() {
        1 => Function::One(map1(move |a| approx.apply(a, 0))),
        _ => Function::Two(map2(move |a, b| approx.apply(a, b))),
    };
    operation(input, f, ty, ty, true)
}
