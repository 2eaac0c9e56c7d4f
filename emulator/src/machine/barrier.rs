//! Block barriers (`bar`, `barrier`): sixteen a block, each for all of its threads or a stated number.

use super::context::{Context, Outcome};
use super::race::{Clock, join};
use super::warp::{Wait, lanes};
use super::{Fault, FaultKind};
use crate::ptx::{BarrierReduce, BoolOp, Source};

/// One named barrier.
#[derive(Default)]
pub(super) struct Barrier {
    /// Lanes of each warp that have arrived in this generation.
    arrived: Vec<u32>,
    /// Threads expected, fixed by the first arrival.
    expected: u32,
    pub generation: u64,
    arriving: Clock,
    released: Clock,
    /// Of `bar.red`: lanes whose predicate held, and those whose it did not.
    votes: (u32, u32),
    /// Votes of the generation that ended last.
    result: (u32, u32),
}

/// A decoded barrier instruction.
pub(super) struct Arrival<'i> {
    pub id: Source,
    pub threads: Option<Source>,
    pub waits: bool,
    pub aligned: bool,
    pub reduce: Option<&'i BarrierReduce>,
}

impl Context<'_, '_> {
    /// Executes `bar.{sync,arrive,red}`.
    pub(super) fn barrier(
        &mut self,
        arrival: &Arrival<'_>,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        if arrival.aligned
            && let Some(wait) = self.converge(group, mask, self.warp.live(), true)?
        {
            return Ok(wait);
        }
        let id = self.uniform(arrival.id, mask, "barrier number")? as u32;
        if id > 15 {
            return Err(Fault::new(
                FaultKind::IllegalInstruction,
                format!("barrier {id}: there are 16"),
            ));
        }
        let block = &self.cluster.blocks[self.warp.block];
        let all = block.warps as u32 * 32;
        let expected = match arrival.threads {
            Some(source) => self.uniform(source, mask, "thread count")? as u32,
            None => all,
        };
        if expected == 0 || expected % 32 != 0 || expected > all {
            let message = format!(
                "barrier {id} for {expected} threads: a multiple of 32 up to {all} is needed"
            );
            return Err(Fault::new(FaultKind::IllegalInstruction, message));
        }
        let votes = arrival.reduce.map(|r| self.warp.predicate_source(r.p) & mask);
        self.arrive(id, expected, arrival, mask, votes)
    }

    fn arrive(
        &mut self,
        id: u32,
        expected: u32,
        arrival: &Arrival<'_>,
        mask: u32,
        votes: Option<u32>,
    ) -> Result<Outcome, Fault> {
        let (number, existing) = (self.warp.number, self.warp.existing);
        let block = &mut self.cluster.blocks[self.warp.block];
        let barrier = block.barriers.entry(id).or_default();
        barrier.arrived.resize(block.warps, 0);
        let first = barrier.arrived.iter().all(|&lanes| lanes == 0);
        if first {
            barrier.expected = expected;
        } else if barrier.expected != expected {
            let message = format!(
                "barrier {id} for {expected} threads, others arrived for {}",
                barrier.expected
            );
            return Err(Fault::new(FaultKind::Deadlock, message));
        }
        if barrier.arrived[number] & mask != 0 {
            let message =
                format!("unpaired barrier {id}: a lane arrives again before the barrier completes");
            return Err(Fault::new(FaultKind::Deadlock, message));
        }
        // Lanes that the last warp lacks count as arrived: hardware counts warps.
        barrier.arrived[number] |= mask;
        if barrier.arrived[number] == existing {
            barrier.arrived[number] |= !existing;
        }
        if let Some(votes) = votes {
            barrier.votes.0 += votes.count_ones();
            barrier.votes.1 += (mask & !votes).count_ones();
        }
        self.cluster.clocks.release(self.warp.id, &mut barrier.arriving);
        self.cluster.progress += 1;
        let count: u32 = barrier.arrived.iter().map(|lanes| lanes.count_ones()).sum();
        if count > barrier.expected {
            let message =
                format!("barrier {id}: {count} threads arrived, {} expected", barrier.expected);
            return Err(Fault::new(FaultKind::Deadlock, message));
        }
        let generation = barrier.generation;
        if count == barrier.expected {
            barrier.generation += 1;
            barrier.arrived.fill(0);
            join(&mut barrier.released, &barrier.arriving);
            barrier.result = std::mem::take(&mut barrier.votes);
        }
        if !arrival.waits {
            return Ok(Outcome::Next);
        }
        self.machine.counters.barriers += 1;
        Ok(Outcome::NextThen(Wait::Barrier { id, generation }))
    }

