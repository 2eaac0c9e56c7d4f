//! Tensor-core instructions; see PTX ISA 9.7.14 to 9.7.16. Their qualifiers are parsed by [`crate::tensor`].

use super::{Decoded, Input};
use crate::ptx::Type;
use crate::ptx::instruction::Op;
use crate::ptx::operand::{Operand, Reg, Source};
use crate::ptx::tensor_op::{Scale, TensorOp, WgmmaOp};
use crate::tensor::matrix::Matrix;
use crate::tensor::mma::Mma;
use crate::tensor::wgmma::Wgmma;

pub fn decode(input: &mut Input<'_, '_>) -> Decoded {
    let names = input.qualifiers.rest();
    let op = match input.name {
        "ldmatrix" => {
            let matrix = Matrix::parse_load(&names, input.rules)?;
            let [to, address] = input.take::<2>()?;
            let (to, address) = (registers(to, matrix.registers())?, address.address()?);
            TensorOp::LoadMatrix { matrix, to, address }
        }
        "stmatrix" => {
            let matrix = Matrix::parse_store(&names, input.rules)?;
            let [address, from] = input.take::<2>()?;
            let (from, address) = (sources(from, matrix.registers())?, address.address()?);
            TensorOp::StoreMatrix { matrix, from, address }
        }
        "movmatrix" => {
            if names != ["sync", "aligned", "m8n8", "trans", "b16"] {
                return Err("movmatrix needs .sync.aligned.m8n8.trans.b16".into());
            }
            let [to, a] = input.take::<2>()?;
            TensorOp::Transpose { to: to.register(Type::B32)?, a: a.source(Type::B32)? }
        }
        "mma" => mma(input, &names)?,
        _ => wgmma(input, &names)?,
    };
    Ok(Op::Tensor(Box::new(op)))
}

pub fn registers(operand: &Operand<'_>, count: usize) -> Result<Vec<Reg>, String> {
    let found =
        operand.elements().iter().map(|e| e.register(Type::B32)).collect::<Result<Vec<_>, _>>()?;
    if found.len() == count {
        Ok(found)
    } else {
        Err(format!("{count} registers expected, {} found", found.len()))
    }
}

pub fn sources(operand: &Operand<'_>, count: usize) -> Result<Vec<Source>, String> {
    let found =
        operand.elements().iter().map(|e| e.source(Type::B32)).collect::<Result<Vec<_>, _>>()?;
    if found.len() == count {
        Ok(found)
    } else {
        Err(format!("{count} registers expected, {} found", found.len()))
    }
}

fn mma(input: &Input<'_, '_>, names: &[&str]) -> Result<TensorOp, String> {
    let mma = Box::new(Mma::parse(names, input.rules)?);
    let count = if mma.is_scaled() { 8 } else { 4 };
    input.count(count, count)?;
    let d = registers(input.operand(0)?, mma.d_registers())?;
    let a = sources(input.operand(1)?, mma.a_registers())?;
    let b = sources(input.operand(2)?, mma.b_registers())?;
    let c = sources(input.operand(3)?, mma.c_registers())?;
    let scale = |data: usize| {
        let [byte_id, thread_id] = input.operand(data + 1)?.elements() else {
            return Err("a selector is {byte-id, thread-id}".to_owned());
        };
        let (byte_id, thread_id) = (byte_id.source(Type::B16)?, thread_id.source(Type::B16)?);
        Ok(Scale { data: input.operand(data)?.source(Type::B32)?, byte_id, thread_id })
    };
    let scales = if mma.is_scaled() { Some([scale(4)?, scale(6)?]) } else { None };
    Ok(TensorOp::Mma { mma, d, a, b, c, scales })
}

fn wgmma(input: &Input<'_, '_>, names: &[&str]) -> Result<TensorOp, String> {
    match names {
        ["fence", "sync", "aligned"] => return Ok(TensorOp::WgmmaFence),
        ["commit_group", "sync", "aligned"] => return Ok(TensorOp::WgmmaCommit),
        ["wait_group", "sync", "aligned"] => {
            let left = input.take::<1>()?[0].constant()?;
            return match u32::try_from(left) {
                Ok(left) if left <= 7 => {
                    let left = (input.rules.groups_left)(left);
                    Ok(TensorOp::WgmmaWait { left: left as usize })
                }
                _ => Err(format!("wait_group {left} is not in 0..=7")),
            };
        }
        _ => {}
    }
    let wgmma = Wgmma::parse(names, input.rules)?;
    let d = registers(input.operand(0)?, wgmma.d_registers())?;
    let a = input.operand(1)?;
    let a_in_shared = !matches!(a, Operand::Vector(_));
    let a = if a_in_shared { vec![a.source(Type::B64)?] } else { sources(a, wgmma.a_registers())? };
    let b = input.operand(2)?.source(Type::B64)?;
    let accumulate = input.operand(3)?.predicate()?;
    let mut next = 4;
    let mut immediate = || {
        next += 1;
        input.operand(next - 1)?.constant()
    };
    let mut negate = [false; 2];
    if wgmma.has_negate() {
        for flag in &mut negate {
            *flag = match immediate()? as i64 {
                1 => false,
                -1 => true,
                other => return Err(format!("imm-scale {other} is not 1 or -1")),
            };
        }
    }
    let mut transpose = [false; 2];
    if wgmma.has_transpose() {
        for flag in &mut transpose[usize::from(!a_in_shared)..] {
            *flag = match immediate()? {
                0 => false,
                1 => true,
                other => return Err(format!("imm-trans {other} is not 0 or 1")),
            };
        }
    }
    input.count(next, next)?;
    Ok(TensorOp::Wgmma(Box::new(WgmmaOp {
        wgmma,
        d,
        a,
        a_in_shared,
        b,
        accumulate,
        negate,
        transpose,
    })))
}
