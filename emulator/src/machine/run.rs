//! A warp's turn: fetch, guard, execute, move on.

use super::context::{Context, Outcome};
use super::warp::{Group, Wait};
use super::{Fault, FaultKind};
use crate::ptx::{Flow, Instruction, Op, SyncOp};

impl Context<'_, '_> {
    /// Runs this warp until it waits, yields, ends or spends its budget; false if it could do nothing.
    pub(super) fn run(&mut self, code: &[Instruction], budget: u32) -> Result<bool, Fault> {
        self.wake();
        let mut acted = false;
        for _ in 0..budget {
            let Some(index) = self.warp.select() else { break };
            let Group { pc, mask: here, .. } = self.warp.groups[index];
            let Some(instruction) = code.get(pc as usize) else {
                // Past the last instruction: an implicit return.
                self.warp.line = code.last().map_or(0, |i| i.line);
                self.execute(&Op::Flow(Flow::Exit), index, here)?;
                acted = true;
                continue;
            };
            self.warp.line = instruction.line;
            let counters = &mut self.machine.counters;
            counters.instructions += 1;
            if counters.instructions > self.machine.config.step_limit {
                let message = format!("more than {} instructions", self.machine.config.step_limit);
                return Err(Fault::new(FaultKind::StepLimit, message));
            }
            let mask = match instruction.guard {
                None => here,
                Some((pred, negated)) => {
                    here & (self.warp.predicate(pred) ^ if negated { u32::MAX } else { 0 })
                }
            };
            acted = true;
            if mask == 0 {
                self.warp.groups[index].pc += 1;
                self.warp.reconverge();
                continue;
            }
            let outcome = self.execute(&instruction.op, index, mask)?;
            let group = &mut self.warp.groups;
            match outcome {
                Outcome::Next => group[index].pc += 1,
                Outcome::Moved => {}
                Outcome::Yield => {
                    group[index].pc += 1;
                    self.warp.reconverge();
                    break;
                }
                Outcome::NextThen(wait) => {
                    if group[index].mask != mask {
                        group[index].mask &= !mask;
                        group[index].pc += 1;
                        group.push(Group { pc: pc + 1, mask, wait });
                    } else {
                        group[index].pc += 1;
                        group[index].wait = wait;
                    }
                    self.wake();
                }
                Outcome::Stay(wait) => group[index].wait = wait,
            }
            self.warp.reconverge();
        }
        Ok(acted)
    }

    /// Ends the waits of this warp whose condition holds.
    fn wake(&mut self) {
        for i in 0..self.warp.groups.len() {
            let done = match self.warp.groups[i].wait {
                Wait::Ready | Wait::Lanes { .. } => false,
                Wait::Barrier { id, generation } => self.barrier_passed(id, generation),
                Wait::Cluster { generation } => self.cluster_passed(generation),
                Wait::TensorMemory { progress } => self.cluster.progress != progress,
            };
            if done {
                self.finish_barrier(i);
                self.warp.groups[i].wait = Wait::Ready;
            }
        }
    }

    /// Gives lanes that pass a `bar.red` its result.
    fn finish_barrier(&mut self, index: usize) {
        let Group { pc, mask, wait } = self.warp.groups[index];
        let Wait::Barrier { id, .. } = wait else { return };
        let code = &self.machine.function.code.instructions;
        if let Op::Sync(SyncOp::Barrier { reduce: Some(reduce), .. }) = &code[pc as usize - 1].op {
            self.barrier_result(id, reduce, mask);
        }
    }
}
