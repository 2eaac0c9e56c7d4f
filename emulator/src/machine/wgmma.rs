//! `wgmma` in flight: each warp computes its own 16 rows, when the group that they belong to is waited for.
//!
//! From issue to wait the accumulator registers hold poison, and shared memory is read only at the wait: what is used or
//! overwritten too early gives a wrong answer, as it may on hardware.

use super::context::Context;
use super::race::Proxy;
use super::warp::REGISTER_POISON;
use super::{Fault, FaultKind};
use crate::ptx::{Lanes, Reg, SHARED_BASE, WgmmaOp};
use crate::tensor::wgmma::{Failure, OperandA, Options, Wgmma};
use std::collections::VecDeque;

/// Operand A of a product in flight.
enum A {
    Registers(Vec<Lanes>),
    Descriptor(u64),
}

/// A product in flight.
struct Product {
    wgmma: Wgmma,
    a: A,
    b: u64,
    options: Options,
    /// Index of its accumulators.
    accumulators: usize,
}

/// Accumulator registers in flight and the values they will have.
struct Accumulators {
    registers: Vec<Reg>,
    values: Vec<Lanes>,
    /// Products still to be added.
    pending: usize,
    /// Registers that an accumulator was moved to while in flight.
    copies: Vec<Moved>,
}

/// A move of an accumulator in flight: it lands with it. Compilers unpack halves before the wait.
struct Moved {
    to: Reg,
    /// Index of the accumulator.
    from: usize,
    /// Its lowest bit that is moved.
    shift: u32,
    /// Bits moved.
    bits: u32,
}

impl Moved {
    fn value(&self, accumulator: &Lanes) -> Lanes {
        let keep = if self.bits >= 64 { u64::MAX } else { (1 << self.bits) - 1 };
        accumulator.map(|x| x >> self.shift & keep)
    }
}

/// A warp's products in flight.
#[derive(Default)]
pub(super) struct Pipeline {
    open: Vec<Product>,
    groups: VecDeque<Vec<Product>>,
    accumulators: Vec<Accumulators>,
    fenced: bool,
    /// What landed last, to tell whether registers were touched since.
    landed: Vec<(Reg, Lanes)>,
    /// Instructions issued: the four warps of a group must agree.
    pub issued: u64,
}

impl Pipeline {
    /// `wgmma.fence`
    pub fn fence(&mut self) {
        self.fenced = true;
    }

    /// `wgmma.commit_group`
    pub fn commit(&mut self) {
        let group = std::mem::take(&mut self.open);
        self.groups.push_back(group);
    }

    /// Notes that bits of a register are moved to another: if it is an accumulator in flight, so is the other now.
    pub fn note_move(&mut self, from: Reg, to: Reg, shift: u32, bits: u32) {
        for accumulators in self.accumulators.iter_mut().filter(|a| a.pending > 0) {
            let direct =
                accumulators.registers.iter().position(|r| *r == from).map(|index| (index, 0));
            let again =
                || accumulators.copies.iter().find(|c| c.to == from).map(|c| (c.from, c.shift));
            if let Some((index, base)) = direct.or_else(again) {
                accumulators.copies.push(Moved { to, from: index, shift: base + shift, bits });
            }
        }
    }

    /// Whether anything is in flight.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.groups.iter().all(Vec::is_empty)
    }
}

fn illegal(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::IllegalInstruction, message)
}

impl Context<'_, '_> {
    /// Puts a product in flight.
    pub(super) fn issue_wgmma(&mut self, op: &WgmmaOp, mask: u32) -> Result<(), Fault> {
        self.machine.counters.tensor += 1;
        self.machine.counters.tensor_macs += op.wgmma.multiply_adds() / 4;
        let a = if op.a_in_shared {
            A::Descriptor(self.uniform(op.a[0], mask, "descriptor of A")?)
        } else {
            A::Registers(op.a.iter().map(|source| self.values(*source)).collect())
        };
        let b = self.uniform(op.b, mask, "descriptor of B")?;
        let accumulate = self.warp.predicate_source(op.accumulate) & mask;
        if accumulate != 0 && accumulate != mask {
            return Err(illegal("scale-d differs between lanes"));
        }
        let options = Options {
            accumulate: accumulate != 0,
            negate_a: op.negate[0],
            negate_b: op.negate[1],
            transpose_a: op.transpose[0],
            transpose_b: op.transpose[1],
        };
        let accumulators = self.accumulators(op)?;
        let product = Product { wgmma: op.wgmma, a, b, options, accumulators };
        self.warp.wgmma.open.push(product);
        self.warp.wgmma.issued += 1;
        Ok(())
    }

