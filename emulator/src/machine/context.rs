//! What an instruction sees: its warp, its cluster, the machine.

use super::cluster::ClusterState;
use super::warp::{Wait, Warp, lanes};
use super::{Counters, Fault, FaultKind, GlobalMemory, Hooks, Image, LaunchConfig};
use crate::ptx::{Address, Function, Lanes, Source, Special};

/// One launch, seen by all its clusters.
pub(super) struct Machine<'a> {
    pub image: &'a Image,
    pub function: &'a Function,
    pub config: &'a LaunchConfig,
    /// Blocks a cluster, after a `.reqnctapercluster`.
    pub cluster: [u32; 3],
    pub params: &'a [u8],
    pub memory: &'a mut GlobalMemory,
    pub hooks: &'a Hooks<'a>,
    pub counters: Counters,
}

/// A warp at work.
pub(super) struct Context<'c, 'a> {
    pub machine: &'c mut Machine<'a>,
    pub cluster: &'c mut ClusterState,
    pub warp: &'c mut Warp,
}

/// What becomes of the lanes that executed an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// On to the next instruction.
    Next,
    /// On to the next instruction, which must wait.
    NextThen(Wait),
    /// On to the next instruction, and other warps get a turn.
    Yield,
    /// The instruction is tried again when the wait ends.
    Stay(Wait),
    /// The groups were changed by the instruction.
    Moved,
}

impl Context<'_, '_> {
    /// The values of a source in all lanes.
    pub fn values(&self, source: Source) -> Lanes {
        match source {
            Source::Register(reg) => *self.warp.register(reg),
            Source::Constant(value) => [value; 32],
            Source::Shared(offset) => [u64::from(self.shared_address(offset)); 32],
            Source::Variable(index) => [self.machine.image.addresses[index as usize]; 32],
            Source::Special(special) => self.special(special),
        }
    }

    /// The value of a source in one lane.
    pub fn value(&self, source: Source, lane: usize) -> u64 {
        match source {
            Source::Register(reg) => self.warp.register(reg)[lane],
            Source::Constant(value) => value,
            other => self.values(other)[lane],
        }
    }

    /// The values of an address in all lanes, displacement included.
    pub fn addresses(&self, address: Address) -> Lanes {
        let mut values = self.values(address.base);
        if address.offset != 0 {
            // A 32-bit register holds a 32-bit address: it wraps as such.
            let narrow = match address.base {
                Source::Register(reg) => reg.bits == 32,
                Source::Shared(_) => true,
                _ => false,
            };
            for value in &mut values {
                *value = value.wrapping_add(address.offset as u64);
                if narrow {
                    *value &= 0xffff_ffff;
                }
            }
        }
        values
    }

    /// The address that the executing block's shared memory has in the cluster.
    pub fn shared_address(&self, offset: u32) -> u32 {
        (self.warp.block as u32) << 24 | offset
    }

    /// A value that must be the same in all executing lanes.
    pub fn uniform(&self, source: Source, mask: u32, what: &str) -> Result<u64, Fault> {
        let values = self.values(source);
        let mut found = lanes(mask).map(|lane| values[lane]);
        let first = found.next().unwrap_or(0);
        if found.all(|value| value == first) {
            Ok(first)
        } else {
            Err(Fault::new(
                FaultKind::IllegalInstruction,
                format!("the {what} differs between lanes of the warp"),
            ))
        }
    }

    /// Whether an instruction that needs all lanes of `needed` together may execute; if not, the lanes that are here
    /// wait for the others.
    pub fn converge(
        &mut self,
        group: usize,
        mask: u32,
        needed: u32,
        aligned: bool,
    ) -> Result<Option<Outcome>, Fault> {
        if mask == needed {
            return Ok(None);
        }
        let here = self.warp.groups[group].mask;
        if here & needed == needed {
            // All have come, but the guard holds for some only.
            let lane = lanes(needed & !mask).next().unwrap_or(0);
            let message =
                "an .aligned instruction is guarded by a predicate that differs between lanes";
            return Err(Fault::new(FaultKind::Divergence, message).at_lane(lane));
        }
        Ok(Some(Outcome::Stay(Wait::Lanes { aligned })))
    }

