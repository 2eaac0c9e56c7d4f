//! `atom` and `red`: lanes one after another.

use crate::machine::Fault;
use crate::machine::context::Context;
use crate::machine::request::{Request, word};
use crate::machine::warp::lanes;
use crate::ptx::{Lanes, Memory, Order};

impl Context<'_, '_> {
    pub(super) fn atomic(&mut self, memory: &Memory, mask: u32) -> Result<(), Fault> {
        let Memory::Atomic { space, bits, f, to, address, a, b } = memory else {
            return Ok(());
        };
        let addresses = self.addresses(*address);
        let each = (*bits / 8) as usize;
        let bytes = each * a.len();
        let operands: Vec<Lanes> = a.iter().map(|source| self.values(*source)).collect();
        let second = b.map_or([0; 32], |source| self.values(source));
        let mut old = vec![[0; 32]; a.len()];
        let mut request = Request::new(bytes);
        for lane in lanes(mask) {
            let mut one = || {
                let place =
                    self.place(*space, addresses[lane], bytes, bytes.next_power_of_two())?;
                request.note(place);
                let mut buffer = [0u8; 32];
                self.read(place, lane, &mut buffer[..bytes], Order::Strong)?;
                for (i, operand) in operands.iter().enumerate() {
                    let part = &mut buffer[i * each..][..each];
                    old[i][lane] = word(part);
                    let new = f(old[i][lane], operand[lane], second[lane]);
                    part.copy_from_slice(&new.to_le_bytes()[..each]);
                }
                self.write(place, lane, &buffer[..bytes], Order::Strong)
            };
            one().map_err(|fault: Fault| fault.at_lane(lane))?;
        }
        for (values, to) in old.iter().zip(to) {
            self.warp.write(*to, mask, values);
        }
        self.count(request, false);
        Ok(())
    }
}
