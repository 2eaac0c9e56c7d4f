//! Tensor-core instructions of one warp: the machine fetches and checks, [`crate::tensor`] computes.

use crate::machine::context::{Context, Outcome};
use crate::machine::request::Request;
use crate::machine::{Fault, FaultKind};
use crate::ptx::{Lanes, Order, Scale, Space, TensorOp};
use crate::tensor::matrix;
use crate::tensor::mma::Scales;
use crate::tensor::scale::ScaleOperand;

impl Context<'_, '_> {
    pub(super) fn tensor(
        &mut self,
        op: &TensorOp,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        if let TensorOp::Tcgen05(op) = op {
            return self.tcgen05(op, group, mask);
        }
        if let Some(wait) = self.converge_full(group, mask)? {
            return Ok(wait);
        }
        match op {
            TensorOp::LoadMatrix { matrix, to, address } => {
                self.machine.counters.memory += 1;
                let addresses = self.addresses(*address);
                let mut request = Request::new(16);
                let mut registers = vec![[0; 32]; to.len()];
                matrix.load(
                    |lane| {
                        let mut one = || {
                            let place = self.place(Space::Shared, addresses[lane], 16, 16)?;
                            request.note(place);
                            let mut row = [0u8; 16];
                            self.read(place, lane, &mut row, Order::Weak)?;
                            Ok(row)
                        };
                        one().map_err(|f: Fault| f.at_lane(lane))
                    },
                    &mut registers,
                )?;
                for (to, values) in to.iter().zip(&registers) {
                    self.warp.write(*to, mask, values);
                }
                self.count(request, true);
            }
            TensorOp::StoreMatrix { matrix, from, address } => {
                self.machine.counters.memory += 1;
                let addresses = self.addresses(*address);
                let registers: Vec<Lanes> =
                    from.iter().map(|source| self.values(*source)).collect();
                let mut request = Request::new(16);
                matrix.store(&registers, |lane, row| {
                    let mut one = || {
                        let place = self.place(Space::Shared, addresses[lane], 16, 16)?;
                        request.note(place);
                        self.write(place, lane, &row, Order::Weak)
                    };
                    one().map_err(|f: Fault| f.at_lane(lane))
                })?;
                self.count(request, false);
            }
            TensorOp::Transpose { to, a } => {
                self.machine.counters.integer += 1;
                let result = matrix::transpose(&self.values(*a), &self.machine.image.module.rules);
                self.warp.write(*to, mask, &result);
            }
            TensorOp::Mma { mma, d, a, b, c, scales } => {
                self.machine.counters.tensor += 1;
                self.machine.counters.tensor_macs += mma.multiply_adds();
                let gather = |sources: &[_]| -> Vec<Lanes> {
                    sources.iter().map(|s| self.values(*s)).collect()
                };
                let (a, b, c) = (gather(a), gather(b), gather(c));
                let mut result = vec![[0; 32]; d.len()];
                let scales = match scales {
                    None => None,
                    Some([a, b]) => Some((self.scale(a, mask)?, self.scale(b, mask)?)),
                };
                let scales = scales.as_ref().map(|((a, [ab, at]), (b, [bb, bt]))| Scales {
                    a: ScaleOperand { data: a, byte_id: *ab, thread_id: *at },
                    b: ScaleOperand { data: b, byte_id: *bb, thread_id: *bt },
                });
                let done = mma.apply(&a, &b, &c, scales, &mut result);
                done.map_err(|message| Fault::new(FaultKind::IllegalInstruction, message))?;
                for (to, values) in d.iter().zip(&result) {
                    self.warp.write(*to, mask, values);
                }
            }
            TensorOp::Wgmma(op) => self.issue_wgmma(op, mask)?,
            TensorOp::WgmmaFence => {
                self.machine.counters.sync += 1;
                self.warp.wgmma.fence();
            }
            TensorOp::WgmmaCommit => self.warp.wgmma.commit(),
            TensorOp::WgmmaWait { left } => {
                self.machine.counters.sync += 1;
                self.wait_wgmma(*left)?;
            }
            TensorOp::Tcgen05(_) => {}
        }
        Ok(Outcome::Next)
    }

    /// A scale operand's register and its selectors, which all lanes must agree on.
    fn scale(&self, scale: &Scale, mask: u32) -> Result<(Lanes, [u16; 2]), Fault> {
        let byte_id = self.uniform(scale.byte_id, mask, "byte-id")? as u16;
        let thread_id = self.uniform(scale.thread_id, mask, "thread-id")? as u16;
        Ok((self.values(scale.data), [byte_id, thread_id]))
    }
}
