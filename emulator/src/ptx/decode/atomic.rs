//! `atom` and `red`; see PTX ISA 9.7.13.5 and 9.7.13.6.

use super::lanes::extend;
use super::memory::{address_in, space, vector};
use super::{Decoded, Input};
use crate::convert::packed::Packed;
use crate::ptx::Type;
use crate::ptx::instruction::{Combine, Memory, Op};
use crate::ptx::operand::{Space, low_bits};
use std::sync::Arc;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    let returns = input.name == "atom";
    // Without semantics an atomic is .relaxed, without scope .gpu; one order holds for all of them here.
    input.qualifiers.take_any(&["relaxed", "acquire", "release", "acq_rel"]);
    input.qualifiers.take_any(&["cta", "cluster", "gpu", "sys"]);
    let space = space(input).unwrap_or(Space::Generic);
    if !matches!(space, Space::Generic | Space::Global | Space::Shared | Space::SharedCluster) {
        return Err(format!("{} on {space:?} is not defined", input.name));
    }
    let operations = ["and", "or", "xor", "cas", "exch", "add", "inc", "dec", "min", "max"];
    let name = input
        .qualifiers
        .take_any(&operations)
        .ok_or_else(|| format!("{} needs an operation", input.name))?;
    let noftz = input.qualifiers.take("noftz");
    let hint = input.qualifiers.cache_hints();
    let count = vector(input);
    let ty = input.qualifiers.ty()?;
    let f = combine(name, ty, noftz)?;
    let compares = name == "cas";
    if compares && (!returns || count > 1) {
        return Err("cas returns one old value".into());
    }
    if count > 1 && space != Space::Global {
        return Err("vector atomics are defined for .global".into());
    }
    let first = usize::from(returns);
    let fixed = first + 2 + usize::from(compares);
    input.count(fixed, fixed + usize::from(hint))?;
    let to = match returns {
        true => input
            .operand(0)?
            .elements()
            .iter()
            .map(|e| e.register(ty))
            .collect::<Result<Vec<_>, _>>()?,
        false => Vec::new(),
    };
    let a = input
        .operand(first + 1)?
        .elements()
        .iter()
        .map(|e| e.source(ty))
        .collect::<Result<Vec<_>, _>>()?;
    if a.len() != count || (returns && to.len() != count) {
        return Err(format!("{count} values expected, {} found", a.len()));
    }
    let b = if compares { Some(input.operand(first + 2)?.source(ty)?) } else { None };
    let address = address_in(input.operand(first)?, space)?;
    Ok(Op::Memory(Memory::Atomic { space, bits: ty.bits(), f, to, address, a, b }))
}

/// Old value and operands to new value.
pub fn combine(name: &str, ty: Type, noftz: bool) -> Result<Combine, String> {
    let refuse = || format!("atomic .{name}.{ty:?} is not modelled");
    let bits = ty.bits();
    let mask = low_bits(bits);
    let integer = ty.is_integer() && bits >= 32;
    let untyped = ty.is_untyped() && matches!(bits, 16 | 32 | 64);
    let half = matches!(ty, Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2);
    if noftz && !half {
        return Err(format!(".noftz goes with half-precision types, not with .{ty:?}"));
    }
    Ok(match (name, ty) {
        ("cas", _) if untyped => Arc::new(
            move |old, compare, value| if old == compare & mask { value & mask } else { old },
        ),
        ("exch", _) if untyped && bits >= 32 => Arc::new(move |_, value, _| value & mask),
        ("and", _) if untyped => Arc::new(move |old, value, _| old & value & mask),
        ("or", _) if untyped => Arc::new(move |old, value, _| (old | value) & mask),
        ("xor", _) if untyped => Arc::new(move |old, value, _| (old ^ value) & mask),
        ("add", _) if integer => Arc::new(move |old, value, _| old.wrapping_add(value) & mask),
        ("inc", Type::U32) => Arc::new(move |old, limit, _| if old >= limit { 0 } else { old + 1 }),
        ("dec", Type::U32) => {
            Arc::new(move |old, limit, _| if old == 0 || old > limit { limit } else { old - 1 })
        }
        ("min", _) if integer => {
            Arc::new(move |old, value, _| extend(ty, old).min(extend(ty, value)) as u64 & mask)
        }
        ("max", _) if integer => {
            Arc::new(move |old, value, _| extend(ty, old).max(extend(ty, value)) as u64 & mask)
        }
        ("add", Type::F32) => Arc::new(|old, value, _| {
            u64::from((f32::from_bits(old as u32) + f32::from_bits(value as u32)).to_bits())
        }),
        ("add", Type::F64) => {
            Arc::new(|old, value, _| (f64::from_bits(old) + f64::from_bits(value)).to_bits())
        }
        ("add" | "min" | "max", _) if half => {
            let type_name = match ty {
                Type::F16 => "f16",
                Type::F16x2 => "f16x2",
                Type::Bf16 => "bf16",
                _ => "bf16x2",
            };
            let packed = Packed::parse(name, &[type_name])?;
            Arc::new(move |old, value, _| packed.apply([old, value, 0]))
        }
        _ => return Err(refuse()),
    })
}
