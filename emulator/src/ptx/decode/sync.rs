//! Barriers and fences; see PTX ISA 9.7.13.1 to 9.7.13.4.

use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::alu_op::BoolOp;
use crate::ptx::instruction::{BarrierReduce, Op, SyncOp, WarpOp};
use crate::ptx::operand::Source;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    match input.name {
        "bar" if input.qualifiers.take("warp") => {
            if !input.qualifiers.take("sync") {
                return Err("bar.warp needs .sync".into());
            }
            Ok(Op::Warp(WarpOp::Sync { mask: input.take::<1>()?[0].source(Type::B32)? }))
        }
        "barrier" if input.qualifiers.take("cluster") => cluster(input),
        "bar" | "barrier" => block(input),
        _ => fence(input),
    }
}

fn cluster(input: &mut Input<'_, '_>) -> Decoded {
    let arrive = input
        .qualifiers
        .take_any(&["arrive", "wait"])
        .ok_or("barrier.cluster needs .arrive or .wait")?
        == "arrive";
    input.qualifiers.take_any(if arrive { &["release", "relaxed"] } else { &["acquire"] });
    let aligned = input.qualifiers.take("aligned");
    input.take::<0>()?;
    Ok(Op::Sync(if arrive {
        SyncOp::ClusterArrive { aligned }
    } else {
        SyncOp::ClusterWait { aligned }
    }))
}

fn block(input: &mut Input<'_, '_>) -> Decoded {
    input.qualifiers.take("cta");
    // `bar` is `barrier` with `.aligned`.
    let aligned = input.qualifiers.take("aligned") | (input.name == "bar");
    let action = input
        .qualifiers
        .take_any(&["sync", "arrive", "red"])
        .ok_or("a barrier needs .sync, .arrive or .red")?;
    if action != "red" {
        let count = input.count(1, 2)?;
        let threads = if count == 2 { Some(input.operand(1)?.source(Type::B32)?) } else { None };
        if action == "arrive" && threads.is_none() {
            return Err("arrive needs a thread count".into());
        }
        let id = input.operand(0)?.source(Type::B32)?;
        return Ok(Op::Sync(SyncOp::Barrier {
            id,
            threads,
            waits: action == "sync",
            aligned,
            reduce: None,
        }));
    }
    let op = match input.qualifiers.take_any(&["popc", "and", "or"]) {
        Some("popc") => None,
        Some("and") => Some(BoolOp::And),
        Some(_) => Some(BoolOp::Or),
        None => return Err("bar.red needs an operation".into()),
    };
    if !input.qualifiers.take(if op.is_none() { "u32" } else { "pred" }) {
        return Err("bar.red: .popc goes with .u32, the others with .pred".into());
    }
    let count = input.count(3, 4)?;
    let threads: Option<Source> =
        if count == 4 { Some(input.operand(2)?.source(Type::B32)?) } else { None };
    let to = input.operand(0)?;
    let (to, to_pred) = match op {
        None => (Some(to.register(Type::B32)?), None),
        Some(_) => (None, Some(to.predicate_register()?)),
    };
    let reduce = Some(BarrierReduce { op, p: input.operand(count - 1)?.predicate()?, to, to_pred });
    let id = input.operand(1)?.source(Type::B32)?;
    Ok(Op::Sync(SyncOp::Barrier { id, threads, waits: true, aligned, reduce }))
}

fn fence(input: &mut Input<'_, '_>) -> Decoded {
    let qualifiers = input.qualifiers.rest();
    match (input.name, &qualifiers[..]) {
        (
            "fence",
            ["proxy", "async"] | ["proxy", "async", "global" | "shared::cta" | "shared::cluster"],
        ) => {
            input.take::<0>()?;
            Ok(Op::Sync(SyncOp::ProxyFence))
        }
        (
            "fence",
            [
                "proxy",
                "async::generic",
                "acquire" | "release",
                "sync_restrict::shared::cluster" | "sync_restrict::shared::cta",
                "cluster",
            ],
        ) => Ok(Op::Sync(SyncOp::ProxyFence)),
        ("fence", ["proxy", "alias"]) => Ok(Op::Sync(SyncOp::Fence)),
        (
            "fence",
            [
                "proxy",
                "tensormap::generic",
                "acquire" | "release",
                "cta" | "cluster" | "gpu" | "sys",
            ],
        ) => {
            input.count(0, 2)?;
            Ok(Op::Sync(SyncOp::Fence))
        }
        ("fence", ["mbarrier_init", "release", "cluster"])
        | ("fence", ["cta" | "cluster" | "gpu" | "sys"])
        | (
            "fence",
            ["sc" | "acq_rel" | "acquire" | "release", "cta" | "cluster" | "gpu" | "sys"],
        )
        | (
            "fence",
            [
                "acquire" | "release",
                "sync_restrict::shared::cluster" | "sync_restrict::shared::cta",
                "cluster",
            ],
        )
        | ("membar", ["cta" | "gl" | "sys"]) => {
            input.take::<0>()?;
            Ok(Op::Sync(SyncOp::Fence))
        }
        (name, _) => Err(format!("{name}.{} is not modelled", qualifiers.join("."))),
    }
}
