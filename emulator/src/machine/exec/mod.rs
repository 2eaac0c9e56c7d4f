//! Executes one pre-decoded instruction in the lanes of a mask.

mod alu;
mod atomic;
mod exchange;
mod memory;
mod tensor;

use super::barrier::Arrival;
use super::context::{Context, Outcome};
use super::warp::lanes;
use super::{Fault, FaultKind};
use crate::ptx::{Flow, Op, SyncOp};

impl Context<'_, '_> {
    /// Executes `op` for group `group` in the lanes of `mask`, which is not empty.
    pub(super) fn execute(&mut self, op: &Op, group: usize, mask: u32) -> Result<Outcome, Fault> {
        match op {
            Op::Alu(alu) => {
                self.alu(alu, mask);
                Ok(Outcome::Next)
            }
            Op::Flow(flow) => {
                self.machine.counters.branch += 1;
                self.flow(flow, group, mask)
            }
            Op::Memory(memory) => {
                self.machine.counters.memory += 1;
                self.memory(memory, mask)?;
                Ok(Outcome::Next)
            }
            Op::Warp(exchange) => {
                self.machine.counters.integer += 1;
                self.exchange(exchange, group, mask)
            }
            Op::Sync(sync) => {
                self.machine.counters.sync += 1;
                self.sync(sync, group, mask)
            }
            Op::Async(copy) => {
                self.machine.counters.memory += 1;
                self.asynchronous(copy, mask)
            }
            Op::Tensor(tensor) => self.tensor(tensor, group, mask),
        }
    }

    fn flow(&mut self, flow: &Flow, group: usize, mask: u32) -> Result<Outcome, Fault> {
        match flow {
            Flow::Branch(target) => {
                // Lanes whose guard does not hold go on at the next instruction.
                let next = self.warp.groups[group].pc + 1;
                let here = self.warp.groups[group].mask;
                if here == mask {
                    self.warp.groups[group].pc = *target;
                } else {
                    self.warp.split(group, mask, *target);
                    self.warp.groups[group].pc = next;
                }
                Ok(Outcome::Moved)
            }
            Flow::Switch { index, targets } => {
                let values = self.values(*index);
                let next = self.warp.groups[group].pc + 1;
                for lane in lanes(mask) {
                    let target =
                        usize::try_from(values[lane] as u32).ok().and_then(|i| targets.get(i));
                    let Some(&target) = target else {
                        let message = format!(
                            "brx.idx with index {} of {} targets",
                            values[lane],
                            targets.len()
                        );
                        return Err(
                            Fault::new(FaultKind::IllegalInstruction, message).at_lane(lane)
                        );
                    };
                    // A group of one lane moves as a whole; it must be the last of its group to go.
                    self.warp.split(group, 1 << lane, target);
                }
                let left = self.warp.groups[group].mask & !mask;
                if left != 0 && self.warp.groups[group].mask == left {
                    self.warp.groups[group].pc = next;
                }
                Ok(Outcome::Moved)
            }
            Flow::Exit => {
                let here = self.warp.groups[group].mask;
                self.check_exit(mask)?;
                if here != mask {
                    self.warp.groups[group].pc += 1;
                }
                self.warp.exit(group, mask);
                self.cluster.live[self.warp.id] &= !mask;
                self.cluster.progress += 1;
                self.complete_cluster_barrier();
                Ok(Outcome::Moved)
            }
            Flow::Trap => Err(Fault::new(FaultKind::Trap, "trap")),
            Flow::Nothing { aligned, sleeps } => {
                if *aligned
                    && let Some(wait) = self.converge(group, mask, self.warp.live(), true)?
                {
                    return Ok(wait);
                }
                Ok(if *sleeps { Outcome::Yield } else { Outcome::Next })
            }
        }
    }

    /// What must hold when lanes exit.
    fn check_exit(&mut self, mask: u32) -> Result<(), Fault> {
        self.flush_stores(mask)?;
        if self.warp.live() == mask && !self.warp.wgmma.is_idle() {
            return Err(Fault::new(
                FaultKind::NotWaitedFor,
                "the warp ends with wgmma in flight: wgmma.wait_group is missing",
            ));
        }
        Ok(())
    }

    fn sync(&mut self, sync: &SyncOp, group: usize, mask: u32) -> Result<Outcome, Fault> {
        match sync {
            SyncOp::Barrier { id, threads, waits, aligned, reduce } => {
                let reduce = reduce.as_ref();
                let arrival = Arrival {
                    id: *id,
                    threads: *threads,
                    waits: *waits,
                    aligned: *aligned,
                    reduce,
                };
                self.barrier(&arrival, group, mask)
            }
            SyncOp::ClusterArrive { aligned } => self.cluster_arrive(*aligned, group, mask),
            SyncOp::ClusterWait { aligned } => self.cluster_wait(*aligned, group, mask),
            SyncOp::Fence => Ok(Outcome::Next),
            SyncOp::ProxyFence => {
                let id = self.warp.id;
                for block in &mut self.cluster.blocks {
                    block.shadow.fence(&mut self.cluster.clocks, id);
                }
                Ok(Outcome::Next)
            }
            other => self.mbarrier(other, mask),
        }
    }
}
