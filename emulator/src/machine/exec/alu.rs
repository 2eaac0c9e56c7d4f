//! Arithmetic and moves: registers to registers.

use crate::machine::context::Context;
use crate::machine::warp::lanes;
use crate::ptx::{Alu, BoolOp, CarryKind, Lanes, PredSource, Reg, Source};

impl Context<'_, '_> {
    pub(super) fn alu(&mut self, alu: &Alu, mask: u32) {
        let float = matches!(
            alu,
            Alu::Map1 { float: true, .. }
                | Alu::Map2 { float: true, .. }
                | Alu::Map3 { float: true, .. }
        );
        if float {
            self.machine.counters.float += 1;
        } else {
            self.machine.counters.integer += 1;
        }
        match alu {
            Alu::Map1 { f, to, a, .. } => {
                let result = f(&self.values(*a));
                self.warp.write(*to, mask, &result);
            }
            Alu::Map2 { f, to, a, b, .. } => {
                let result = f(&self.values(*a), &self.values(*b));
                self.warp.write(*to, mask, &result);
            }
            Alu::Map3 { f, to, a, b, c, .. } => {
                let result = f(&self.values(*a), &self.values(*b), &self.values(*c));
                self.warp.write(*to, mask, &result);
            }
            Alu::Move { to, a } => self.copy(*to, *a, mask),
            Alu::Compare { f, a, b, combine, to, complement } => {
                let truth = f(&self.values(*a), &self.values(*b));
                let (yes, no) = (self.combined(truth, *combine), self.combined(!truth, *combine));
                if let Some(to) = to {
                    self.warp.write_predicate(*to, mask, yes);
                }
                if let Some(complement) = complement {
                    self.warp.write_predicate(*complement, mask, no);
                }
            }
            Alu::Set { f, a, b, combine, to, yes } => {
                let truth = self.combined(f(&self.values(*a), &self.values(*b)), *combine);
                let result: Lanes =
                    std::array::from_fn(|lane| if truth >> lane & 1 == 1 { *yes } else { 0 });
                self.warp.write(*to, mask, &result);
            }
            Alu::ComparePacked { low, high, a, b, combine, to, second } => {
                let (a, b) = (self.values(*a), self.values(*b));
                let (low, high) =
                    (self.combined(low(&a, &b), *combine), self.combined(high(&a, &b), *combine));
                if let Some(to) = to {
                    self.warp.write_predicate(*to, mask, low);
                }
                if let Some(second) = second {
                    self.warp.write_predicate(*second, mask, high);
                }
            }
            Alu::Select { to, a, b, p } => {
                let (a, b, p) = (self.values(*a), self.values(*b), self.warp.predicate_source(*p));
                let result: Lanes =
                    std::array::from_fn(|lane| if p >> lane & 1 == 1 { a[lane] } else { b[lane] });
                self.warp.write(*to, mask, &result);
            }
            Alu::Logic { table, to, a, b } => {
                let (a, b) = (self.warp.predicate_source(*a), self.warp.predicate_source(*b));
                let row = |i: u8, a: u32, b: u32| if table >> i & 1 == 1 { a & b } else { 0 };
                let result = row(3, a, b) | row(2, a, !b) | row(1, !a, b) | row(0, !a, !b);
                self.warp.write_predicate(*to, mask, result);
            }
            Alu::Pack { to, parts, bits } => self.pack(*to, parts, *bits, mask),
            Alu::Unpack { to, from, bits } => {
                let values = self.values(*from);
                let upper = match from {
                    Source::Register(reg) if reg.bits == 128 => *self.warp.upper(*reg),
                    _ => [0; 32],
                };
                let keep = if *bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                for (i, to) in to.iter().enumerate() {
                    let at = i as u32 * bits;
                    let source = if at < 64 { &values } else { &upper };
                    if let Some(to) = to {
                        self.note_move(*from, *to, at, *bits);
                        self.warp.write(*to, mask, &source.map(|x| x >> (at % 64) & keep));
                    }
                }
            }
            Alu::MapTest { f, to, a, b, c, p, op, q } => {
                let result = f(&self.values(*a), &self.values(*b), &self.values(*c));
                let truth = result
                    .iter()
                    .enumerate()
                    .fold(0, |mask, (lane, x)| mask | u32::from(*x != 0) << lane);
                let truth = op.apply(truth, self.warp.predicate_source(*q));
                if let Some(to) = to {
                    self.warp.write(*to, mask, &result);
                }
                self.warp.write_predicate(*p, mask, truth);
            }
            Alu::InsertBits { bits, to, a, b, at, length } => {
                let [a, b, at, length] = [a, b, at, length].map(|source| self.values(*source));
                let result = std::array::from_fn(|i| {
                    insert_bits(*bits, a[i], b[i], at[i] as u32 & 255, length[i] as u32 & 255)
                });
                self.warp.write(*to, mask, &result);
            }
            Alu::Carry { kind, bits, to, a, b, c, carry_in, carry_out } => {
                let operands = [self.values(*a), self.values(*b), self.values(*c)];
                let mut result = [0; 32];
                let mut carries = 0;
                for lane in lanes(mask) {
                    let carry = carry_in & (self.warp.carry >> lane & 1 == 1);
                    let (value, out) = carry_step(*kind, *bits, operands.map(|x| x[lane]), carry);
                    result[lane] = value;
                    carries |= u32::from(out) << lane;
                }
                self.warp.write(*to, mask, &result);
                if *carry_out {
                    self.warp.carry = self.warp.carry & !mask | carries;
                }
            }
        }
    }

