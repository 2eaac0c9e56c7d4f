//! `tcgen05`: tensor memory and the pipe of products and copies that fills it.
//!
//! Products and copies wait in their block's pipe until somebody waits on an `mbarrier` that a `commit` tied to them;
//! only then are shared and tensor memory read and written. Stores from registers land at `wait::st`. Loads give their
//! registers at once: the ISA lets a dependent instruction use them without `wait::ld`.

use super::access::Place;
use super::context::{Context, Outcome};
use super::mbarrier::Pending;
use super::race::Proxy;
use super::warp::{Wait, lanes};
use super::{Fault, FaultKind};
use crate::ptx::{Address, Lanes, Source, Space, Tcgen05Op, TensorMmaOp};
use crate::tensor::tcgen05::{OperandA, Operands, TensorMma};
use crate::tensor::tensor_copy::{TensorCopy, shift};
use crate::tensor::tmem::{TensorMemory, Transfer};
use crate::tensor::wgmma::Failure;
use std::collections::VecDeque;

/// Tensor memory of a block and the operations in flight on it.
#[derive(Default)]
pub(super) struct TensorPipe {
    /// Made at the first allocation.
    pub memory: Option<Box<TensorMemory>>,
    queue: VecDeque<Work>,
    issued: u64,
    relinquished: bool,
}

/// An operation in flight.
struct Work {
    number: u64,
    /// The warp that issued it, cluster-wide.
    warp: usize,
    kind: WorkKind,
}

enum WorkKind {
    Mma(TensorMma, Box<Operands>),
    Copy(TensorCopy, u32, u64),
    Shift(usize, u32),
}

/// A store from registers in flight.
pub(super) struct Store {
    transfer: Transfer,
    address: u32,
    half_offset: u32,
    values: Vec<Lanes>,
}

fn illegal(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::IllegalInstruction, message)
}

fn failure(failed: Failure<Fault>) -> Fault {
    match failed {
        Failure::Operand(message) => illegal(message),
        Failure::Memory(fault) => fault,
    }
}

impl Context<'_, '_> {
    /// Executes a `tcgen05` instruction.
    pub(super) fn tcgen05(
        &mut self,
        op: &Tcgen05Op,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        let collective = !matches!(
            op,
            Tcgen05Op::Mma(_)
                | Tcgen05Op::Copy { .. }
                | Tcgen05Op::Shift { .. }
                | Tcgen05Op::Commit { .. }
                | Tcgen05Op::Fence
        );
        if collective && let Some(wait) = self.converge_full(group, mask)? {
            return Ok(wait);
        }
        match op {
            Tcgen05Op::Allocate { space, to, columns } => {
                return self.allocate(*space, *to, *columns, mask);
            }
            Tcgen05Op::Free { address, columns } => self.free(*address, *columns, mask)?,
            Tcgen05Op::Relinquish => {
                self.cluster.blocks[self.warp.block].tensor.relinquished = true
            }
            Tcgen05Op::Load { transfer, to, address, half_offset } => {
                self.machine.counters.memory += 1;
                let address = self.tensor_address(*address, mask)?;
                let mut values = vec![[0; 32]; to.len()];
                let number = self.warp.number;
                let loaded = transfer.load(
                    self.tensor_memory()?,
                    number,
                    address,
                    *half_offset,
                    &mut values,
                );
                loaded.map_err(illegal)?;
                for (to, values) in to.iter().zip(&values) {
                    self.warp.write(*to, mask, values);
                }
            }
            Tcgen05Op::Store { transfer, from, address, half_offset } => {
                self.machine.counters.memory += 1;
                let address = self.tensor_address(*address, mask)?;
                self.tensor_memory()?;
                let values = from.iter().map(|source| self.values(*source)).collect();
                let store =
                    Store { transfer: *transfer, address, half_offset: *half_offset, values };
                self.warp.tensor_stores.push(store);
            }
            Tcgen05Op::WaitStores => {
                let number = self.warp.number;
                for store in std::mem::take(&mut self.warp.tensor_stores) {
                    let Store { transfer, address, half_offset, values } = store;
                    let stored = transfer.store(
                        self.tensor_memory()?,
                        number,
                        address,
                        half_offset,
                        &values,
                    );
                    stored.map_err(illegal)?;
                }
                self.cluster.progress += 1;
            }
            Tcgen05Op::WaitLoads | Tcgen05Op::Fence => self.machine.counters.sync += 1,
            Tcgen05Op::Mma(op) => self.issue_mma(op, mask)?,
            Tcgen05Op::Copy { copy, to, descriptor } => {
                let (to, descriptors) = (self.addresses(*to), self.values(*descriptor));
                for lane in lanes(mask) {
                    self.issue_tensor(WorkKind::Copy(*copy, to[lane] as u32, descriptors[lane]));
                }
            }
            Tcgen05Op::Shift { ctas, address } => {
                let addresses = self.addresses(*address);
                for lane in lanes(mask) {
                    self.issue_tensor(WorkKind::Shift(*ctas, addresses[lane] as u32));
                }
            }
            Tcgen05Op::Commit { mbarrier, blocks } => {
                self.machine.counters.sync += 1;
                for lane in lanes(mask) {
                    let (rank, offset) = self.mbarrier_place(*mbarrier, lane)?;
                    let ranks = blocks.map_or(1 << rank, |b| self.value(b, lane) as u32 & 0xffff);
                    let before = self.cluster.blocks[self.warp.block].tensor.issued;
                    for rank in lanes(ranks) {
                        if rank >= self.cluster.blocks.len() {
                            return Err(illegal(format!(
                                "commit to block {rank} of a cluster of {}",
                                self.cluster.blocks.len()
                            )));
                        }
                        let pending =
                            Pending::Tensor { block: self.warp.block, warp: self.warp.id, before };
                        self.enqueue((rank, offset), pending).map_err(|f| f.at_lane(lane))?;
                    }
                }
            }
        }
        Ok(Outcome::Next)
    }

