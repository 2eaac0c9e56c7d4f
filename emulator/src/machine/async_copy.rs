//! Asynchronous copies: `cp.async` groups, bulk and tensor copies.
//!
//! Nothing moves when a copy is issued. `cp.async` and bulk stores land when their group is waited for, bulk loads when
//! somebody waits on their `mbarrier`; only then is the source read.

use super::access::Place;
use super::bulk::Side;
use super::bulk_store::Store;
use super::context::{Context, Outcome};
use super::mbarrier::Pending;
use super::race::Proxy;
use super::request::Request;
use super::warp::lanes;
use super::{Fault, FaultKind};
use crate::ptx::{Address, AsyncOp, Combine, Order, PredSource, Source, Space};

/// A `cp.async` in flight.
pub(super) struct Entry {
    lane: usize,
    /// Its group: how many of its lane were committed before.
    group: u64,
    /// Its number among its warp's copies.
    pub number: u64,
    offset: usize,
    bytes: usize,
    from: u64,
    /// Bytes to read; the rest become zero.
    size: usize,
}

/// What a warp has in flight.
#[derive(Default)]
pub(super) struct Copies {
    entries: Vec<Entry>,
    issued: u64,
    committed: [u64; 32],
    pub stores: Vec<Store>,
    pub bulk_committed: [u64; 32],
}

/// A bulk copy into shared memory in flight.
pub(super) struct Load {
    /// The warp that issued it, cluster-wide.
    pub issuer: usize,
    pub source: Side,
    /// Block and place that it writes.
    pub to: (usize, usize),
    /// `.cp_mask`: which bytes of each 16 are copied.
    pub byte_mask: u16,
}

impl Context<'_, '_> {
    /// Executes an asynchronous copy instruction.
    pub(super) fn asynchronous(&mut self, op: &AsyncOp, mask: u32) -> Result<Outcome, Fault> {
        match op {
            AsyncOp::Copy { bytes, to, from, size, ignore } => {
                self.issue_copy(*bytes as usize, [*to, *from], *size, *ignore, mask)?;
            }
            AsyncOp::Commit => {
                for lane in lanes(mask) {
                    self.copies().committed[lane] += 1;
                }
            }
            AsyncOp::Wait { left } => {
                for lane in lanes(mask) {
                    let committed = self.copies().committed[lane];
                    let before =
                        left.map_or(u64::MAX, |left| committed.saturating_sub(u64::from(left)));
                    self.land_copies(self.warp.id, lane, |entry| entry.group < before)?;
                }
            }
            AsyncOp::MbarrierArrive { address, no_increment } => {
                for lane in lanes(mask) {
                    let at = self.mbarrier_place(*address, lane)?;
                    if !no_increment {
                        self.expect_arrival(at).map_err(|f| f.at_lane(lane))?;
                    }
                    let before = self.copies().issued;
                    let pending = Pending::Copies { warp: self.warp.id, lane, before };
                    self.enqueue(at, pending).map_err(|f| f.at_lane(lane))?;
                }
            }
            AsyncOp::Bulk(bulk) => self.issue_bulk(bulk, mask)?,
            AsyncOp::BulkCommit => {
                for lane in lanes(mask) {
                    self.copies().bulk_committed[lane] += 1;
                }
            }
            AsyncOp::BulkWait { left, read } => {
                for lane in lanes(mask) {
                    self.wait_stores(lane, *left, *read).map_err(|f| f.at_lane(lane))?;
                }
            }
            AsyncOp::Remote { f, ty, to, from, mbarrier } => {
                let values: Vec<_> = from.iter().map(|source| self.values(*source)).collect();
                let (to, mbarriers) = (self.addresses(*to), self.addresses(*mbarrier));
                for lane in lanes(mask) {
                    let values: Vec<u64> = values.iter().map(|v| v[lane]).collect();
                    let sent = self.remote_store(
                        f.as_ref(),
                        ty.bytes() as usize,
                        to[lane],
                        values,
                        mbarriers[lane],
                    );
                    sent.map_err(|fault| fault.at_lane(lane))?;
                }
            }
        }
        Ok(Outcome::Next)
    }

    /// What this warp has in flight.
    pub(super) fn copies(&mut self) -> &mut Copies {
        &mut self.cluster.blocks[self.warp.block].copies[self.warp.number]
    }