    /// Whether generation `generation` has ended; the warp then knows what the others did before they arrived.
    pub(super) fn barrier_passed(&mut self, id: u32, generation: u64) -> bool {
        let Some(barrier) = self.cluster.blocks[self.warp.block].barriers.get(&id) else {
            return false;
        };
        if barrier.generation <= generation {
            return false;
        }
        self.cluster.clocks.acquire(self.warp.id, &barrier.released);
        true
    }

    /// Writes the result of `bar.red` into lanes that have just passed it.
    pub(super) fn barrier_result(&mut self, id: u32, reduce: &BarrierReduce, mask: u32) {
        let Some(barrier) = self.cluster.blocks[self.warp.block].barriers.get(&id) else {
            return;
        };
        let (yes, no) = barrier.result;
        if let Some(to) = reduce.to {
            self.warp.write(to, mask, &[u64::from(yes); 32]);
        }
        if let Some(to) = reduce.to_pred {
            let truth = if reduce.op == Some(BoolOp::Or) { yes > 0 } else { no == 0 };
            self.warp.write_predicate(to, mask, if truth { u32::MAX } else { 0 });
        }
    }

    /// `barrier.cluster.arrive`
    pub(super) fn cluster_arrive(
        &mut self,
        aligned: bool,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        if aligned && let Some(wait) = self.converge(group, mask, self.warp.live(), true)? {
            return Ok(wait);
        }
        let id = self.warp.id;
        let barrier = &mut self.cluster.barrier;
        if barrier.owing[id] & mask != 0 {
            return Err(Fault::new(
                FaultKind::Deadlock,
                "unpaired cluster barrier: a lane arrives twice without a wait",
            ));
        }
        barrier.arrived[id] |= mask;
        barrier.owing[id] |= mask;
        self.cluster.clocks.release(id, &mut barrier.arriving);
        self.cluster.progress += 1;
        self.complete_cluster_barrier();
        Ok(Outcome::Next)
    }

    /// Ends the generation if every lane that has not exited arrived.
    pub(super) fn complete_cluster_barrier(&mut self) {
        let state = &mut *self.cluster;
        let barrier = &mut state.barrier;
        let complete =
            state.live.iter().zip(&barrier.arrived).all(|(live, arrived)| live & !arrived == 0);
        if complete && barrier.arrived.iter().any(|&lanes| lanes != 0) {
            barrier.generation += 1;
            barrier.arrived.fill(0);
            join(&mut barrier.released, &barrier.arriving);
            state.progress += 1;
        }
    }

    /// `barrier.cluster.wait`
    pub(super) fn cluster_wait(
        &mut self,
        aligned: bool,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        if aligned && let Some(wait) = self.converge(group, mask, self.warp.live(), true)? {
            return Ok(wait);
        }
        let id = self.warp.id;
        let barrier = &mut self.cluster.barrier;
        if barrier.owing[id] & mask != mask {
            return Err(Fault::new(
                FaultKind::Deadlock,
                "unpaired cluster barrier: a lane waits without having arrived",
            ));
        }
        barrier.owing[id] &= !mask;
        // Not yet complete if this warp's arrival still counts.
        let generation = barrier.generation;
        let pending = lanes(mask).any(|lane| barrier.arrived[id] >> lane & 1 == 1);
        self.machine.counters.barriers += 1;
        let generation = if pending { generation } else { generation - 1 };
        Ok(Outcome::NextThen(Wait::Cluster { generation }))
    }

    /// Whether a generation of the cluster's barrier has ended.
    pub(super) fn cluster_passed(&mut self, generation: u64) -> bool {
        if self.cluster.barrier.generation <= generation {
            return false;
        }
        self.cluster.clocks.acquire(self.warp.id, &self.cluster.barrier.released);
        true
    }
}