    /// A tensor-memory address that all lanes must agree on.
    fn tensor_address(&self, address: Address, mask: u32) -> Result<u32, Fault> {
        let base = self.uniform(address.base, mask, "tensor-memory address")?;
        Ok((base as u32).wrapping_add(address.offset as u32))
    }

    fn tensor_memory(&mut self) -> Result<&mut TensorMemory, Fault> {
        let memory = self.cluster.blocks[self.warp.block].tensor.memory.as_deref_mut();
        memory.ok_or_else(|| illegal("tensor memory is used before tcgen05.alloc"))
    }

    fn allocate(
        &mut self,
        space: Space,
        to: Address,
        columns: Source,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        let columns = self.uniform(columns, mask, "number of columns")? as u32;
        let addresses = self.addresses(to);
        let place = self.place(space, addresses[0], 4, 4)?;
        let Place::Shared { rank, offset } = place else {
            return Err(Fault::new(
                FaultKind::AddressSpace,
                "tcgen05.alloc writes its result to shared memory",
            ));
        };
        let pipe = &mut self.cluster.blocks[self.warp.block].tensor;
        if pipe.relinquished {
            return Err(illegal("tcgen05.alloc after tcgen05.relinquish_alloc_permit"));
        }
        let memory = pipe.memory.get_or_insert_default();
        let Some(address) = memory.allocate(columns).map_err(illegal)? else {
            return Ok(Outcome::Stay(Wait::TensorMemory { progress: self.cluster.progress }));
        };
        let bytes = address.to_le_bytes();
        self.note_write(self.warp.id, rank, offset, &bytes, Proxy::Generic)?;
        self.cluster.blocks[rank].shared[offset..offset + 4].copy_from_slice(&bytes);
        self.cluster.progress += 1;
        Ok(Outcome::Next)
    }

    fn free(&mut self, address: Source, columns: Source, mask: u32) -> Result<(), Fault> {
        let address = self.uniform(address, mask, "tensor-memory address")? as u32;
        let columns = self.uniform(columns, mask, "number of columns")? as u32;
        if !self.cluster.blocks[self.warp.block].tensor.queue.is_empty() {
            let message =
                "tcgen05.dealloc with products or copies in flight that nobody waited for";
            return Err(Fault::new(FaultKind::NotWaitedFor, message));
        }
        self.tensor_memory()?.deallocate(address, columns).map_err(illegal)?;
        self.cluster.progress += 1;
        Ok(())
    }

