//! Bulk copies (`cp.async.bulk`), linear and by tensor map, in both directions.

use super::access::Place;
use super::async_copy::Load;
use super::bulk_store::Store;
use super::context::Context;
use super::mbarrier::Pending;
use super::race::Proxy;
use super::request::word;
use super::warp::lanes;
use super::{Fault, FaultKind};
use crate::ptx::{
    Bulk, BulkSide, Combine, Direction, Order, Reduce, SHARED_BASE, Space, TensorMode, Type,
    combine,
};
use crate::tensor::tensor_map::TensorMap;
use crate::tensor::tma::{self, TensorCopy};
use crate::tensor::wgmma::Failure;

/// The far side of a bulk copy, its operands resolved.
pub(super) enum Side {
    /// Contiguous global memory.
    Global { address: u64, bytes: usize },
    /// A box of a tensor.
    Tensor { map: Box<TensorMap>, coordinates: Vec<i32>, mode: tma::Mode },
    /// Shared memory of a block of the cluster.
    Shared { rank: usize, offset: usize, bytes: usize },
    /// These very bytes (`st.async`).
    Bytes(Vec<u8>),
    /// Values combined with what is there (`red.async`).
    Reduce { f: Combine, each: usize, values: Vec<u64> },
}

pub(super) fn operand(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::IllegalInstruction, message)
}

pub(super) fn failure(failed: Failure<Fault>) -> Fault {
    match failed {
        Failure::Operand(message) => operand(message),
        Failure::Memory(fault) => fault,
    }
}

impl Context<'_, '_> {
    /// Puts a bulk copy in flight for each lane of `mask`.
    pub(super) fn issue_bulk(&mut self, bulk: &Bulk, mask: u32) -> Result<(), Fault> {
        for lane in lanes(mask) {
            self.issue_bulk_lane(bulk, lane).map_err(|f| f.at_lane(lane))?;
        }
        Ok(())
    }

    fn issue_bulk_lane(&mut self, bulk: &Bulk, lane: usize) -> Result<(), Fault> {
        let shared = self.addresses(bulk.shared)[lane];
        let side = self.side(bulk, lane)?;
        let byte_mask = bulk.byte_mask.map_or(u16::MAX, |m| self.value(m, lane) as u16);
        let align =
            if matches!(side, Side::Tensor { .. }) { tma::SHARED_ALIGNMENT as usize } else { 16 };
        if bulk.direction == Direction::Store {
            let Place::Shared { rank, offset } =
                self.place(Space::SharedCluster, shared, 0, align)?
            else {
                return Err(operand("a bulk store reads shared memory"));
            };
            if rank != self.warp.block {
                return Err(Fault::new(
                    FaultKind::AddressSpace,
                    "a bulk store reads the block's own shared memory",
                ));
            }
            let reduce = match (&bulk.reduce, &side) {
                (None, _) => None,
                (Some(Reduce::Typed(f, bits)), _) => Some((f.clone(), *bits as usize / 8)),
                (Some(Reduce::ByMap(name)), Side::Tensor { map, .. }) => {
                    Some(map_reduction(name, map)?)
                }
                (Some(Reduce::ByMap(_)), _) => return Err(operand("a reduction without a type")),
            };
            let group = self.copies().bulk_committed[lane];
            self.copies().stores.push(Store {
                lane,
                group,
                from: offset,
                to: side,
                reduce,
                byte_mask,
                read: None,
            });
            return Ok(());
        }
        let (rank, offset) = match self.place(Space::SharedCluster, shared, 0, align)? {
            Place::Shared { rank, offset } => (rank, offset),
            _ => return Err(operand("a bulk load writes shared memory")),
        };
        let mbarrier = bulk.mbarrier.ok_or_else(|| operand("a bulk load without mbarrier"))?;
        let at = self.mbarrier_at(Space::SharedCluster, self.addresses(mbarrier)[lane])?;
        let Some(blocks) = bulk.multicast else {
            let load = Load { issuer: self.warp.id, source: side, to: (rank, offset), byte_mask };
            return self.enqueue(at, Pending::Load(Box::new(load)));
        };
        let blocks = self.value(blocks, lane) as u16;
        for rank in lanes(u32::from(blocks)) {
            if rank >= self.cluster.blocks.len() {
                return Err(operand(format!(
                    "multicast to block {rank} of a cluster of {}",
                    self.cluster.blocks.len()
                )));
            }
            let side = self.side(bulk, lane)?;
            let load = Load { issuer: self.warp.id, source: side, to: (rank, offset), byte_mask };
            self.enqueue((rank, at.1), Pending::Load(Box::new(load)))?;
        }
        Ok(())
    }

