//! `mbarrier` objects, and the asynchronous operations that complete on them.
//!
//! An operation that completes on an `mbarrier` is held back until somebody waits on that `mbarrier`: whoever reads its
//! result earlier reads what was there before.

use super::access::Place;
use super::async_copy::Load;
use super::context::{Context, Outcome};
use super::race::{Clock, join};
use super::warp::lanes;
use super::{Fault, FaultKind};
use crate::ptx::{MbarrierAddress, Source, SyncOp};

/// Largest arrival count of the ISA.
const MAX_COUNT: u64 = (1 << 20) - 1;

/// An operation in flight that completes on an `mbarrier`.
pub(super) enum Pending {
    /// A bulk or tensor copy into shared memory.
    Load(Box<Load>),
    /// `cp.async.mbarrier.arrive`: the copies of this lane numbered below `before`.
    Copies { warp: usize, lane: usize, before: u64 },
    /// `tcgen05.commit`: the operations of this block's tensor pipe numbered below `before`.
    Tensor { block: usize, warp: usize, before: u64 },
}

/// The state of one object.
#[derive(Default)]
pub(super) struct Mbarrier {
    /// Arrivals of each phase.
    expected: u32,
    /// Arrivals that the current phase still needs.
    pending: u32,
    /// Bytes that the current phase still needs.
    bytes: i64,
    /// Phases completed.
    pub phase: u64,
    arriving: Clock,
    released: Clock,
    pub queue: Vec<Pending>,
}

impl Mbarrier {
    /// The opaque state: phase and pending count.
    fn state(&self) -> u64 {
        self.phase << 20 | u64::from(self.pending)
    }

    fn complete(&mut self) {
        if self.pending == 0 && self.bytes == 0 {
            self.phase += 1;
            self.pending = self.expected;
            join(&mut self.released, &self.arriving);
        }
    }
}