    fn issue_tensor(&mut self, kind: WorkKind) {
        let warp = self.warp.id;
        let pipe = &mut self.cluster.blocks[self.warp.block].tensor;
        pipe.queue.push_back(Work { number: pipe.issued, warp, kind });
        pipe.issued += 1;
    }

    fn issue_mma(&mut self, op: &TensorMmaOp, mask: u32) -> Result<(), Fault> {
        for lane in lanes(mask) {
            let tensor = |address: Address| self.addresses(address)[lane] as u32;
            let mut disabled_lanes = [0; 8];
            for (word, source) in disabled_lanes.iter_mut().zip(&op.disabled) {
                *word = self.value(*source, lane) as u32;
            }
            let operands = Operands {
                d: tensor(op.d),
                a: match op.a {
                    Ok(address) => OperandA::Tensor(tensor(address)),
                    Err(descriptor) => OperandA::Shared(self.value(descriptor, lane)),
                },
                b: self.value(op.b, lane),
                instruction: self.value(op.instruction, lane) as u32,
                scales: op.scales.map(|scales| scales.map(tensor)),
                disabled_lanes,
                accumulate: self.warp.predicate_source(op.accumulate) >> lane & 1 == 1,
                scale_input_d: op.scale_input_d,
            };
            self.machine.counters.tensor += 1;
            self.machine.counters.tensor_macs += op.mma.multiply_adds(operands.instruction);
            self.issue_tensor(WorkKind::Mma(op.mma, Box::new(operands)));
        }
        Ok(())
    }

    /// Lets the operations of a block's pipe numbered below `before` land, in order.
    pub(super) fn land_tensor(&mut self, block: usize, before: u64) -> Result<(), Fault> {
        while self.cluster.blocks[block]
            .tensor
            .queue
            .front()
            .is_some_and(|work| work.number < before)
        {
            if let Some(work) = self.cluster.blocks[block].tensor.queue.pop_front() {
                self.land_work(block, work)?;
            }
        }
        Ok(())
    }

    fn land_work(&mut self, block: usize, work: Work) -> Result<(), Fault> {
        let ctas = match &work.kind {
            WorkKind::Mma(mma, _) => mma.ctas(),
            WorkKind::Copy(copy, ..) => copy.ctas(),
            WorkKind::Shift(ctas, _) => *ctas,
        };
        // The pair of a block is its neighbour whose rank differs in the last bit; the even one comes first.
        let first = if ctas == 2 { block & !1 } else { block };
        if first + ctas > self.cluster.blocks.len() {
            return Err(illegal(".cta_group::2 in a cluster without a peer block"));
        }
        let mut memories = Vec::new();
        for rank in first..first + ctas {
            let memory = self.cluster.blocks[rank].tensor.memory.take();
            memories
                .push(memory.ok_or_else(|| illegal("tensor memory is used before tcgen05.alloc"))?);
        }
        let result = self.compute(first, &work, &mut memories);
        for (rank, memory) in memories.into_iter().enumerate() {
            self.cluster.blocks[first + rank].tensor.memory = Some(memory);
        }
        result
    }

    fn compute(
        &mut self,
        first: usize,
        work: &Work,
        memories: &mut [Box<TensorMemory>],
    ) -> Result<(), Fault> {
        match &work.kind {
            WorkKind::Mma(mma, operands) => {
                let mut all: Vec<&mut TensorMemory> =
                    memories.iter_mut().map(|m| &mut **m).collect();
                mma.apply(&mut all, operands, |cta, address| {
                    self.matrix_chunk(work.warp, first + cta, address)
                })
                .map_err(failure)
            }
            WorkKind::Copy(copy, address, descriptor) => {
                for (cta, memory) in memories.iter_mut().enumerate() {
                    let read = |at| self.matrix_chunk(work.warp, first + cta, at);
                    copy.apply(memory, *address, *descriptor, read).map_err(failure)?;
                }
                Ok(())
            }
            WorkKind::Shift(_, address) => {
                memories.iter_mut().try_for_each(|memory| shift(memory, *address).map_err(illegal))
            }
        }
    }
}