    fn side(&mut self, bulk: &Bulk, lane: usize) -> Result<Side, Fault> {
        match &bulk.other {
            BulkSide::Linear { address, bytes } => {
                let (address, bytes) =
                    (self.addresses(*address)[lane], self.value(*bytes, lane) as u32 as usize);
                if bytes % 16 != 0 || bytes == 0 {
                    return Err(operand(format!(
                        "a bulk copy of {bytes} bytes: a multiple of 16 is needed"
                    )));
                }
                if bulk.direction == Direction::SharedToCluster {
                    return match self.place(Space::Shared, address, bytes, 16)? {
                        Place::Shared { rank, offset } => Ok(Side::Shared { rank, offset, bytes }),
                        _ => Err(operand("the source must be shared memory")),
                    };
                }
                let Place::Global(address) = self.place(Space::Generic, address, bytes, 16)? else {
                    return Err(Fault::new(
                        FaultKind::AddressSpace,
                        "a bulk copy's other side must be global memory",
                    ));
                };
                let found = self.machine.memory.slice(address, bytes as u64);
                found.map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?;
                Ok(Side::Global { address, bytes })
            }
            BulkSide::Tensor { map, coordinates, mode, .. } => {
                let place = self.place(Space::Generic, self.addresses(*map)[lane], 128, 64)?;
                if !matches!(place, Place::Global(_) | Place::Param(_)) {
                    return Err(Fault::new(
                        FaultKind::AddressSpace,
                        "a tensor map lies in global, constant or parameter memory",
                    ));
                }
                let mut encoded = [0u8; 128];
                self.read(place, lane, &mut encoded, Order::Strong)?;
                let map = TensorMap::decode(&encoded).map_err(operand)?;
                let coordinates =
                    coordinates.iter().map(|c| self.value(*c, lane) as u32 as i32).collect();
                let mode = match mode {
                    TensorMode::Tile => tma::Mode::Tile,
                    TensorMode::Gather4 | TensorMode::Scatter4 => tma::Mode::FourRows,
                };
                Ok(Side::Tensor { map: Box::new(map), coordinates, mode })
            }
        }
    }

