//! Which warp runs when, until a cluster ends.
//!
//! With seed 0 warps run in order, each until it waits. With any other seed the order is drawn anew for each round and
//! each turn is short and of random length, always the same for the same seed: programs that lack a barrier then tend to
//! give another answer.

use super::cluster::{Block, ClusterBarrier, ClusterState};
use super::context::{Context, Machine};
use super::race::{Clock, Clocks};
use super::warp::{Wait, Warp};
use super::{Fault, FaultKind};
use std::sync::atomic::Ordering;

/// Instructions of a turn with seed 0.
const LONG_TURN: u32 = 1 << 14;
/// A warp that polled an `mbarrier` this often, while nothing that another warp may wait for happened, is idle.
const IDLE_POLLS: u32 = 8;

/// A cluster that executed so many instructions without writing or arriving anywhere polls for another cluster.
const POLLING: u64 = 1 << 16;

/// A cluster at work.
pub(super) struct Cluster {
    state: ClusterState,
    warps: Vec<Warp>,
    random: u64,
}

/// How a cluster stands after a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Ended,
    /// It polls something that another cluster may write.
    Running,
}

impl Cluster {
    pub fn new(machine: &Machine<'_>, first: [u32; 3], shared_bytes: usize) -> Self {
        let [cx, cy, cz] = machine.cluster;
        let threads: u32 = machine.config.block.iter().product();
        let each = threads.div_ceil(32) as usize;
        let total = each * (cx * cy * cz) as usize;
        let mut blocks = Vec::new();
        let mut warps = Vec::new();
        let local = machine.function.local_bytes as usize;
        for (z, y, x) in
            (0..cz).flat_map(|z| (0..cy).flat_map(move |y| (0..cx).map(move |x| (z, y, x))))
        {
            let rank = blocks.len();
            let ctaid = [first[0] + x, first[1] + y, first[2] + z];
            blocks.push(Block::new(ctaid, warps.len(), each, total, shared_bytes));
            for number in 0..each {
                let missing = (32 * (number as u32 + 1)).saturating_sub(threads);
                let existing = u32::MAX >> missing;
                let id = warps.len();
                warps.push(Warp::new(&machine.function.code, local, rank, number, id, existing));
            }
        }
        let live = warps.iter().map(|w: &Warp| w.existing).collect();
        let barrier = ClusterBarrier {
            arrived: vec![0; total],
            owing: vec![0; total],
            ..ClusterBarrier::default()
        };
        let state = ClusterState {
            blocks,
            clocks: Clocks::new(total),
            barrier,
            live,
            strong: Clock::new(),
            progress: 0,
        };
        let seed = machine.config.seed;
        let random = if seed == 0 {
            0
        } else {
            mix(seed ^ u64::from(first[0]) << 40 ^ u64::from(first[1]) << 20 ^ u64::from(first[2]))
                | 1
        };
        Self { state, warps, random }
    }

    fn draw(&mut self) -> u64 {
        self.random = mix(self.random);
        self.random
    }

