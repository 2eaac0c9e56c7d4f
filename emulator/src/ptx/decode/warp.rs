//! Exchange between lanes; see PTX ISA 9.7.9.6 and 9.7.13.8 to 9.7.13.14.

use super::atomic::combine;
use super::lanes::extend;
use super::moves::destination;
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::instruction::{Combine, Op, ShuffleMode, VoteMode, WarpOp};
use crate::ptx::operand::Operand;
use std::sync::Arc;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    if input.name == "activemask" {
        input.qualifiers.take("b32");
        let to = input.take::<1>()?[0].register(Type::B32)?;
        return Ok(Op::Warp(WarpOp::ActiveMask { to }));
    }
    if !input.qualifiers.take("sync") {
        return Err(format!(
            "{} without .sync is not modelled (removed for sm_70 and up)",
            input.name
        ));
    }
    let op = match input.name {
        "shfl" => shuffle(input),
        "vote" => vote(input),
        "match" => matching(input),
        "redux" => reduce(input),
        _ => {
            let [destination_pair, mask] = input.take::<2>()?;
            let Operand::Pair(to, leader) = destination_pair else {
                return Err("the destination must be d|p".into());
            };
            let (to, leader) = (destination(to, Type::B32)?, leader.predicate_register()?);
            Ok(WarpOp::Elect { to, leader, mask: mask.source(Type::B32)? })
        }
    }?;
    Ok(Op::Warp(op))
}

fn shuffle(input: &mut Input<'_, '_>) -> Result<WarpOp, String> {
    let mode = match input.qualifiers.take_any(&["up", "down", "bfly", "idx"]) {
        Some("up") => ShuffleMode::Up,
        Some("down") => ShuffleMode::Down,
        Some("bfly") => ShuffleMode::Butterfly,
        Some(_) => ShuffleMode::Index,
        None => return Err("shfl needs a mode".into()),
    };
    if !input.qualifiers.take("b32") {
        return Err("shfl is defined for .b32".into());
    }
    let [to, a, b, c, mask] = input.take::<5>()?;
    let (to, in_range) = match to {
        Operand::Pair(to, p) => (destination(to, Type::B32)?, Some(p.predicate_register()?)),
        to => (destination(to, Type::B32)?, None),
    };
    let source = |operand: &Operand<'_>| operand.source(Type::B32);
    Ok(WarpOp::Shuffle {
        mode,
        to,
        in_range,
        a: source(a)?,
        b: source(b)?,
        c: source(c)?,
        mask: source(mask)?,
    })
}

fn vote(input: &mut Input<'_, '_>) -> Result<WarpOp, String> {
    let mode = match input.qualifiers.take_any(&["all", "any", "uni", "ballot"]) {
        Some("all") => VoteMode::All,
        Some("any") => VoteMode::Any,
        Some("uni") => VoteMode::Uniform,
        Some(_) => VoteMode::Ballot,
        None => return Err("vote needs a mode".into()),
    };
    let ballot = mode == VoteMode::Ballot;
    if !input.qualifiers.take(if ballot { "b32" } else { "pred" }) {
        return Err("vote: .ballot goes with .b32, the others with .pred".into());
    }
    let [to, p, mask] = input.take::<3>()?;
    let (to, to_pred) = if ballot {
        (Some(to.register(Type::B32)?), None)
    } else {
        (None, Some(to.predicate_register()?))
    };
    Ok(WarpOp::Vote { mode, to, to_pred, p: p.predicate()?, mask: mask.source(Type::B32)? })
}

fn matching(input: &mut Input<'_, '_>) -> Result<WarpOp, String> {
    let all =
        input.qualifiers.take_any(&["any", "all"]).ok_or("match needs .any or .all")? == "all";
    let ty = input.qualifiers.ty()?;
    if !matches!(ty, Type::B32 | Type::B64) {
        return Err("match is defined for .b32 and .b64".into());
    }
    let [to, a, mask] = input.take::<3>()?;
    let (to, all_equal) = match to {
        Operand::Pair(to, p) if all => (destination(to, Type::B32)?, Some(p.predicate_register()?)),
        to => (destination(to, Type::B32)?, None),
    };
    Ok(WarpOp::Match { all, to, all_equal, a: a.source(ty)?, mask: mask.source(Type::B32)? })
}

fn reduce(input: &mut Input<'_, '_>) -> Result<WarpOp, String> {
    let name = input
        .qualifiers
        .take_any(&["add", "min", "max", "and", "or", "xor"])
        .ok_or("redux needs an operation")?;
    let abs = input.qualifiers.take("abs");
    let nan = input.qualifiers.take("NaN");
    let ty = input.qualifiers.ty()?;
    let f: Combine = match (name, ty) {
        ("min" | "max", Type::F32) => {
            let max = name == "max";
            Arc::new(move |a, b, _| float_extreme(a as u32, b as u32, max, nan))
        }
        _ if abs || nan => return Err(".abs and .NaN go with .f32".into()),
        ("add" | "min" | "max", Type::U32 | Type::S32) | ("and" | "or" | "xor", Type::B32) => {
            combine(name, ty, false)?
        }
        _ => return Err(format!("redux.{name} is not defined for .{ty:?}")),
    };
    let [to, a, mask] = input.take::<3>()?;
    let (to, a, mask) = (to.register(Type::B32)?, a.source(ty)?, mask.source(Type::B32)?);
    Ok(WarpOp::Reduce { f, abs, to, a, mask })
}

/// One step of `redux.{min,max}{.NaN}.f32`, on bit patterns ordered as integers so that -0 < +0.
fn float_extreme(a: u32, b: u32, max: bool, propagate: bool) -> u64 {
    let is_nan = |x: u32| x & 0x7fff_ffff > 0x7f80_0000;
    let order = |x: u32| {
        let x = extend(Type::S32, u64::from(x));
        if x < 0 { -(x & 0x7fff_ffff) - 1 } else { x }
    };
    let chosen = match (is_nan(a), is_nan(b)) {
        (true, true) => 0x7fff_ffff,
        (true, false) | (false, true) if propagate => 0x7fff_ffff,
        (true, false) => b,
        (false, true) => a,
        (false, false) if (order(a) > order(b)) == max => a,
        (false, false) => b,
    };
    u64::from(chosen)
}