    /// As [`Self::converge`] for all 32 lanes: matrix instructions take whole warps.
    pub fn converge_full(&mut self, group: usize, mask: u32) -> Result<Option<Outcome>, Fault> {
        if self.warp.live() != u32::MAX {
            let message =
                "a matrix instruction of a warp in which lanes are missing or have exited";
            return Err(Fault::new(FaultKind::Divergence, message));
        }
        self.converge(group, mask, u32::MAX, true)
    }

    fn special(&self, special: Special) -> Lanes {
        let block = &self.cluster.blocks[self.warp.block];
        let config = self.machine.config;
        let [cx, cy, cz] = self.machine.cluster;
        let cluster = [cx, cy, cz];
        let axis = |values: [u32; 3], i: u8| [u64::from(values[usize::from(i)]); 32];
        let each = |f: &dyn Fn(u32) -> u64| std::array::from_fn(|lane| f(lane as u32));
        let shared = self.machine.function.static_shared + config.dynamic_shared;
        let linear = |at: [u32; 3], size: [u32; 3]| at[0] + size[0] * (at[1] + size[1] * at[2]);
        match special {
            Special::Tid(i) => {
                let [x, y, _] = config.block;
                let first = self.warp.number as u32 * 32;
                each(&|lane| {
                    let thread = first + lane;
                    u64::from(match i {
                        0 => thread % x,
                        1 => thread / x % y,
                        _ => thread / x / y,
                    })
                })
            }
            Special::Ntid(i) => axis(config.block, i),
            Special::Ctaid(i) => axis(block.ctaid, i),
            Special::Nctaid(i) => axis(config.grid, i),
            Special::Clusterid(i) => axis(std::array::from_fn(|k| block.ctaid[k] / cluster[k]), i),
            Special::Nclusterid(i) => axis(std::array::from_fn(|k| config.grid[k] / cluster[k]), i),
            Special::ClusterCtaid(i) => {
                axis(std::array::from_fn(|k| block.ctaid[k] % cluster[k]), i)
            }
            Special::ClusterNctaid(i) => axis(cluster, i),
            Special::ClusterCtarank => [self.warp.block as u64; 32],
            Special::ClusterNctarank => [u64::from(cx * cy * cz); 32],
            Special::IsExplicitCluster => [u64::from(cx * cy * cz > 1); 32],
            Special::Laneid => each(&u64::from),
            Special::Warpid => [self.warp.number as u64; 32],
            Special::Nwarpid => [block.warps as u64; 32],
            // Blocks go round the multiprocessors, as the first wave does.
            Special::Smid => {
                [u64::from(
                    linear(block.ctaid, config.grid) % self.machine.hooks.multiprocessors.max(1),
                ); 32]
            }
            Special::Nsmid => [u64::from(self.machine.hooks.multiprocessors.max(1)); 32],
            Special::Gridid => [1; 32],
            Special::LanemaskEq => each(&|lane| 1 << lane),
            Special::LanemaskLe => each(&|lane| (2 << lane) - 1),
            Special::LanemaskLt => each(&|lane| (1 << lane) - 1),
            Special::LanemaskGe => each(&|lane| 0xffff_ffff & !((1 << lane) - 1)),
            Special::LanemaskGt => each(&|lane| 0xffff_ffff & !((2 << lane) - 1)),
            Special::Clock => [self.machine.counters.instructions; 32],
            Special::ClockHi => [self.machine.counters.instructions >> 32; 32],
            Special::GlobalTimer => {
                [self.machine.hooks.global_timer_ns + self.machine.counters.instructions; 32]
            }
            Special::GlobalTimerHi => {
                [(self.machine.hooks.global_timer_ns + self.machine.counters.instructions) >> 32;
                    32]
            }
            Special::DynamicSharedSize => [u64::from(config.dynamic_shared); 32],
            Special::TotalSharedSize => [u64::from(shared); 32],
        }
    }
}
