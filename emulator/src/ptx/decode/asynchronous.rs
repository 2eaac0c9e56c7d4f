//! Asynchronous copies; see PTX ISA 9.7.9.25, 9.7.9.12 (`st.async`) and 9.7.13.7 (`red.async`).

use super::atomic::combine;
use super::memory::{address_in, space, vector};
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::async_op::{AsyncOp, Bulk, BulkSide, Direction, Reduce, TensorMode};
use crate::ptx::instruction::{MbarrierAddress, Op};
use crate::ptx::operand::{Address, Operand, Space};

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    if input.name != "cp" {
        return remote(input);
    }
    let reduce = input.qualifiers.take("reduce");
    if !input.qualifiers.take("async") {
        return Err("cp needs .async".into());
    }
    let q = &mut input.qualifiers;
    if q.take("bulk") {
        return bulk(input, reduce);
    }
    if reduce {
        return Err("cp.reduce.async needs .bulk".into());
    }
    Ok(Op::Async(if q.take("commit_group") {
        input.take::<0>()?;
        AsyncOp::Commit
    } else if q.take("wait_all") {
        input.take::<0>()?;
        AsyncOp::Wait { left: None }
    } else if q.take("wait_group") {
        AsyncOp::Wait { left: Some(groups_left(input)?) }
    } else if q.take("mbarrier") {
        mbarrier_arrive(input)?
    } else {
        copy(input)?
    }))
}

/// The operand of a `wait_group`.
fn groups_left(input: &Input<'_, '_>) -> Result<u32, String> {
    let operand = input.take::<1>()?[0].constant()?;
    let operand =
        u32::try_from(operand).map_err(|_| format!("wait_group {operand} is out of range"))?;
    Ok((input.rules.groups_left)(operand))
}

fn mbarrier_arrive(input: &mut Input<'_, '_>) -> Result<AsyncOp, String> {
    if !input.qualifiers.take("arrive") {
        return Err("cp.async.mbarrier needs .arrive".into());
    }
    let no_increment = input.qualifiers.take("noinc");
    let space = space(input).unwrap_or(Space::Generic);
    if !input.qualifiers.take("b64") {
        return Err("an mbarrier is .b64".into());
    }
    let address = address_in(&input.take::<1>()?[0], space)?;
    Ok(AsyncOp::MbarrierArrive { address: MbarrierAddress { address, space }, no_increment })
}

fn copy(input: &mut Input<'_, '_>) -> Result<AsyncOp, String> {
    let level = input.qualifiers.take_any(&["ca", "cg"]).ok_or("cp.async needs .ca or .cg")?;
    let spaces = (space(input), space(input));
    if spaces != (Some(Space::Shared), Some(Space::Global)) {
        return Err("cp.async copies .shared.global".into());
    }
    let hint = input.qualifiers.cache_hints();
    let count = input.count(3, 5)?;
    let bytes = input.operand(2)?.constant()?;
    if !(bytes == 16 || (level == "ca" && matches!(bytes, 4 | 8))) {
        return Err(format!("cp.async.{level} does not copy {bytes} bytes"));
    }
    let (mut size, mut ignore) = (None, None);
    if count - usize::from(hint) == 4 {
        match input.operand(3)? {
            p @ (Operand::Predicate(_) | Operand::NotPredicate(_)) => ignore = Some(p.predicate()?),
            other => size = Some(other.source(Type::B32)?),
        }
    }
    let to = address_in(input.operand(0)?, Space::Shared)?;
    let from = address_in(input.operand(1)?, Space::Global)?;
    Ok(AsyncOp::Copy { bytes: bytes as u32, to, from, size, ignore })
}

