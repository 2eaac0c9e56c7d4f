//! `tcgen05`; see PTX ISA 9.7.16. Qualifiers of products, copies and accesses are parsed by [`crate::tensor`].

use super::tensor::{registers, sources};
use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::instruction::{MbarrierAddress, Op};
use crate::ptx::operand::{Operand, Source, Space};
use crate::ptx::tensor_op::{Tcgen05Op, TensorMmaOp, TensorOp};
use crate::tensor::tcgen05::TensorMma;
use crate::tensor::tensor_copy::{TensorCopy, parse_shift};
use crate::tensor::tmem::Transfer;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    let names = input.qualifiers.rest();
    let word = |i: usize| input.operand(i)?.source(Type::B32);
    let op = match names[..] {
        ["alloc", "cta_group::1" | "cta_group::2", "sync", "aligned", ref rest @ ..] => {
            let space = match rest {
                ["shared::cta", "b32"] => Space::Shared,
                ["b32"] => Space::Generic,
                _ => return Err("alloc needs .b32".into()),
            };
            let [to, _] = input.take::<2>()?;
            Tcgen05Op::Allocate {
                space,
                to: super::memory::address_in(to, space)?,
                columns: word(1)?,
            }
        }
        ["dealloc", "cta_group::1" | "cta_group::2", "sync", "aligned", "b32"] => {
            input.take::<2>()?;
            Tcgen05Op::Free { address: word(0)?, columns: word(1)? }
        }
        ["relinquish_alloc_permit", "cta_group::1" | "cta_group::2", "sync", "aligned"] => {
            input.take::<0>()?;
            Tcgen05Op::Relinquish
        }
        ["wait::ld", "sync", "aligned"] => Tcgen05Op::WaitLoads,
        ["wait::st", "sync", "aligned"] => Tcgen05Op::WaitStores,
        ["fence::before_thread_sync" | "fence::after_thread_sync"] => Tcgen05Op::Fence,
        ["ld" | "st", ..] => transfer(input, &names)?,
        ["mma", ..] => mma(input, &names)?,
        ["cp", ..] => {
            let copy = TensorCopy::parse(&names, input.rules)?;
            let [to, descriptor] = input.take::<2>()?;
            Tcgen05Op::Copy { copy, to: to.address()?, descriptor: descriptor.source(Type::B64)? }
        }
        ["shift", ..] => {
            let ctas = parse_shift(&names)?;
            Tcgen05Op::Shift { ctas, address: input.take::<1>()?[0].address()? }
        }
        ["commit", ..] => commit(input, &names)?,
        _ => return Err("this tcgen05 instruction is not modelled".into()),
    };
    Ok(Op::Tensor(Box::new(TensorOp::Tcgen05(op))))
}

fn transfer(input: &Input<'_, '_>, names: &[&str]) -> Result<Tcgen05Op, String> {
    let transfer = Transfer::parse(names, input.rules)?;
    let load = names[0] == "ld";
    let fixed = 2 + usize::from(transfer.has_half_offset());
    input.count(fixed, fixed)?;
    let (value, address) = if load { (0, 1) } else { (1, 0) };
    let address = input.operand(address)?.address()?;
    // `st` has the offset between address and value.
    let half = if load { 2 } else { 1 };
    let half_offset =
        if transfer.has_half_offset() { input.operand(half)?.constant()? as u32 } else { 0 };
    let value = input.operand(if !load && transfer.has_half_offset() { 2 } else { value })?;
    let count = transfer.registers();
    Ok(if load {
        Tcgen05Op::Load { transfer, to: registers(value, count)?, address, half_offset }
    } else {
        Tcgen05Op::Store { transfer, from: sources(value, count)?, address, half_offset }
    })
}

fn mma(input: &Input<'_, '_>, names: &[&str]) -> Result<Tcgen05Op, String> {
    let mma = TensorMma::parse(names, input.rules)?;
    let d = input.operand(0)?.address()?;
    let a = match input.operand(1)? {
        address @ Operand::Address { .. } => Ok(address.address()?),
        descriptor => Err(descriptor.source(Type::B64)?),
    };
    let b = input.operand(2)?.source(Type::B64)?;
    let instruction = input.operand(3)?.source(Type::B32)?;
    let mut next = 4;
    let mut scales = None;
    let mut disabled: Vec<Source> = Vec::new();
    if mma.kind().is_scaled() {
        scales = Some([input.operand(4)?.address()?, input.operand(5)?.address()?]);
        next = 6;
    } else if let Operand::Vector(lanes) = input.operand(4)? {
        disabled = lanes.iter().map(|l| l.source(Type::B32)).collect::<Result<_, _>>()?;
        if disabled.len() != 4 * mma.ctas() {
            return Err(format!(
                "disable-output-lane has {} words, {} are needed",
                disabled.len(),
                4 * mma.ctas()
            ));
        }
        next = 5;
    }
    let accumulate = input.operand(next)?.predicate()?;
    let scaled_input = !mma.kind().is_scaled() && input.operands.len() == next + 2;
    let scale_input_d = if scaled_input { input.operand(next + 1)?.constant()? as u32 } else { 0 };
    let count = next + 1 + usize::from(scaled_input);
    input.count(count, count)?;
    let op = TensorMmaOp { mma, d, a, b, instruction, scales, disabled, accumulate, scale_input_d };
    Ok(Tcgen05Op::Mma(Box::new(op)))
}

fn commit(input: &Input<'_, '_>, names: &[&str]) -> Result<Tcgen05Op, String> {
    let ["commit", "cta_group::1" | "cta_group::2", "mbarrier::arrive::one", rest @ ..] = names
    else {
        return Err("commit needs .cta_group and .mbarrier::arrive::one".into());
    };
    let (space, rest) = match rest {
        ["shared::cluster", rest @ ..] => (Space::SharedCluster, rest),
        rest => (Space::Generic, rest),
    };
    let multicast = match rest {
        ["multicast::cluster", "b64"] => true,
        ["b64"] => false,
        _ => return Err("commit needs .b64".into()),
    };
    let count = 1 + usize::from(multicast);
    input.count(count, count)?;
    let address = super::memory::address_in(input.operand(0)?, space)?;
    let blocks = if multicast { Some(input.operand(1)?.source(Type::B16)?) } else { None };
    Ok(Tcgen05Op::Commit { mbarrier: MbarrierAddress { address, space }, blocks })
}
