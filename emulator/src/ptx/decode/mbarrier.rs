//! `mbarrier`; see PTX ISA 9.7.13.15.

use super::memory::{address_in, space};
use super::moves::destination;
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::instruction::{MbarrierAddress, Op, SyncOp};
use crate::ptx::operand::{Operand, Source, Space};

const ACTIONS: [&str; 9] = [
    "init",
    "inval",
    "expect_tx",
    "complete_tx",
    "arrive",
    "arrive_drop",
    "test_wait",
    "try_wait",
    "pending_count",
];

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    let action = input.qualifiers.take_any(&ACTIONS).ok_or("mbarrier needs an action")?;
    if action == "pending_count" {
        input.qualifiers.take("b64");
        let [to, state] = input.take::<2>()?;
        let (to, state) = (to.register(Type::B32)?, state.source(Type::B64)?);
        return Ok(Op::Sync(SyncOp::MbarrierPending { to, state }));
    }
    let with_expect = action != "expect_tx" && input.qualifiers.take("expect_tx");
    let no_complete = input.qualifiers.take("noComplete");
    let parity = input.qualifiers.take("parity");
    let semantics = input.qualifiers.take_any(&["release", "acquire", "relaxed"]);
    let scope = input.qualifiers.take_any(&["cta", "cluster"]);
    if semantics.is_some() && scope.is_none() {
        return Err("a scope is missing".into());
    }
    let space = space(input).unwrap_or(Space::Generic);
    if !matches!(space, Space::Generic | Space::Shared | Space::SharedCluster) {
        return Err("an mbarrier lies in shared memory".into());
    }
    if !input.qualifiers.take("b64") && !matches!(action, "expect_tx" | "complete_tx") {
        return Err("mbarrier needs .b64".into());
    }
    let address = |operand: &Operand<'_>| {
        Ok::<_, String>(MbarrierAddress { address: address_in(operand, space)?, space })
    };
    let word = |operand: &Operand<'_>| operand.source(Type::B32);
    let plain_arrive = matches!(action, "arrive" | "arrive_drop") && !with_expect;
    if no_complete && !plain_arrive {
        return Err(".noComplete goes with an arrive that has a count".into());
    }
    Ok(Op::Sync(match action {
        "init" => {
            let [a, count] = input.take::<2>()?;
            SyncOp::MbarrierInit { address: address(a)?, count: word(count)? }
        }
        "inval" => SyncOp::MbarrierInvalidate { address: address(&input.take::<1>()?[0])? },
        "expect_tx" | "complete_tx" => {
            let [a, bytes] = input.take::<2>()?;
            let bytes = Some(word(bytes)?);
            let (expect, complete) =
                if action == "expect_tx" { (bytes, None) } else { (None, bytes) };
            SyncOp::MbarrierArrive {
                address: address(a)?,
                to: None,
                arrivals: None,
                expect,
                complete,
                drop: false,
            }
        }
        "arrive" | "arrive_drop" => {
            // `{state | _ ,} [addr] {, count or bytes}`
            let returns = !matches!(input.operand(0)?, Operand::Address { .. });
            let first = usize::from(returns);
            let count = input.count(first + 1, first + 2)?;
            let to = if returns { destination(input.operand(0)?, Type::B64)? } else { None };
            let extra =
                if count == first + 2 { Some(word(input.operand(first + 1)?)?) } else { None };
            if (with_expect || no_complete) && extra.is_none() {
                return Err("a count is missing".into());
            }
            let (arrivals, expect) = if with_expect {
                (Source::Constant(1), extra)
            } else {
                (extra.unwrap_or(Source::Constant(1)), None)
            };
            let address = address(input.operand(first)?)?;
            let drop = action == "arrive_drop";
            SyncOp::MbarrierArrive {
                address,
                to,
                arrivals: Some(arrivals),
                expect,
                complete: None,
                drop,
            }
        }
        _ => {
            // try_wait may take a time limit, a hint.
            input.count(3, 3 + usize::from(action == "try_wait"))?;
            let phase = input.operand(2)?.source(if parity { Type::B32 } else { Type::B64 })?;
            let to = input.operand(0)?.predicate_register()?;
            SyncOp::MbarrierWait { address: address(input.operand(1)?)?, to, phase, parity }
        }
    }))
}
