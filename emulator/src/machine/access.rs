//! Addresses to places, with every check; and the bytes there.

use super::context::Context;
use super::race::{Conflict, Proxy};
use super::{Fault, FaultKind};
use crate::ptx::{Order, SHARED_BASE, Space};

/// Generic addresses of a space start at its window; what is below the first window is global.
const SHARED_WINDOW: u64 = 1 << 48;
const LOCAL_WINDOW: u64 = 2 << 48;
const PARAM_WINDOW: u64 = 3 << 48;
const WINDOW_MASK: u64 = !((1 << 48) - 1);

/// Where bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Global(u64),
    /// Byte `offset` of the array of the block of this rank.
    Shared {
        rank: usize,
        offset: usize,
    },
    Local(usize),
    Param(usize),
}

/// The window of a space in generic addresses; 0 for global and constant memory.
pub(super) fn window(space: Space) -> u64 {
    match space {
        Space::Shared | Space::SharedCluster => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Param => PARAM_WINDOW,
        Space::Generic | Space::Global | Space::Const => 0,
    }
}

/// The space that a generic address lies in.
pub(super) fn space_of(address: u64) -> Space {
    match address & WINDOW_MASK {
        0 => Space::Global,
        SHARED_WINDOW => Space::SharedCluster,
        LOCAL_WINDOW => Space::Local,
        PARAM_WINDOW => Space::Param,
        _ => Space::Generic,
    }
}

fn illegal(space: Space, address: u64, bytes: usize) -> Fault {
    Fault::new(
        FaultKind::IllegalAddress,
        format!("{bytes} bytes at {address:#x} are outside of {space:?} memory"),
    )
}

impl Context<'_, '_> {
    /// Where an access of `bytes` bytes goes.
    pub(super) fn place(
        &self,
        space: Space,
        address: u64,
        bytes: usize,
        align: usize,
    ) -> Result<Place, Fault> {
        if !address.is_multiple_of(align as u64) {
            let message =
                format!("address {address:#x} in {space:?} memory is not a multiple of {align}");
            return Err(Fault::new(FaultKind::MisalignedAddress, message));
        }
        let (space, address) = match space {
            Space::Generic => (space_of(address), address & !WINDOW_MASK),
            _ => (space, address),
        };
        match space {
            Space::Generic => Err(illegal(space, address, bytes)),
            Space::Global | Space::Const => {
                if address & WINDOW_MASK != 0 {
                    let message = format!(
                        "{address:#x} is a {:?} address, not a global one",
                        space_of(address)
                    );
                    return Err(Fault::new(FaultKind::AddressSpace, message));
                }
                Ok(Place::Global(address))
            }
            Space::Shared | Space::SharedCluster => {
                if address >> 32 != 0 {
                    let message = format!(
                        "{address:#x} is not a 32-bit shared-memory address; was it converted by cvta?"
                    );
                    return Err(Fault::new(FaultKind::AddressSpace, message));
                }
                let rank = (address >> 24) as usize;
                if space == Space::Shared && rank != self.warp.block {
                    let message = format!(
                        "{address:#x} lies in block {rank} of the cluster, .shared is the own block's"
                    );
                    return Err(Fault::new(FaultKind::AddressSpace, message));
                }
                let offset = (address & 0xff_ffff) as usize;
                let offset = offset
                    .checked_sub(SHARED_BASE as usize)
                    .ok_or_else(|| illegal(space, address, bytes))?;
                match self.cluster.blocks.get(rank) {
                    Some(block) if offset + bytes <= block.shared.len() => {
                        Ok(Place::Shared { rank, offset })
                    }
                    _ => Err(illegal(space, address, bytes)),
                }
            }
            Space::Local => match usize::try_from(address) {
                Ok(offset) if offset.saturating_add(bytes) <= self.warp.local_bytes => {
                    Ok(Place::Local(offset))
                }
                _ => Err(illegal(space, address, bytes)),
            },
            Space::Param => match usize::try_from(address) {
                Ok(offset) if offset.saturating_add(bytes) <= self.machine.params.len() => {
                    Ok(Place::Param(offset))
                }
                _ => Err(illegal(space, address, bytes)),
            },
        }
    }

