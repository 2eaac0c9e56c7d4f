//! Loads, stores and address arithmetic, with the counters that tell how well lanes' accesses fit together.

use crate::machine::access::{Place, space_of, window};
use crate::machine::context::Context;
use crate::machine::request::{Request, word};
use crate::machine::warp::lanes;
use crate::machine::{Fault, FaultKind};
use crate::ptx::{Address, Lanes, Memory, Order, Reg, Source, Space, Type};

impl Context<'_, '_> {
    pub(super) fn memory(&mut self, memory: &Memory, mask: u32) -> Result<(), Fault> {
        match memory {
            Memory::Load { space, ty, to, address, order } => {
                self.load(*space, *ty, to, *address, *order, mask)
            }
            Memory::Store { space, ty, from, address, order } => {
                self.store(*space, *ty, from, *address, *order, mask)
            }
            Memory::Atomic { .. } => self.atomic(memory, mask),
            Memory::Touch { space, address } => {
                let addresses = self.addresses(*address);
                for lane in lanes(mask) {
                    self.place(*space, addresses[lane], 1, 1).map_err(|f| f.at_lane(lane))?;
                }
                Ok(())
            }
            Memory::Mapa { generic, to, a, rank } => {
                let (values, ranks) = (self.values(*a), self.values(*rank));
                let mut result = [0; 32];
                for lane in lanes(mask) {
                    let rank = ranks[lane] as u32 as usize;
                    if rank >= self.cluster.blocks.len() {
                        let message =
                            format!("block {rank} of a cluster of {}", self.cluster.blocks.len());
                        return Err(
                            Fault::new(FaultKind::IllegalInstruction, message).at_lane(lane)
                        );
                    }
                    let space = if *generic { Space::Generic } else { Space::SharedCluster };
                    let Place::Shared { .. } =
                        self.place(space, values[lane], 0, 1).map_err(|f| f.at_lane(lane))?
                    else {
                        return Err(Fault::new(
                            FaultKind::AddressSpace,
                            "mapa of an address outside shared memory",
                        )
                        .at_lane(lane));
                    };
                    result[lane] = values[lane] & !0xff00_0000 | (rank as u64) << 24;
                }
                self.warp.write(*to, mask, &result);
                Ok(())
            }
            Memory::BlockRank { to, a, .. } => {
                let result = self.values(*a).map(|address| address >> 24 & 0xff);
                self.warp.write(*to, mask, &result);
                Ok(())
            }
            Memory::IsSpace { space, to, a } => {
                let values = self.values(*a);
                let mut truth = 0;
                for lane in lanes(mask) {
                    let found = space_of(values[lane]);
                    let own = (values[lane] >> 24 & 0xff) as usize == self.warp.block;
                    let inside = match space {
                        Space::Shared => found == Space::SharedCluster && own,
                        other => found == *other,
                    };
                    truth |= u32::from(inside) << lane;
                }
                self.warp.write_predicate(*to, mask, truth);
                Ok(())
            }
            Memory::Convert { space, to_space, to, a } => {
                self.convert(*space, *to_space, *to, *a, mask)
            }
        }
    }

    fn convert(
        &mut self,
        space: Space,
        to_space: bool,
        to: Reg,
        a: Source,
        mask: u32,
    ) -> Result<(), Fault> {
        let window = window(space);
        let mut values = self.values(a);
        if to_space {
            for lane in lanes(mask) {
                let found = space_of(values[lane]);
                let fits = match space {
                    Space::Shared | Space::SharedCluster => found == Space::SharedCluster,
                    Space::Global | Space::Const => found == Space::Global,
                    other => found == other,
                };
                if !fits {
                    let message = format!(
                        "cvta.to: {:#x} is a {found:?} address, not one of {space:?}",
                        values[lane]
                    );
                    return Err(Fault::new(FaultKind::AddressSpace, message).at_lane(lane));
                }
                values[lane] -= window;
            }
        } else {
            values = values.map(|x| x.wrapping_add(window));
        }
        self.warp.write(to, mask, &values);
        Ok(())
    }

    fn load(
        &mut self,
        space: Space,
        ty: Type,
        to: &[Option<Reg>],
        address: Address,
        order: Order,
        mask: u32,
    ) -> Result<(), Fault> {
        let addresses = self.addresses(address);
        let each = ty.bytes() as usize;
        let bytes = each * to.len();
        let mut results: Vec<Lanes> = vec![[0; 32]; to.len()];
        let mut uppers: Lanes = [0; 32];
        let mut request = Request::new(bytes);
        let mut buffer = [0u8; 32];
        for lane in lanes(mask) {
            let mut one = || {
                let place = self.place(space, addresses[lane], bytes, bytes.next_power_of_two())?;
                request.note(place);
                self.read(place, lane, &mut buffer[..bytes], order)
            };
            one().map_err(|f| f.at_lane(lane))?;
            for (i, result) in results.iter_mut().enumerate() {
                let part = &buffer[i * each..][..each];
                result[lane] = word(&part[..each.min(8)]);
                if each == 16 {
                    uppers[lane] = word(&part[8..]);
                }
            }
        }
        for (result, to) in results.iter().zip(to) {
            if let Some(to) = to {
                let extended = extend(ty, to.bits, result);
                self.warp.write(*to, mask, &extended);
                if ty == Type::B128 {
                    self.warp.write_upper(*to, mask, &uppers);
                }
            }
        }
        self.count(request, true);
        Ok(())
    }

    fn store(
        &mut self,
        space: Space,
        ty: Type,
        from: &[Source],
        address: Address,
        order: Order,
        mask: u32,
    ) -> Result<(), Fault> {
        let addresses = self.addresses(address);
        let each = ty.bytes() as usize;
        let bytes = each * from.len();
        let values: Vec<Lanes> = from.iter().map(|source| self.values(*source)).collect();
        let upper = match from.first() {
            Some(Source::Register(reg)) if ty == Type::B128 => *self.warp.upper(*reg),
            _ => [0; 32],
        };
        let mut request = Request::new(bytes);
        let mut buffer = [0u8; 32];
        for lane in lanes(mask) {
            for (i, value) in values.iter().enumerate() {
                let part = &mut buffer[i * each..][..each];
                let low = value[lane].to_le_bytes();
                part[..each.min(8)].copy_from_slice(&low[..each.min(8)]);
                if each == 16 {
                    part[8..].copy_from_slice(&upper[lane].to_le_bytes());
                }
            }
            let mut one = || {
                let place = self.place(space, addresses[lane], bytes, bytes.next_power_of_two())?;
                request.note(place);
                self.write(place, lane, &buffer[..bytes], order)
            };
            one().map_err(|f| f.at_lane(lane))?;
        }
        self.count(request, false);
        Ok(())
    }
}

/// A loaded value fills a wider register by its type's sign.
fn extend(ty: Type, register: u8, values: &Lanes) -> Lanes {
    if !ty.is_signed() || u32::from(register) <= ty.bits() {
        return *values;
    }
    let unused = 64 - ty.bits();
    let keep = if register >= 64 { u64::MAX } else { (1 << register) - 1 };
    values.map(|x| ((x << unused) as i64 >> unused) as u64 & keep)
}
