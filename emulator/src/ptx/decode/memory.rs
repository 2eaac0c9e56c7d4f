//! Loads and stores; see PTX ISA 9.7.9.8 to 9.7.9.18.

use super::moves::destination;
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::alu_op::Alu;
use crate::ptx::instruction::{Memory, Op, Order};
use crate::ptx::operand::{Operand, Space};

/// Takes a state space.
pub fn space(input: &mut Input<'_, '_>) -> Option<Space> {
    input.qualifiers.take_map(|part| match part {
        "global" => Some(Space::Global),
        "shared" | "shared::cta" => Some(Space::Shared),
        "shared::cluster" => Some(Space::SharedCluster),
        "local" => Some(Space::Local),
        "param" | "param::entry" => Some(Space::Param),
        "const" => Some(Space::Const),
        _ => None,
    })
}

/// Takes the memory-order and scope qualifiers.
pub fn order(input: &mut Input<'_, '_>) -> Result<Order, String> {
    let named = ["relaxed", "acquire", "release", "acq_rel", "volatile", "weak"];
    let semantics = input.qualifiers.take_any(&named);
    let mmio = input.qualifiers.take("mmio");
    let scope = input.qualifiers.take_any(&["cta", "cluster", "gpu", "sys"]);
    match semantics {
        None | Some("weak") if scope.is_some() || mmio => {
            Err("a scope needs .relaxed, .acquire or .release".into())
        }
        None | Some("weak") => Ok(Order::Weak),
        Some("volatile") if scope.is_some() => Err(".volatile takes no scope".into()),
        Some("relaxed" | "acquire" | "release") if scope.is_none() => {
            Err("a scope is missing".into())
        }
        Some(_) => Ok(Order::Strong),
    }
}

/// Takes `.v2`, `.v4`, `.v8`.
pub fn vector(input: &mut Input<'_, '_>) -> usize {
    match input.qualifiers.take_any(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some(_) => 8,
        None => 1,
    }
}

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    match input.name {
        "ld" | "ldu" | "st" => access(input),
        "createpolicy" => {
            // A policy is an opaque hint: any value will do.
            input.qualifiers.rest();
            Ok(Op::Alu(Alu::Move {
                to: input.operand(0)?.register(Type::B64)?,
                a: crate::ptx::operand::Source::Constant(0),
            }))
        }
        _ => {
            let space = space(input).unwrap_or(Space::Generic);
            input.qualifiers.take("tensormap");
            while input
                .qualifiers
                .take_any(&["L1", "L2", "L2::evict_last", "L2::evict_normal"])
                .is_some()
            {}
            Ok(Op::Memory(Memory::Touch { space, address: input.operand(0)?.address()? }))
        }
    }
}

fn access(input: &mut Input<'_, '_>) -> Decoded {
    let load = input.name != "st";
    let order = order(input)?;
    let space = space(input).unwrap_or(Space::Generic);
    let hint = input.qualifiers.cache_hints();
    input.qualifiers.take("unified");
    let count = vector(input);
    let ty = input.qualifiers.ty()?;
    if ty == Type::Pred || ty.bytes() as usize * count > 32 {
        return Err(format!("a vector of {count} .{ty:?} is not defined"));
    }
    if matches!((load, space), (false, Space::Param | Space::Const)) {
        return Err("kernel parameters and constants are read-only".into());
    }
    input.count(2, 2 + usize::from(hint))?;
    let (value, address) = if load { (0, 1) } else { (1, 0) };
    let address = address_in(input.operand(address)?, space)?;
    let elements = input.operand(value)?.elements();
    if elements.len() != count {
        return Err(format!("{count} values expected, {} found", elements.len()));
    }
    Ok(Op::Memory(if load {
        let to = elements.iter().map(|e| destination(e, ty)).collect::<Result<_, _>>()?;
        Memory::Load { space, ty, to, address, order }
    } else {
        let from = elements.iter().map(|e| e.source(ty)).collect::<Result<_, _>>()?;
        Memory::Store { space, ty, from, address, order }
    }))
}

/// An address whose symbol, if it names one, lies in the instruction's space.
pub fn address_in(
    operand: &Operand<'_>,
    space: Space,
) -> Result<crate::ptx::operand::Address, String> {
    if let Operand::Address { base, .. } = operand {
        let fits = match (&**base, space) {
            (Operand::Symbol(of, _), Space::SharedCluster) => *of == Space::Shared,
            (Operand::Symbol(of, _), _) => *of == space,
            (Operand::Variable(_, constant), _) => matches!(
                (space, constant),
                (Space::Global, false) | (Space::Const, true) | (Space::Generic, false)
            ),
            _ => true,
        };
        if !fits {
            return Err(format!("the symbol does not lie in the space {space:?}"));
        }
    }
    operand.address()
}