    /// The accumulators of an instruction: those in flight already, or its registers as they are now.
    fn accumulators(&mut self, op: &WgmmaOp) -> Result<usize, Fault> {
        let pipeline = &mut self.warp.wgmma;
        let same = pipeline.accumulators.iter().position(|a| a.pending > 0 && a.registers == op.d);
        if let Some(index) = same {
            pipeline.accumulators[index].pending += 1;
            return Ok(index);
        }
        let overlaps = pipeline
            .accumulators
            .iter()
            .any(|a| a.pending > 0 && a.registers.iter().any(|r| op.d.contains(r)));
        if overlaps {
            let message = "accumulator registers are shared with a wgmma of another shape that is still in flight";
            return Err(Fault::new(FaultKind::NotWaitedFor, message));
        }
        if !self.warp.wgmma.fenced && op.d.iter().any(|reg| self.touched(*reg)) {
            return Err(illegal(
                "wgmma.fence is missing between the last access to the accumulator registers and wgmma.mma_async",
            ));
        }
        let values = op.d.iter().map(|reg| *self.warp.register(*reg)).collect();
        for reg in &op.d {
            self.warp.poison(*reg, u32::MAX);
        }
        let pipeline = &mut self.warp.wgmma;
        let entry =
            Accumulators { registers: op.d.clone(), values, pending: 1, copies: Vec::new() };
        match pipeline.accumulators.iter().position(|a| a.pending == 0) {
            Some(free) => {
                pipeline.accumulators[free] = entry;
                Ok(free)
            }
            None => {
                pipeline.accumulators.push(entry);
                Ok(pipeline.accumulators.len() - 1)
            }
        }
    }

    /// Whether a register was written since a product landed in it.
    fn touched(&self, reg: Reg) -> bool {
        let landed = self.warp.wgmma.landed.iter().find(|(r, _)| *r == reg);
        landed.is_none_or(|(_, values)| values != self.warp.register(reg))
    }

    /// `wgmma.wait_group`: all but the last `left` groups land.
    pub(super) fn wait_wgmma(&mut self, left: usize) -> Result<(), Fault> {
        self.warp.wgmma.fenced = false;
        while self.warp.wgmma.groups.len() > left {
            let Some(group) = self.warp.wgmma.groups.pop_front() else { break };
            for product in group {
                self.land_wgmma(&product)?;
            }
        }
        Ok(())
    }

    fn land_wgmma(&mut self, product: &Product) -> Result<(), Fault> {
        let mut values =
            std::mem::take(&mut self.warp.wgmma.accumulators[product.accumulators].values);
        let a = match &product.a {
            A::Registers(registers) => OperandA::Registers(registers),
            A::Descriptor(descriptor) => OperandA::Descriptor(*descriptor),
        };
        let (row, id, rank) = (self.warp.number % 4, self.warp.id, self.warp.block);
        let done =
            product.wgmma.apply(row, a, product.b, product.options, &mut values, |address| {
                self.matrix_chunk(id, rank, address)
            });
        done.map_err(|failed| match failed {
            Failure::Operand(message) => illegal(message),
            Failure::Memory(fault) => fault,
        })?;
        let pipeline = &mut self.warp.wgmma;
        let accumulators = &mut pipeline.accumulators[product.accumulators];
        accumulators.values = values;
        accumulators.pending -= 1;
        if accumulators.pending == 0 {
            let registers = std::mem::take(&mut accumulators.registers);
            let values = std::mem::take(&mut accumulators.values);
            for moved in std::mem::take(&mut accumulators.copies) {
                // Unless something else was written there since.
                if *self.warp.register(moved.to) == moved.value(&[REGISTER_POISON; 32]) {
                    self.warp.write(moved.to, u32::MAX, &moved.value(&values[moved.from]));
                }
            }
            for (reg, value) in registers.iter().zip(&values) {
                self.warp.write(*reg, u32::MAX, value);
            }
            self.warp.wgmma.landed = registers.into_iter().zip(values).collect();
        }
        Ok(())
    }

    /// 16 bytes of a block's shared memory, read by the matrix unit on behalf of a warp.
    pub(super) fn matrix_chunk(
        &mut self,
        warp: usize,
        rank: usize,
        address: u32,
    ) -> Result<[u8; 16], Fault> {
        if !address.is_multiple_of(16) {
            let message = format!("a matrix at {address:#x}, which is not a multiple of 16");
            return Err(Fault::new(FaultKind::MisalignedAddress, message));
        }
        let offset = (address as usize).wrapping_sub(SHARED_BASE as usize);
        self.check_shared(rank, offset, 16)?;
        self.note_read(warp, rank, offset, 16, Proxy::Asynchronous)?;
        let mut chunk = [0; 16];
        chunk.copy_from_slice(&self.cluster.blocks[rank].shared[offset..offset + 16]);
        Ok(chunk)
    }
}