fn bulk(input: &mut Input<'_, '_>, reduce: bool) -> Decoded {
    let q = &mut input.qualifiers;
    if q.take("commit_group") {
        input.take::<0>()?;
        return Ok(Op::Async(AsyncOp::BulkCommit));
    }
    if q.take("wait_group") {
        let read = q.take("read");
        let left = groups_left(input)?;
        return Ok(Op::Async(AsyncOp::BulkWait { left, read }));
    }
    let prefetch = q.take("prefetch");
    let tensor = q.take("tensor");
    let dimensions = if tensor {
        let name =
            q.take_any(&["1d", "2d", "3d", "4d", "5d"]).ok_or("a tensor copy needs .1d to .5d")?;
        usize::from(name.as_bytes()[0] - b'0')
    } else {
        0
    };
    if prefetch {
        // A hint: the data come with the copy itself.
        q.rest();
        return Ok(Op::Sync(crate::ptx::instruction::SyncOp::Fence));
    }
    let to = space(input).ok_or("a destination space is missing")?;
    let from = space(input).ok_or("a source space is missing")?;
    let direction = match (to, from) {
        (Space::Shared | Space::SharedCluster, Space::Global) if !reduce => Direction::Load,
        (Space::SharedCluster, Space::Shared) if !tensor => Direction::SharedToCluster,
        (Space::Global, Space::Shared) => Direction::Store,
        other => return Err(format!("a bulk copy {other:?} is not defined")),
    };
    let q = &mut input.qualifiers;
    let counted = q.take("mbarrier::complete_tx::bytes");
    if counted == q.take("bulk_group") || counted != (direction != Direction::Store) {
        return Err(
            "copies to shared memory complete on an mbarrier, others as a .bulk_group".into()
        );
    }
    let multicast = q.take("multicast::cluster");
    let hint = q.cache_hints();
    let masked = q.take("cp_mask");
    let group = q.take_any(&["cta_group::1", "cta_group::2"]);
    let combine = if reduce { Some(reduction(input, tensor)?) } else { None };
    let mode = tensor_mode(input, tensor)?;
    let [first, second] = [input.operand(0)?, input.operand(1)?];
    let mut next = 2;
    let mut take = |wanted: bool| {
        let found = wanted.then_some(next);
        next += usize::from(wanted);
        found.map(|i| input.operand(i)).transpose()
    };
    let size = take(!tensor)?;
    let mbarrier = take(counted)?.map(|m| m.address()).transpose()?;
    let multicast = take(multicast)?.map(|m| m.source(Type::B16)).transpose()?;
    take(hint)?;
    let byte_mask = take(masked)?.map(|m| m.source(Type::B16)).transpose()?;
    input.count(next, next)?;
    if group.is_some() && direction != Direction::Load {
        return Err(".cta_group goes with loads".into());
    }
    let (shared, other) =
        if direction == Direction::Store { (second, first) } else { (first, second) };
    let other = if tensor {
        let (map, coordinates) = other.tensor_address()?;
        let expected =
            if matches!(mode, TensorMode::Gather4 | TensorMode::Scatter4) { 5 } else { dimensions };
        if coordinates.len() != expected {
            return Err(format!("{expected} coordinates expected, {} found", coordinates.len()));
        }
        BulkSide::Tensor { map, coordinates, mode }
    } else {
        let bytes = size.ok_or("a size is missing")?.source(Type::B32)?;
        BulkSide::Linear { address: other.address()?, bytes }
    };
    let shared: Address = shared.address()?;
    Ok(Op::Async(AsyncOp::Bulk(Box::new(Bulk {
        direction,
        shared,
        other,
        mbarrier,
        multicast,
        byte_mask,
        reduce: combine,
    }))))
}

fn tensor_mode(input: &mut Input<'_, '_>, tensor: bool) -> Result<TensorMode, String> {
    let names = [
        "tile",
        "im2col",
        "im2col_no_offs",
        "tile::gather4",
        "tile::scatter4",
        "im2col::w",
        "im2col::w::128",
    ];
    Ok(match input.qualifiers.take_any(&names) {
        None | Some("tile") => TensorMode::Tile,
        Some(_) if !tensor => return Err("a load mode goes with .tensor".into()),
        Some("tile::gather4") => TensorMode::Gather4,
        Some("tile::scatter4") => TensorMode::Scatter4,
        Some(other) => return Err(format!(".{other} is not modelled")),
    })
}

/// The operation of a reducing copy; in a tensor copy the tensor map gives the type.
fn reduction(input: &mut Input<'_, '_>, tensor: bool) -> Result<Reduce, String> {
    const NAMES: [&str; 8] = ["add", "min", "max", "inc", "dec", "and", "or", "xor"];
    let q = &mut input.qualifiers;
    let name =
        q.take_map(|part| NAMES.iter().find(|n| **n == part)).ok_or("a reduction is missing")?;
    if tensor {
        return Ok(Reduce::ByMap(name));
    }
    let noftz = q.take("noftz");
    let ty = q.ty()?;
    Ok(Reduce::Typed(combine(name, ty, noftz)?, ty.bits()))
}

/// `st.async`, `red.async`.
fn remote(input: &mut Input<'_, '_>) -> Decoded {
    if !input.qualifiers.take("async") {
        return Err(format!("{} is not modelled", input.name));
    }
    input.qualifiers.take_any(&["weak", "relaxed"]);
    input.qualifiers.take("cluster");
    if input.qualifiers.take_any(&["mbarrier::complete_tx::bytes"]).is_none() {
        return Err("only completion on an mbarrier is modelled".into());
    }
    if space(input) != Some(Space::SharedCluster) {
        return Err("the destination must be .shared::cluster".into());
    }
    let name = input.qualifiers.take_any(&["add", "min", "max", "inc", "dec", "and", "or", "xor"]);
    let count = vector(input);
    let ty = input.qualifiers.ty()?;
    let f = name.map(|name| combine(name, ty, false)).transpose()?;
    if f.is_some() != (input.name == "red") {
        return Err("red.async has an operation, st.async has none".into());
    }
    let [to, value, mbarrier] = input.take::<3>()?;
    let from = value.elements().iter().map(|e| e.source(ty)).collect::<Result<Vec<_>, _>>()?;
    if from.len() != count {
        return Err(format!("{count} values expected, {} found", from.len()));
    }
    Ok(Op::Async(AsyncOp::Remote { f, ty, to: to.address()?, from, mbarrier: mbarrier.address()? }))
}