    /// Runs all warps in turn, for about `rounds` turns each.
    pub fn run(&mut self, machine: &mut Machine<'_>, rounds: u32) -> Result<Progress, Fault> {
        let mut order: Vec<usize> = (0..self.warps.len()).collect();
        let mut last = (self.state.progress, machine.counters.instructions);
        for _ in 0..rounds {
            let before = self.state.progress;
            let mut idle = true;
            if self.random != 0 {
                for i in (1..order.len()).rev() {
                    let j = self.draw() as usize % (i + 1);
                    order.swap(i, j);
                }
            }
            for &index in &order {
                let turn =
                    if self.random == 0 { LONG_TURN } else { 1 + (self.draw() >> 40) as u32 % 64 };
                let acted = self.turn(machine, index, turn)?;
                idle &= !acted || self.warps[index].idle_polls >= IDLE_POLLS;
            }
            if self.warps.iter().all(|w| w.groups.is_empty()) {
                self.check_end()?;
                return Ok(Progress::Ended);
            }
            if self.state.progress != before {
                self.warps.iter_mut().for_each(|w| w.idle_polls = 0);
            } else if idle {
                return Err(self.deadlock());
            }
            if self.state.progress != last.0 {
                last = (self.state.progress, machine.counters.instructions);
            } else if machine.counters.instructions - last.1 > POLLING {
                return Ok(Progress::Running);
            }
            if machine.hooks.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Err(Fault::new(FaultKind::Cancelled, "the launch was cancelled"));
            }
        }
        Ok(Progress::Running)
    }

    /// One warp's turn; false if all its lanes wait or have ended.
    fn turn(
        &mut self,
        machine: &mut Machine<'_>,
        index: usize,
        budget: u32,
    ) -> Result<bool, Fault> {
        let warp = &mut self.warps[index];
        if warp.groups.is_empty() {
            return Ok(false);
        }
        let function = machine.function;
        let mut context = Context { machine, cluster: &mut self.state, warp };
        let result = context.run(&function.code.instructions, budget);
        result.map_err(|fault| {
            let warp = &self.warps[index];
            Fault {
                block: Some(self.state.blocks[warp.block].ctaid),
                warp: Some(warp.number as u32),
                line: fault.line.or(Some(warp.line)),
                ..fault
            }
        })
    }

    fn deadlock(&self) -> Fault {
        let mut parts = Vec::new();
        let mut divergent = None;
        for warp in &self.warps {
            let block = self.state.blocks[warp.block].ctaid;
            for group in &warp.groups {
                let lanes = group.mask;
                let why = match group.wait {
                    Wait::Ready => "polls an mbarrier".to_owned(),
                    Wait::Lanes { aligned } => {
                        divergent = divergent.or(Some((warp, group.pc, aligned)));
                        "waits for other lanes of the warp".to_owned()
                    }
                    Wait::Barrier { id, .. } => format!("waits at barrier {id}"),
                    Wait::Cluster { .. } => "waits at the cluster's barrier".to_owned(),
                    Wait::TensorMemory { .. } => "waits for tensor memory".to_owned(),
                };
                if parts.len() < 8 {
                    parts.push(format!(
                        "block {block:?} warp {} lanes {lanes:#010x} line {} {why}",
                        warp.number, warp.line
                    ));
                }
            }
        }
        let ended = self.warps.iter().filter(|w| w.groups.is_empty()).count();
        let message = format!(
            "no warp can go on ({ended} of {} have ended): {}",
            self.warps.len(),
            parts.join("; ")
        );
        let mut fault = match divergent {
            Some((_, _, true)) => Fault::new(
                FaultKind::Divergence,
                format!("an .aligned instruction not executed by all lanes together; {message}"),
            ),
            _ => Fault::new(FaultKind::Deadlock, message),
        };
        if let Some(warp) =
            divergent.map(|(w, ..)| w).or_else(|| self.warps.iter().find(|w| !w.groups.is_empty()))
        {
            fault.block = Some(self.state.blocks[warp.block].ctaid);
            fault.warp = Some(warp.number as u32);
            fault.line = Some(warp.line);
        }
        fault
    }

    /// What must hold when all warps have ended.
    fn check_end(&self) -> Result<(), Fault> {
        for block in &self.state.blocks {
            let columns = block.tensor.memory.as_ref().map_or(0, |memory| memory.allocated());
            if columns != 0 {
                let message = format!(
                    "the block ends with {columns} columns of tensor memory allocated: tcgen05.dealloc is missing"
                );
                let fault = Fault::new(FaultKind::NotWaitedFor, message);
                return Err(Fault { block: Some(block.ctaid), ..fault });
            }
        }
        for group in self.warps.chunks(4) {
            let first = &group[0];
            if let Some(other) = group
                .iter()
                .find(|w| w.block == first.block && w.wgmma.issued != first.wgmma.issued)
            {
                let message = format!(
                    "warps of a warpgroup executed different numbers of wgmma: warp {} {}, warp {} {}",
                    first.number, first.wgmma.issued, other.number, other.wgmma.issued
                );
                let fault = Fault::new(FaultKind::Divergence, message);
                return Err(Fault { block: Some(self.state.blocks[first.block].ctaid), ..fault });
            }
        }
        Ok(())
    }
}

/// A step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
