//! Control flow and hints; see PTX ISA 9.7.12 and 9.7.19.

use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::instruction::{Flow, Op};
use crate::ptx::operand::Operand;

pub fn decode<'a>(
    input: &mut Input<'_, 'a>,
    targets: impl Fn(&str) -> Option<Vec<&'a str>>,
    labels: &mut Vec<&'a str>,
) -> Decoded {
    let flow = match input.name {
        "bra" => {
            input.qualifiers.take("uni");
            let [Operand::Name(label)] = input.take::<1>()? else {
                return Err("the target must be a label".into());
            };
            labels.push(label);
            Flow::Branch(0)
        }
        "brx" => {
            input.qualifiers.take("uni");
            if !input.qualifiers.take("idx") {
                return Err("brx needs .idx".into());
            }
            let [index, Operand::Name(list)] = input.take::<2>()? else {
                return Err("brx.idx takes an index and a .branchtargets label".into());
            };
            let found = targets(list)
                .ok_or_else(|| format!("no .branchtargets {list} before this line"))?;
            labels.extend(&found);
            Flow::Switch { index: index.source(Type::B32)?, targets: vec![0; found.len()] }
        }
        "ret" | "exit" => {
            input.qualifiers.take("uni");
            input.take::<0>()?;
            Flow::Exit
        }
        "trap" | "brkpt" => Flow::Trap,
        "nanosleep" => {
            input.qualifiers.take("u32");
            input.take::<1>()?[0].source(Type::B32)?;
            Flow::Nothing { aligned: false, sleeps: true }
        }
        "griddepcontrol" => {
            // Grids run one after another: a dependent grid starts after its predecessor's end, which is always allowed.
            input
                .qualifiers
                .take_any(&["launch_dependents", "wait"])
                .ok_or("griddepcontrol needs an action")?;
            Flow::Nothing { aligned: false, sleeps: false }
        }
        "setmaxnreg" => {
            input.qualifiers.take_any(&["inc", "dec"]).ok_or("setmaxnreg needs .inc or .dec")?;
            if !(input.qualifiers.take("sync")
                && input.qualifiers.take("aligned")
                && input.qualifiers.take("u32"))
            {
                return Err("setmaxnreg needs .sync.aligned.u32".into());
            }
            let count = input.take::<1>()?[0].constant()?;
            if !(24..=256).contains(&count) || count % 8 != 0 {
                return Err(format!("register count {count} is not a multiple of 8 in 24..=256"));
            }
            Flow::Nothing { aligned: true, sleeps: false }
        }
        "pmevent" => {
            input.qualifiers.take("mask");
            Flow::Nothing { aligned: false, sleeps: false }
        }
        _ => return Err("calls are not modelled: compile with everything inlined".into()),
    };
    Ok(Op::Flow(flow))
}