impl Context<'_, '_> {
    /// Executes `mbarrier.*`, lane after lane.
    pub(super) fn mbarrier(&mut self, sync: &SyncOp, mask: u32) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::Next;
        match sync {
            SyncOp::MbarrierInit { address, count } => {
                let counts = self.values(*count);
                for lane in lanes(mask) {
                    let at = self.mbarrier_place(*address, lane)?;
                    self.initialise(at, counts[lane] as u32).map_err(|f| f.at_lane(lane))?;
                }
            }
            SyncOp::MbarrierInvalidate { address } => {
                for lane in lanes(mask) {
                    let (rank, offset) = self.mbarrier_place(*address, lane)?;
                    self.object(rank, offset).map_err(|f| f.at_lane(lane))?;
                    self.cluster.blocks[rank].mbarriers.remove(&offset);
                }
            }
            SyncOp::MbarrierArrive { address, to, arrivals, expect, complete, drop } => {
                let values = |source: &Option<Source>| source.map_or([0; 32], |s| self.values(s));
                let (arrivals, expect, complete) =
                    (values(arrivals), values(expect), values(complete));
                let mut states = [0; 32];
                for lane in lanes(mask) {
                    let at = self.mbarrier_place(*address, lane)?;
                    let transfer =
                        i64::from(expect[lane] as u32) - i64::from(complete[lane] as u32);
                    let arrived =
                        self.arrive_on(self.warp.id, at, arrivals[lane] as u32, transfer, *drop);
                    states[lane] = arrived.map_err(|f| f.at_lane(lane))?;
                }
                if let Some(to) = to {
                    self.warp.write(*to, mask, &states);
                }
            }
            SyncOp::MbarrierWait { address, to, phase, parity } => {
                let phases = self.values(*phase);
                let mut done = 0;
                for lane in lanes(mask) {
                    let at = self.mbarrier_place(*address, lane)?;
                    let passed =
                        self.wait_on(at, phases[lane], *parity).map_err(|f| f.at_lane(lane))?;
                    done |= u32::from(passed) << lane;
                }
                self.warp.write_predicate(*to, mask, done);
                if done != mask {
                    self.warp.idle_polls += 1;
                    outcome = Outcome::Yield;
                } else {
                    self.machine.counters.mbarrier_waits += 1;
                }
            }
            SyncOp::MbarrierPending { to, state } => {
                let result = self.values(*state).map(|state| state & MAX_COUNT);
                self.warp.write(*to, mask, &result);
            }
            _ => unreachable!("other synchronisation is executed elsewhere"),
        }
        Ok(outcome)
    }

    /// Block and place of an object.
    pub(super) fn mbarrier_place(
        &self,
        at: MbarrierAddress,
        lane: usize,
    ) -> Result<(usize, u32), Fault> {
        let address = self.addresses(at.address)[lane];
        self.mbarrier_at(at.space, address).map_err(|f| f.at_lane(lane))
    }

    /// Block and place of the object at an address.
    pub(super) fn mbarrier_at(
        &self,
        space: crate::ptx::Space,
        address: u64,
    ) -> Result<(usize, u32), Fault> {
        match self.place(space, address, 8, 8)? {
            Place::Shared { rank, offset } => Ok((rank, offset as u32)),
            _ => Err(Fault::new(
                FaultKind::AddressSpace,
                format!("the mbarrier at {address:#x} is not in shared memory"),
            )),
        }
    }

    fn initialise(&mut self, (rank, offset): (usize, u32), count: u32) -> Result<(), Fault> {
        if count == 0 || u64::from(count) > MAX_COUNT {
            return Err(Fault::new(
                FaultKind::IllegalInstruction,
                format!("mbarrier count {count} is not in 1..={MAX_COUNT}"),
            ));
        }
        let objects = &mut self.cluster.blocks[rank].mbarriers;
        let range = offset.saturating_sub(7)..=offset + 7;
        if objects.range(range).next().is_some() {
            let message = "mbarrier.init over an mbarrier that was not invalidated";
            return Err(Fault::new(FaultKind::IllegalInstruction, message));
        }
        let mut object = Mbarrier { expected: count, pending: count, ..Mbarrier::default() };
        // Initialisation happens before every operation on the object that the program orders after it.
        self.cluster.clocks.release(self.warp.id, &mut object.arriving);
        let state = object.state().to_le_bytes();
        objects.insert(offset, object);
        self.note_write(self.warp.id, rank, offset as usize, &state, super::race::Proxy::Generic)?;
        self.cluster.blocks[rank].shared[offset as usize..][..8].copy_from_slice(&state);
        Ok(())
    }

    fn object(&mut self, rank: usize, offset: u32) -> Result<&mut Mbarrier, Fault> {
        let message =
            || format!("no mbarrier was initialised at {:#x}", offset + crate::ptx::SHARED_BASE);
        let found = self.cluster.blocks[rank].mbarriers.get_mut(&offset);
        found.ok_or_else(|| Fault::new(FaultKind::IllegalInstruction, message()))
    }

    /// Arrivals (or none) and a change of the bytes expected, by `warp`. Returns the state before.
    pub(super) fn arrive_on(
        &mut self,
        warp: usize,
        (rank, offset): (usize, u32),
        arrivals: u32,
        transfer: i64,
        drop: bool,
    ) -> Result<u64, Fault> {
        if self.object(rank, offset)?.pending < arrivals {
            // The phase is held back by operations that nobody waited for yet.
            self.deliver(rank, offset)?;
        }
        self.cluster.progress += 1;
        let mut clock = std::mem::take(&mut self.object(rank, offset)?.arriving);
        self.cluster.clocks.release(warp, &mut clock);
        let object = self.object(rank, offset)?;
        object.arriving = clock;
        let state = object.state();
        object.bytes += transfer;
        if object.bytes.unsigned_abs() > MAX_COUNT {
            let message = format!("mbarrier: {} bytes under way are out of range", object.bytes);
            return Err(Fault::new(FaultKind::IllegalInstruction, message));
        }
        let left = object.pending.checked_sub(arrivals);
        object.pending = left.ok_or_else(|| {
            Fault::new(
                FaultKind::IllegalInstruction,
                format!("{arrivals} arrivals on an mbarrier whose phase needs {}", object.pending),
            )
        })?;
        if drop {
            object.expected = object.expected.saturating_sub(1);
        }
        object.complete();
        Ok(state)
    }

    fn wait_on(
        &mut self,
        (rank, offset): (usize, u32),
        phase: u64,
        parity: bool,
    ) -> Result<bool, Fault> {
        let parity_passed = self.machine.image.module.rules.parity_passed;
        let passed = |object: &Mbarrier| {
            if parity { parity_passed(object.phase, phase) } else { object.phase > phase >> 20 }
        };
        if !passed(self.object(rank, offset)?) {
            self.deliver(rank, offset)?;
        }
        let object = self.object(rank, offset)?;
        if !passed(object) {
            return Ok(false);
        }
        let released = std::mem::take(&mut object.released);
        self.cluster.clocks.acquire(self.warp.id, &released);
        self.object(rank, offset)?.released = released;
        Ok(true)
    }

    /// Lets everything in flight that completes on this object land.
    fn deliver(&mut self, rank: usize, offset: u32) -> Result<(), Fault> {
        let queue = std::mem::take(&mut self.object(rank, offset)?.queue);
        for pending in queue {
            match pending {
                Pending::Load(load) => {
                    let bytes = self.land_load(&load)?;
                    self.arrive_on(load.issuer, (rank, offset), 0, -(bytes as i64), false)?;
                }
                Pending::Copies { warp, lane, before } => {
                    self.land_copies(warp, lane, |entry| entry.number < before)?;
                    self.arrive_on(warp, (rank, offset), 1, 0, false)?;
                }
                Pending::Tensor { block, warp, before } => {
                    self.land_tensor(block, before)?;
                    self.arrive_on(warp, (rank, offset), 1, 0, false)?;
                }
            }
        }
        Ok(())
    }

    /// Adds an arrival that is still to come, for `cp.async.mbarrier.arrive` without `.noinc`.
    pub(super) fn expect_arrival(&mut self, (rank, offset): (usize, u32)) -> Result<(), Fault> {
        self.object(rank, offset)?.pending += 1;
        Ok(())
    }

    /// Puts an operation in flight.
    pub(super) fn enqueue(
        &mut self,
        (rank, offset): (usize, u32),
        pending: Pending,
    ) -> Result<(), Fault> {
        self.object(rank, offset)?.queue.push(pending);
        Ok(())
    }
}