    fn issue_copy(
        &mut self,
        bytes: usize,
        [to, from]: [Address; 2],
        size: Option<Source>,
        ignore: Option<PredSource>,
        mask: u32,
    ) -> Result<(), Fault> {
        let (targets, sources) = (self.addresses(to), self.addresses(from));
        let sizes = size.map_or([bytes as u64; 32], |s| self.values(s));
        let ignored = ignore.map_or(0, |p| self.warp.predicate_source(p));
        let mut request = Request::new(bytes);
        for lane in lanes(mask) {
            let size = if ignored >> lane & 1 == 1 { 0 } else { sizes[lane] as u32 as usize };
            let mut one = || {
                if size > bytes {
                    return Err(Fault::new(
                        FaultKind::IllegalInstruction,
                        format!("cp.async of {bytes} bytes reads {size}"),
                    ));
                }
                let Place::Shared { offset, .. } =
                    self.place(Space::Shared, targets[lane], bytes, bytes)?
                else {
                    return Err(Fault::new(
                        FaultKind::AddressSpace,
                        "cp.async writes shared memory",
                    ));
                };
                request.note(Place::Shared { rank: self.warp.block, offset });
                if size > 0 {
                    let place = self.place(Space::Global, sources[lane], size, bytes)?;
                    request.note(place);
                    let read = self.machine.memory.slice(sources[lane], size as u64);
                    read.map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?;
                }
                Ok(offset)
            };
            let offset = one().map_err(|f: Fault| f.at_lane(lane))?;
            let copies = self.copies();
            let (group, number) = (copies.committed[lane], copies.issued);
            copies.issued += 1;
            copies.entries.push(Entry {
                lane,
                group,
                number,
                offset,
                bytes,
                from: sources[lane],
                size,
            });
        }
        self.count_copy(request);
        Ok(())
    }

    /// Lets `cp.async` of one lane land: those that `which` names.
    pub(super) fn land_copies(
        &mut self,
        warp: usize,
        lane: usize,
        which: impl Fn(&Entry) -> bool,
    ) -> Result<(), Fault> {
        let Some(rank) = self
            .cluster
            .blocks
            .iter()
            .position(|b| (b.first_warp..b.first_warp + b.warps).contains(&warp))
        else {
            return Ok(());
        };
        let number = warp - self.cluster.blocks[rank].first_warp;
        let mut entries = std::mem::take(&mut self.cluster.blocks[rank].copies[number].entries);
        let mut result = Ok(());
        entries.retain(|entry| {
            if result.is_err() || entry.lane != lane || !which(entry) {
                return true;
            }
            result = self.land_copy(warp, rank, entry);
            false
        });
        self.cluster.blocks[rank].copies[number].entries = entries;
        result
    }

    fn land_copy(&mut self, warp: usize, rank: usize, entry: &Entry) -> Result<(), Fault> {
        let mut data = [0u8; 16];
        if entry.size > 0 {
            self.read(Place::Global(entry.from), entry.lane, &mut data[..entry.size], Order::Weak)?;
        }
        self.note_write(warp, rank, entry.offset, &data[..entry.bytes], Proxy::Generic)?;
        self.cluster.blocks[rank].shared[entry.offset..][..entry.bytes]
            .copy_from_slice(&data[..entry.bytes]);
        self.cluster.progress += 1;
        Ok(())
    }

    /// `st.async`, `red.async`: lands when somebody waits on the `mbarrier`.
    fn remote_store(
        &mut self,
        f: Option<&Combine>,
        each: usize,
        to: u64,
        values: Vec<u64>,
        mbarrier: u64,
    ) -> Result<(), Fault> {
        let bytes = each * values.len();
        let Place::Shared { rank, offset } = self.place(Space::SharedCluster, to, bytes, bytes)?
        else {
            return Err(Fault::new(FaultKind::AddressSpace, "st.async writes shared memory"));
        };
        let at = self.mbarrier_at(Space::SharedCluster, mbarrier)?;
        if at.0 != rank {
            let message =
                format!("the data go to block {rank}, their mbarrier is in block {}", at.0);
            return Err(Fault::new(FaultKind::IllegalInstruction, message));
        }
        let source = match f {
            Some(f) => Side::Reduce { f: f.clone(), each, values },
            None => {
                Side::Bytes(values.iter().flat_map(|v| v.to_le_bytes()[..each].to_vec()).collect())
            }
        };
        let load = Load { issuer: self.warp.id, source, to: (rank, offset), byte_mask: u16::MAX };
        self.enqueue(at, Pending::Load(Box::new(load)))
    }

    /// Counts a `cp.async`: a global load and a shared store.
    fn count_copy(&mut self, request: Request) {
        let (global, shared) = request.split();
        self.count(global, true);
        self.count(shared, false);
    }
}
