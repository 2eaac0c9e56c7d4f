//! A warp: the registers of 32 lanes and where each lane stands.
//!
//! Lanes at the same instruction form a group. The group with the lowest program counter runs, so that structured code
//! reconverges at the end of each branch. A group that must wait keeps its place and the condition that ends its wait.

use crate::ptx::{Code, Lanes, Pred, PredSource, Reg};

/// What every register holds before it is written.
pub(super) const REGISTER_POISON: u64 = 0xDEAD_BEEF;
/// What local memory holds before it is written.
const LOCAL_POISON: u8 = 0xCD;
/// After this many instructions of diverged lanes the group that waits longest gets a turn: a lane may spin on what
/// another lane of its warp is to do (independent thread scheduling, sm_70 and up).
const FAIRNESS: u64 = 4096;

/// What a group of lanes waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    Ready,
    /// Other lanes of the warp, which the instruction at the group's place needs.
    Lanes { aligned: bool },
    /// The end of generation `generation` of a block barrier.
    Barrier { id: u32, generation: u64 },
    /// The end of a generation of the cluster's barrier.
    Cluster { generation: u64 },
    /// Columns of tensor memory: for something to happen in the cluster.
    TensorMemory { progress: u64 },
}

/// Lanes at one instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub pc: u32,
    pub mask: u32,
    pub wait: Wait,
}

/// One warp.
pub(super) struct Warp {
    /// Rank of its block in the cluster.
    pub block: usize,
    /// Number within its block.
    pub number: usize,
    /// Number within the cluster.
    pub id: usize,
    registers: Vec<Lanes>,
    predicates: Vec<u32>,
    /// The carry flag, one bit a lane.
    pub carry: u32,
    /// Groups of live lanes, no two at the same place.
    pub groups: Vec<Group>,
    /// Lanes that exist: all but in the last warp of a block whose size is no multiple of 32.
    pub existing: u32,
    /// Local memory, lane after lane.
    pub local: Vec<u8>,
    pub local_bytes: usize,
    /// Matrix products in flight.
    pub wgmma: super::wgmma::Pipeline,
    /// Stores to tensor memory in flight.
    pub tensor_stores: Vec<super::tcgen05::Store>,
    diverged: u64,
    /// Failed waits on an `mbarrier` since the cluster last made progress.
    pub idle_polls: u32,
    /// Line of the last instruction.
    pub line: u32,
}

impl Warp {
    pub fn new(
        code: &Code,
        local_bytes: usize,
        block: usize,
        number: usize,
        id: usize,
        existing: u32,
    ) -> Self {
        Self {
            block,
            number,
            id,
            registers: vec![[REGISTER_POISON; 32]; code.slots],
            predicates: vec![0xAAAA_AAAA; code.predicates],
            carry: 0,
            groups: vec![Group { pc: 0, mask: existing, wait: Wait::Ready }],
            existing,
            local: vec![LOCAL_POISON; local_bytes * 32],
            local_bytes,
            wgmma: Default::default(),
            tensor_stores: Vec::new(),
            diverged: 0,
            idle_polls: 0,
            line: 0,
        }
    }

    /// Lanes that have not exited.
    pub fn live(&self) -> u32 {
        self.groups.iter().fold(0, |mask, g| mask | g.mask)
    }

    /// The group to run next: the lowest program counter among those that are ready.
    pub fn select(&mut self) -> Option<usize> {
        if let [only] = &self.groups[..] {
            return (only.wait == Wait::Ready).then_some(0);
        }
        let ready = self.groups.iter().enumerate().filter(|(_, g)| g.wait == Wait::Ready);
        self.diverged += 1;
        if self.diverged % FAIRNESS > FAIRNESS - 64 {
            ready.max_by_key(|(_, g)| g.pc).map(|(i, _)| i)
        } else {
            ready.min_by_key(|(_, g)| g.pc).map(|(i, _)| i)
        }
    }

    /// Joins groups that stand at the same place, unless one of them waits for something outside the warp.
    pub fn reconverge(&mut self) {
        if self.groups.len() < 2 {
            self.diverged = 0;
            return;
        }
        let mut i = 0;
        while i < self.groups.len() {
            let mut j = i + 1;
            while j < self.groups.len() {
                let joins = |g: &Group| matches!(g.wait, Wait::Ready | Wait::Lanes { .. });
                if self.groups[i].pc == self.groups[j].pc
                    && joins(&self.groups[i])
                    && joins(&self.groups[j])
                {
                    let other = self.groups.swap_remove(j);
                    self.groups[i].mask |= other.mask;
                    self.groups[i].wait = Wait::Ready;
                } else {
                    j += 1;
                }
            }
            i += 1;
        }
    }

    /// Moves lanes of group `index` to another place.
    pub fn split(&mut self, index: usize, mask: u32, pc: u32) {
        let group = &mut self.groups[index];
        if group.mask == mask {
            group.pc = pc;
        } else if mask != 0 {
            group.mask &= !mask;
            self.groups.push(Group { pc, mask, wait: Wait::Ready });
        }
    }

    /// Ends lanes of group `index`; whoever waited for them in the warp looks again.
    pub fn exit(&mut self, index: usize, mask: u32) {
        self.groups[index].mask &= !mask;
        if self.groups[index].mask == 0 {
            self.groups.swap_remove(index);
        }
        for group in &mut self.groups {
            if matches!(group.wait, Wait::Lanes { .. }) {
                group.wait = Wait::Ready;
            }
        }
    }

    /// A register of all lanes.
    pub fn register(&self, reg: Reg) -> &Lanes {
        &self.registers[reg.index as usize]
    }

    /// The second half of a `.b128` register.
    pub fn upper(&self, reg: Reg) -> &Lanes {
        &self.registers[reg.index as usize + 1]
    }

    /// Writes a register in the lanes of `mask`.
    pub fn write(&mut self, reg: Reg, mask: u32, values: &Lanes) {
        write_lanes(&mut self.registers[reg.index as usize], mask, values);
    }

    /// Writes the second half of a `.b128` register in the lanes of `mask`.
    pub fn write_upper(&mut self, reg: Reg, mask: u32, values: &Lanes) {
        write_lanes(&mut self.registers[reg.index as usize + 1], mask, values);
    }

    /// Fills a register with poison in the lanes of `mask`: its value is still under way.
    pub fn poison(&mut self, reg: Reg, mask: u32) {
        self.write(reg, mask, &[REGISTER_POISON; 32]);
    }

    /// A predicate of all lanes.
    pub fn predicate(&self, pred: Pred) -> u32 {
        self.predicates[pred as usize]
    }

    /// A predicate operand of all lanes.
    pub fn predicate_source(&self, source: PredSource) -> u32 {
        match source {
            PredSource::Register(pred, negated) => {
                self.predicate(pred) ^ if negated { u32::MAX } else { 0 }
            }
            PredSource::Constant(true) => u32::MAX,
            PredSource::Constant(false) => 0,
        }
    }

    /// Writes a predicate in the lanes of `mask`.
    pub fn write_predicate(&mut self, pred: Pred, mask: u32, bits: u32) {
        let slot = &mut self.predicates[pred as usize];
        *slot = *slot & !mask | bits & mask;
    }
}

fn write_lanes(slot: &mut Lanes, mask: u32, values: &Lanes) {
    if mask == u32::MAX {
        *slot = *values;
    } else {
        for lane in lanes(mask) {
            slot[lane] = values[lane];
        }
    }
}

/// The lanes of a mask, lowest first.
pub(super) fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = left.trailing_zeros();
        (left != 0).then(|| {
            left &= left - 1;
            lane as usize
        })
    })
}
