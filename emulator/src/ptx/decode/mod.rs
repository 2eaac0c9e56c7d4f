//! Opcode and operands to a pre-decoded [`Op`].
//!
//! Each file takes the instructions of one kind. A qualifier that no rule takes is an error: silence would be a wrong
//! answer.

mod arithmetic;
mod asynchronous;
mod atomic;
mod carry;
mod compare;
mod float;
mod flow;
mod integer;
mod lanes;
mod logic;
mod mbarrier;
mod memory;
mod moves;
mod qualifiers;
mod sync;
mod tcgen05;
mod tensor;
mod warp;

use super::instruction::Op;
use super::operand::Operand;
use crate::tensor::Rules;
use qualifiers::Qualifiers;

pub(crate) use atomic::combine;

/// What an instruction's rules see.
pub(super) struct Input<'o, 'a> {
    pub name: &'a str,
    pub qualifiers: Qualifiers<'a>,
    pub operands: &'o [Operand<'a>],
    pub rules: &'o Rules,
}

impl<'o, 'a> Input<'o, 'a> {
    /// Exactly `N` operands.
    pub fn take<const N: usize>(&self) -> Result<&'o [Operand<'a>; N], String> {
        self.operands
            .try_into()
            .map_err(|_| format!("{N} operands expected, {} found", self.operands.len()))
    }

    /// Operand `index`.
    pub fn operand(&self, index: usize) -> Result<&'o Operand<'a>, String> {
        self.operands.get(index).ok_or_else(|| format!("operand {} is missing", index + 1))
    }

    /// From `least` to `most` operands.
    pub fn count(&self, least: usize, most: usize) -> Result<usize, String> {
        match self.operands.len() {
            n if (least..=most).contains(&n) => Ok(n),
            n => Err(format!("{least} to {most} operands expected, {n} found")),
        }
    }
}

type Decoded = Result<Op, String>;

/// Decodes one instruction. `targets` finds a `.branchtargets` list; `labels` receives the labels to be resolved.
pub(super) fn decode<'a>(
    opcode: &'a str,
    operands: &[Operand<'a>],
    rules: &Rules,
    targets: impl Fn(&str) -> Option<Vec<&'a str>>,
    labels: &mut Vec<&'a str>,
) -> Decoded {
    let mut parts = opcode.split('.');
    let name = parts.next().unwrap_or_default();
    let mut input = Input { name, qualifiers: Qualifiers::new(parts.collect())?, operands, rules };
    let op = match name {
        "bra" | "brx" | "call" | "ret" | "exit" | "trap" | "brkpt" | "nanosleep" | "pmevent"
        | "griddepcontrol" | "setmaxnreg" => flow::decode(&mut input, targets, labels),
        "mov" | "cvt" | "cvta" | "isspacep" | "mapa" | "getctarank" => moves::decode(&mut input),
        "prmt" | "lop3" | "shf" | "bfe" | "bfi" | "bfind" | "brev" | "clz" | "popc" | "fns"
        | "bmsk" | "szext" | "not" | "cnot" | "and" | "or" | "xor" | "shl" | "shr" => {
            logic::decode(&mut input)
        }
        "setp" | "set" | "selp" | "slct" | "testp" => compare::decode(&mut input),
        "addc" | "subc" | "madc" => carry::decode(&mut input),
        "add" | "sub" | "mad" if input.qualifiers.has("cc") => carry::decode(&mut input),
        "st" if input.qualifiers.has("async") => asynchronous::decode(&mut input),
        "ld" | "ldu" | "st" | "prefetch" | "prefetchu" | "discard" | "applypriority"
        | "createpolicy" => memory::decode(&mut input),
        "atom" | "red" if !input.qualifiers.has("async") => atomic::decode(&mut input),
        "shfl" | "vote" | "match" | "redux" | "elect" | "activemask" => warp::decode(&mut input),
        "bar" | "barrier" | "fence" | "membar" => sync::decode(&mut input),
        "mbarrier" => mbarrier::decode(&mut input),
        "cp" | "red" => asynchronous::decode(&mut input),
        "ldmatrix" | "stmatrix" | "movmatrix" | "mma" | "wgmma" => tensor::decode(&mut input),
        "tcgen05" => tcgen05::decode(&mut input),
        _ => arithmetic::decode(&mut input),
    }?;
    input.qualifiers.finish()?;
    Ok(op)
}