    /// The bytes at a place.
    pub(super) fn read(
        &mut self,
        place: Place,
        lane: usize,
        to: &mut [u8],
        order: Order,
    ) -> Result<(), Fault> {
        match place {
            Place::Global(address) => {
                let found = self.machine.memory.slice(address, to.len() as u64);
                to.copy_from_slice(
                    found.map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?,
                );
            }
            Place::Shared { rank, offset } => {
                if order == Order::Weak {
                    self.note_read(self.warp.id, rank, offset, to.len(), Proxy::Generic)?;
                } else {
                    self.strong_access();
                }
                to.copy_from_slice(&self.cluster.blocks[rank].shared[offset..offset + to.len()]);
            }
            Place::Local(offset) => {
                let start = lane * self.warp.local_bytes + offset;
                to.copy_from_slice(&self.warp.local[start..start + to.len()]);
            }
            Place::Param(offset) => {
                to.copy_from_slice(&self.machine.params[offset..offset + to.len()])
            }
        }
        Ok(())
    }

    /// Writes bytes at a place.
    pub(super) fn write(
        &mut self,
        place: Place,
        lane: usize,
        from: &[u8],
        order: Order,
    ) -> Result<(), Fault> {
        self.cluster.progress += 1;
        match place {
            Place::Global(address) => {
                let written = self.machine.memory.write(address, from);
                written.map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?;
            }
            Place::Shared { rank, offset } => {
                if order == Order::Weak {
                    self.note_write(self.warp.id, rank, offset, from, Proxy::Generic)?;
                } else {
                    self.strong_access();
                }
                self.cluster.blocks[rank].shared[offset..offset + from.len()].copy_from_slice(from);
            }
            Place::Local(offset) => {
                let start = lane * self.warp.local_bytes + offset;
                self.warp.local[start..start + from.len()].copy_from_slice(from);
            }
            Place::Param(_) => {
                return Err(Fault::new(FaultKind::AddressSpace, "kernel parameters are read-only"));
            }
        }
        Ok(())
    }

    /// A strong access orders this warp after all earlier strong accesses, and before later ones.
    pub(super) fn strong_access(&mut self) {
        let strong = std::mem::take(&mut self.cluster.strong);
        self.cluster.clocks.acquire(self.warp.id, &strong);
        self.cluster.strong = strong;
        self.cluster.clocks.release(self.warp.id, &mut self.cluster.strong);
    }

    /// Checks and notes that `warp` (cluster-wide) reads shared memory. Only a block's own warps are tracked.
    pub(super) fn note_read(
        &mut self,
        warp: usize,
        rank: usize,
        offset: usize,
        bytes: usize,
        proxy: Proxy,
    ) -> Result<(), Fault> {
        let block = &mut self.cluster.blocks[rank];
        if !(block.first_warp..block.first_warp + block.warps).contains(&warp) {
            return Ok(());
        }
        match block.shadow.read(&self.cluster.clocks, warp, offset, bytes, proxy) {
            None => Ok(()),
            Some(conflict) => Err(self.conflict(conflict, rank, offset, "read")),
        }
    }

    /// Checks and notes that `warp` (cluster-wide) writes shared memory.
    pub(super) fn note_write(
        &mut self,
        warp: usize,
        rank: usize,
        offset: usize,
        from: &[u8],
        proxy: Proxy,
    ) -> Result<(), Fault> {
        let block = &mut self.cluster.blocks[rank];
        if !(block.first_warp..block.first_warp + block.warps).contains(&warp) {
            return Ok(());
        }
        let same = block.shared[offset..offset + from.len()] == *from;
        match block.shadow.write(&self.cluster.clocks, warp, offset, from.len(), proxy, same) {
            None => Ok(()),
            Some(conflict) => Err(self.conflict(conflict, rank, offset, "written")),
        }
    }

    fn conflict(&self, conflict: Conflict, rank: usize, offset: usize, now: &str) -> Fault {
        let first = self.cluster.blocks[rank].first_warp;
        let address = offset + SHARED_BASE as usize;
        match conflict {
            Conflict::Write(w) => Fault::new(
                FaultKind::Race,
                format!(
                    "shared memory at {address:#x} is {now} after warp {} wrote it, with no barrier between",
                    w - first
                ),
            ),
            Conflict::Read(w) => Fault::new(
                FaultKind::Race,
                format!(
                    "shared memory at {address:#x} is {now} after warp {} read it, with no barrier between",
                    w - first
                ),
            ),
            Conflict::Unfenced(w) => Fault::new(
                FaultKind::MissingProxyFence,
                format!(
                    "shared memory at {address:#x} is {now} by the asynchronous proxy; warp {} wrote it through the generic \
                     proxy and no fence.proxy.async follows",
                    w - first
                ),
            ),
        }
    }
}
