//! Bulk stores in flight: from shared to global memory, in two steps that a kernel waits for apart.
//!
//! `wait_group.read` says that the source was read (the block may overwrite it or end), `wait_group` that the target was
//! written.

use super::bulk::{Side, failure, operand};
use super::context::Context;
use super::request::word;
use super::{Fault, FaultKind};
use crate::ptx::{Combine, SHARED_BASE};
use crate::tensor::tma::{self, TensorCopy};

/// A bulk store in flight.
pub(super) struct Store {
    pub lane: usize,
    /// Its bulk group: how many of its lane were committed before.
    pub group: u64,
    /// Place of the source in the block's shared memory.
    pub from: usize,
    pub to: Side,
    pub reduce: Option<(Combine, usize)>,
    pub byte_mask: u16,
    /// Global address and bytes of each piece, once the source was read.
    pub read: Option<Vec<(u64, Vec<u8>)>>,
}

impl Context<'_, '_> {
    /// `cp.async.bulk.wait_group`: all but the last `left` groups of a lane have read their source, and (without
    /// `.read`) written their target.
    pub(super) fn wait_stores(&mut self, lane: usize, left: u32, read: bool) -> Result<(), Fault> {
        let before = self.copies().bulk_committed[lane].saturating_sub(u64::from(left));
        let mut stores = std::mem::take(&mut self.copies().stores);
        let mut result = Ok(());
        stores.retain_mut(|store| {
            if result.is_err() || store.lane != lane || store.group >= before {
                return true;
            }
            result = self.read_store(store);
            if result.is_ok() && !read {
                result = self.write_store(store);
                return false;
            }
            true
        });
        self.copies().stores = stores;
        result
    }

    /// Writes what is left in flight when lanes exit: the source must have been read before.
    pub(super) fn flush_stores(&mut self, mask: u32) -> Result<(), Fault> {
        let stores = std::mem::take(&mut self.copies().stores);
        let (ending, staying): (Vec<_>, Vec<_>) =
            stores.into_iter().partition(|s| mask >> s.lane & 1 == 1);
        self.copies().stores = staying;
        for store in ending {
            if store.read.is_none() {
                let message = "a bulk store may still read the block's shared memory: cp.async.bulk.wait_group is missing";
                return Err(Fault::new(FaultKind::NotWaitedFor, message).at_lane(store.lane));
            }
            self.write_store(&store)?;
        }
        Ok(())
    }

    fn read_store(&mut self, store: &mut Store) -> Result<(), Fault> {
        if store.read.is_some() {
            return Ok(());
        }
        let (warp, rank) = (self.warp.id, self.warp.block);
        let mut pieces = Vec::new();
        match &store.to {
            Side::Global { address, bytes } => {
                pieces.push((*address, self.read_async(warp, rank, store.from, *bytes)?))
            }
            Side::Tensor { map, coordinates, mode } => {
                let shared = SHARED_BASE + store.from as u32;
                let copy = TensorCopy {
                    map,
                    coordinates,
                    mode: *mode,
                    direction: tma::Direction::Store,
                    shared,
                };
                let rules = self.machine.image.module.rules;
                copy.pieces(&rules, |piece| {
                    let offset = piece.shared.wrapping_sub(SHARED_BASE) as usize;
                    let data = self.read_async(warp, rank, offset, piece.bytes as usize)?;
                    if let tma::Source::Global(address) = piece.global {
                        pieces.push((address, data));
                    }
                    Ok(())
                })
                .map_err(failure)?;
            }
            _ => return Err(operand("a bulk store writes global memory")),
        }
        store.read = Some(pieces);
        Ok(())
    }

    fn write_store(&mut self, store: &Store) -> Result<(), Fault> {
        for (address, data) in store.read.iter().flatten() {
            let found = self.machine.memory.slice_mut(*address, data.len() as u64);
            let target = found.map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?;
            match &store.reduce {
                None => {
                    for (i, (to, from)) in target.iter_mut().zip(data).enumerate() {
                        if store.byte_mask >> (i % 16) & 1 == 1 {
                            *to = *from;
                        }
                    }
                }
                Some((f, each)) => {
                    for (to, from) in target.chunks_exact_mut(*each).zip(data.chunks_exact(*each)) {
                        let new = f(word(to), word(from), 0).to_le_bytes();
                        to.copy_from_slice(&new[..*each]);
                    }
                }
            }
            self.machine.counters.bulk_store_bytes += data.len() as u64;
        }
        self.cluster.progress += 1;
        Ok(())
    }
}