    /// A move of a matrix product in flight lands with it.
    fn note_move(&mut self, from: Source, to: Reg, shift: u32, bits: u32) {
        if let Source::Register(from) = from
            && !self.warp.wgmma.is_idle()
        {
            self.warp.wgmma.note_move(from, to, shift, bits);
        }
    }

    fn copy(&mut self, to: Reg, a: Source, mask: u32) {
        self.note_move(a, to, 0, 64);
        if let Source::Register(from) = a
            && to.bits == 128
        {
            let upper = *self.warp.upper(from);
            self.warp.write_upper(to, mask, &upper);
        }
        let values = self.values(a);
        let narrow = to.bits < 64 && !matches!(a, Source::Register(reg) if reg.bits <= to.bits);
        let keep = if narrow { (1 << to.bits) - 1 } else { u64::MAX };
        self.warp.write(to, mask, &values.map(|x| x & keep));
    }

    fn pack(&mut self, to: Reg, parts: &[Source], bits: u32, mask: u32) {
        let keep = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        let mut halves = [[0u64; 32]; 2];
        for (i, part) in parts.iter().enumerate() {
            let values = self.values(*part);
            let at = i as u32 * bits;
            let half = &mut halves[(at / 64) as usize];
            for (word, value) in half.iter_mut().zip(values) {
                *word |= (value & keep) << (at % 64);
            }
        }
        self.warp.write(to, mask, &halves[0]);
        if to.bits == 128 {
            self.warp.write_upper(to, mask, &halves[1]);
        }
    }

    fn combined(&self, truth: u32, combine: Option<(BoolOp, PredSource)>) -> u32 {
        combine.map_or(truth, |(op, p)| op.apply(truth, self.warp.predicate_source(p)))
    }
}

/// The low `length` bits of `a`, put into `b` from bit `at` on.
fn insert_bits(bits: u32, a: u64, b: u64, at: u32, length: u32) -> u64 {
    let low = |count: u32| 1u64.checked_shl(count).map_or(u64::MAX, |bit| bit - 1);
    let field = low(length).checked_shl(at).unwrap_or(0) & low(bits);
    b & !field | a.checked_shl(at).unwrap_or(0) & field
}

/// One lane of a carry instruction: the result and the carry (or borrow) out.
fn carry_step(kind: CarryKind, bits: u32, [a, b, c]: [u64; 3], carry: bool) -> (u64, bool) {
    let keep = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let [a, b, c] = [a & keep, b & keep, c & keep].map(u128::from);
    let carry = u128::from(carry);
    let limit = 1u128 << bits;
    let total = match kind {
        CarryKind::Add => a + b + carry,
        // A borrow is a carry of one.
        CarryKind::Sub => {
            let total = (a + limit).wrapping_sub(b + carry);
            return (total as u64 & keep, total < limit);
        }
        CarryKind::MadLow => (a * b) % limit + c + carry,
        CarryKind::MadHigh(signed) => {
            let high = if signed {
                let extend = |x: u128| (x << (128 - bits)) as i128 >> (128 - bits);
                ((extend(a) * extend(b)) >> bits) as u128 % limit
            } else {
                (a * b) >> bits
            };
            high + c + carry
        }
    };
    (total as u64 & keep, total >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_bits() {
        assert_eq!(insert_bits(32, 0xff, 0, 28, 8), 0xf000_0000);
        assert_eq!(insert_bits(32, 0, 0xffff_ffff, 4, 8), 0xffff_f00f);
        assert_eq!(insert_bits(32, 7, 5, 32, 8), 5);
        assert_eq!(insert_bits(64, 7, 0, 62, 200), 0xc000_0000_0000_0000);
    }

    #[test]
    fn carries_and_borrows() {
        assert_eq!(carry_step(CarryKind::Add, 32, [0xffff_ffff, 1, 0], false), (0, true));
        assert_eq!(carry_step(CarryKind::Add, 64, [u64::MAX, 0, 0], true), (0, true));
        assert_eq!(carry_step(CarryKind::Sub, 32, [1, 2, 0], false), (0xffff_ffff, true));
        assert_eq!(carry_step(CarryKind::Sub, 32, [2, 1, 0], true), (0, false));
        assert_eq!(carry_step(CarryKind::MadLow, 32, [0xffff_ffff, 2, 2], false), (0, true));
        assert_eq!(
            carry_step(CarryKind::MadHigh(false), 32, [0xffff_ffff, 2, 2], false),
            (3, false)
        );
        assert_eq!(carry_step(CarryKind::MadHigh(true), 32, [0xffff_ffff, 2, 2], false), (1, true));
    }
}