    /// Lets a load land; returns the bytes that its `mbarrier` counts.
    pub(super) fn land_load(&mut self, load: &Load) -> Result<usize, Fault> {
        let (rank, offset) = load.to;
        match &load.source {
            Side::Global { address, bytes } => {
                let found = self.machine.memory.slice(*address, *bytes as u64);
                let data = found
                    .map_err(|e| Fault::new(FaultKind::IllegalAddress, e.to_string()))?
                    .to_vec();
                self.machine.counters.bulk_load_bytes += *bytes as u64;
                if load.byte_mask == u16::MAX {
                    self.write_async(load.issuer, rank, offset, &data)?;
                } else {
                    for i in (0..*bytes).filter(|i| load.byte_mask >> (i % 16) & 1 == 1) {
                        self.write_async(load.issuer, rank, offset + i, &data[i..=i])?;
                    }
                }
                Ok(*bytes)
            }
            Side::Shared { rank: from, offset: start, bytes } => {
                let data = self.read_async(load.issuer, *from, *start, *bytes)?;
                self.write_async(load.issuer, rank, offset, &data)?;
                Ok(*bytes)
            }
            Side::Bytes(data) => {
                self.write_async(load.issuer, rank, offset, data)?;
                Ok(data.len())
            }
            Side::Reduce { f, each, values } => {
                for (i, value) in values.iter().enumerate() {
                    let at = offset + i * each;
                    let old = word(&self.cluster.blocks[rank].shared[at..at + each]);
                    let new = f(old, *value, 0).to_le_bytes();
                    self.cluster.blocks[rank].shared[at..at + each].copy_from_slice(&new[..*each]);
                }
                Ok(each * values.len())
            }
            Side::Tensor { map, coordinates, mode } => {
                let shared = SHARED_BASE + offset as u32;
                let copy = TensorCopy {
                    map,
                    coordinates,
                    mode: *mode,
                    direction: tma::Direction::Load,
                    shared,
                };
                let rules = self.machine.image.module.rules;
                copy.pieces(&rules, |piece| {
                    let mut data = [0u8; 16];
                    let data = &mut data[..piece.bytes as usize];
                    match piece.global {
                        tma::Source::Global(address) => {
                            let found = self.machine.memory.slice(address, data.len() as u64);
                            data.copy_from_slice(found.map_err(|e| {
                                Fault::new(FaultKind::IllegalAddress, e.to_string())
                            })?);
                            self.machine.counters.bulk_load_bytes += data.len() as u64;
                        }
                        tma::Source::Fill(byte) => data.fill(byte),
                    }
                    self.write_async(
                        load.issuer,
                        rank,
                        piece.shared.wrapping_sub(SHARED_BASE) as usize,
                        data,
                    )
                })
                .map_err(failure)?;
                Ok(copy.bytes() as usize)
            }
        }
    }

    /// Writes shared memory through the asynchronous proxy.
    fn write_async(
        &mut self,
        warp: usize,
        rank: usize,
        offset: usize,
        data: &[u8],
    ) -> Result<(), Fault> {
        self.check_shared(rank, offset, data.len())?;
        self.note_write(warp, rank, offset, data, Proxy::Asynchronous)?;
        self.cluster.blocks[rank].shared[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }

    /// Reads shared memory through the asynchronous proxy.
    pub(super) fn read_async(
        &mut self,
        warp: usize,
        rank: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<Vec<u8>, Fault> {
        self.check_shared(rank, offset, bytes)?;
        self.note_read(warp, rank, offset, bytes, Proxy::Asynchronous)?;
        Ok(self.cluster.blocks[rank].shared[offset..offset + bytes].to_vec())
    }

    /// Fails unless the bytes lie in the block's shared memory.
    pub(super) fn check_shared(
        &self,
        rank: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<(), Fault> {
        let length = self.cluster.blocks[rank].shared.len();
        if offset.checked_add(bytes).is_some_and(|end| end <= length) {
            return Ok(());
        }
        let address = offset.wrapping_add(SHARED_BASE as usize);
        let message = format!(
            "{bytes} bytes at {address:#x} are outside of the block's {length} bytes of shared memory"
        );
        Err(Fault::new(FaultKind::IllegalAddress, message))
    }
}

/// The reduction of `cp.reduce.async.bulk.tensor`: its type is the tensor's.
fn map_reduction(name: &str, map: &TensorMap) -> Result<(Combine, usize), Fault> {
    let bitwise = matches!(name, "and" | "or" | "xor");
    // `CUtensorMapDataType`.
    let ty = match map.data_type.number() {
        2 | 3 if bitwise => Type::B32,
        4 | 5 if bitwise => Type::B64,
        2 => Type::U32,
        3 => Type::S32,
        4 => Type::U64,
        5 => Type::S64,
        6 => Type::F16,
        7 => Type::F32,
        9 => Type::Bf16,
        other => {
            return Err(operand(format!(
                "a reducing tensor copy of data type {other} is not defined"
            )));
        }
    };
    Ok((combine(name, ty, false).map_err(operand)?, ty.bytes() as usize))
}
