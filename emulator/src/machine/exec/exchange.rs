//! Exchange between the lanes of a warp.

use crate::machine::context::{Context, Outcome};
use crate::machine::warp::{Wait, lanes};
use crate::machine::{Fault, FaultKind};
use crate::ptx::{Lanes, ShuffleMode, Source, VoteMode, WarpOp};

/// What a shuffle from a lane that does not take part yields.
const UNDEFINED: u64 = 0xDEAD_BEEF;

impl Context<'_, '_> {
    pub(super) fn exchange(
        &mut self,
        op: &WarpOp,
        group: usize,
        mask: u32,
    ) -> Result<Outcome, Fault> {
        if let WarpOp::ActiveMask { to } = op {
            self.warp.write(*to, mask, &[u64::from(mask); 32]);
            return Ok(Outcome::Next);
        }
        let members = match op {
            WarpOp::Shuffle { mask: m, .. }
            | WarpOp::Vote { mask: m, .. }
            | WarpOp::Match { mask: m, .. }
            | WarpOp::Reduce { mask: m, .. }
            | WarpOp::Elect { mask: m, .. }
            | WarpOp::Sync { mask: m } => *m,
            WarpOp::ActiveMask { .. } => Source::Constant(0),
        };
        let masks = self.values(members);
        // Lanes with the same member mask act together; each set needs all of its live members here.
        let mut left = mask;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let wanted = masks[first] as u32;
            let same = lanes(left)
                .filter(|&lane| masks[lane] as u32 == wanted)
                .fold(0, |m, lane| m | 1 << lane);
            if same & !wanted != 0 {
                let lane = (same & !wanted).trailing_zeros() as usize;
                let message = format!("the lane is not in its own member mask {wanted:#010x}");
                return Err(Fault::new(FaultKind::IllegalInstruction, message).at_lane(lane));
            }
            if wanted & self.warp.live() & !same != 0 {
                if same != mask || self.warp.groups[group].mask != mask {
                    return self.wait_apart(group, left);
                }
                return Ok(Outcome::Stay(Wait::Lanes { aligned: false }));
            }
            self.act(op, same);
            left &= !same;
        }
        Ok(Outcome::Next)
    }

    /// Lanes of `left` stay at the instruction for lanes that are elsewhere; the others of the group have executed it.
    fn wait_apart(&mut self, group: usize, left: u32) -> Result<Outcome, Fault> {
        let here = self.warp.groups[group];
        if here.mask != left {
            self.warp.split(group, here.mask & !left, here.pc + 1);
        }
        self.warp.groups[group].wait = Wait::Lanes { aligned: false };
        Ok(Outcome::Moved)
    }

    fn act(&mut self, op: &WarpOp, mask: u32) {
        match op {
            WarpOp::Shuffle { mode, to, in_range, a, b, c, .. } => {
                let (a, b, c) = (self.values(*a), self.values(*b), self.values(*c));
                let mut result: Lanes = [0; 32];
                let mut valid = 0;
                for lane in lanes(mask) {
                    let (source, inside) =
                        shuffle_source(*mode, lane as i32, b[lane] as u32, c[lane] as u32);
                    // The value of a lane that does not take part is undefined.
                    result[lane] =
                        if mask >> source & 1 == 1 { a[source] & 0xffff_ffff } else { UNDEFINED };
                    valid |= u32::from(inside) << lane;
                }
                if let Some(to) = to {
                    self.warp.write(*to, mask, &result);
                }
                if let Some(p) = in_range {
                    self.warp.write_predicate(*p, mask, valid);
                }
            }
            WarpOp::Vote { mode, to, to_pred, p, .. } => {
                let votes = self.warp.predicate_source(*p) & mask;
                let truth = match mode {
                    VoteMode::All => votes == mask,
                    VoteMode::Any => votes != 0,
                    VoteMode::Uniform | VoteMode::Ballot => votes == mask || votes == 0,
                };
                if let Some(to) = to {
                    self.warp.write(*to, mask, &[u64::from(votes); 32]);
                }
                if let Some(to) = to_pred {
                    self.warp.write_predicate(*to, mask, if truth { u32::MAX } else { 0 });
                }
            }
            WarpOp::Match { all, to, all_equal, a, .. } => {
                let a = self.values(*a);
                let equal = |x: u64| {
                    lanes(mask).filter(|&lane| a[lane] == x).fold(0u32, |m, lane| m | 1 << lane)
                };
                let uniform = lanes(mask).next().is_some_and(|first| equal(a[first]) == mask);
                let mut result: Lanes = [0; 32];
                for lane in lanes(mask) {
                    result[lane] = if *all {
                        u64::from(if uniform { mask } else { 0 })
                    } else {
                        u64::from(equal(a[lane]))
                    };
                }
                if let Some(to) = to {
                    self.warp.write(*to, mask, &result);
                }
                if let Some(p) = all_equal {
                    self.warp.write_predicate(*p, mask, if uniform { u32::MAX } else { 0 });
                }
            }
            WarpOp::Reduce { f, abs, to, a, .. } => {
                let a = self.values(*a);
                let keep = if *abs { 0x7fff_ffff } else { 0xffff_ffff };
                let total =
                    lanes(mask).map(|lane| a[lane] & keep).reduce(|x, y| f(x, y, 0)).unwrap_or(0);
                self.warp.write(*to, mask, &[total; 32]);
            }
            WarpOp::Elect { to, leader, .. } => {
                // Hardware elects the lowest lane on every part known; the ISA promises only that it is always the same.
                let elected = mask.trailing_zeros();
                if let Some(to) = to {
                    self.warp.write(*to, mask, &[u64::from(elected); 32]);
                }
                self.warp.write_predicate(*leader, mask, 1 << elected);
            }
            WarpOp::Sync { .. } | WarpOp::ActiveMask { .. } => {}
        }
    }
}

/// The lane that a lane reads from, and whether it is in range; see the pseudocode in PTX ISA 9.7.9.6.
fn shuffle_source(mode: ShuffleMode, lane: i32, b: u32, c: u32) -> (usize, bool) {
    let offset = (b & 31) as i32;
    let clamp = (c & 31) as i32;
    let segment = (c >> 8 & 31) as i32;
    let low = lane & segment;
    let high = low | clamp & !segment;
    let (source, inside) = match mode {
        ShuffleMode::Up => (lane - offset, lane - offset >= high),
        ShuffleMode::Down => (lane + offset, lane + offset <= high),
        ShuffleMode::Butterfly => (lane ^ offset, lane ^ offset <= high),
        ShuffleMode::Index => {
            let source = low | offset & !segment;
            (source, source <= high)
        }
    };
    if inside { ((source & 31) as usize, true) } else { (lane as usize, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_follow_the_isa() {
        // Full width: c = 31 for down, bfly and idx, 0 for up.
        assert_eq!(shuffle_source(ShuffleMode::Up, 3, 4, 0), (3, false));
        assert_eq!(shuffle_source(ShuffleMode::Up, 4, 4, 0), (0, true));
        assert_eq!(shuffle_source(ShuffleMode::Down, 30, 2, 31), (30, false));
        assert_eq!(shuffle_source(ShuffleMode::Down, 29, 2, 31), (31, true));
        assert_eq!(shuffle_source(ShuffleMode::Butterfly, 5, 16, 31), (21, true));
        assert_eq!(shuffle_source(ShuffleMode::Index, 9, 7, 31), (7, true));
        // Width 8: segment mask 0b11000.
        let c = 0x1807;
        assert_eq!(shuffle_source(ShuffleMode::Index, 17, 2, c), (18, true));
        assert_eq!(shuffle_source(ShuffleMode::Down, 22, 2, c), (22, false));
        assert_eq!(shuffle_source(ShuffleMode::Butterfly, 17, 1, c), (16, true));
        assert_eq!(shuffle_source(ShuffleMode::Up, 17, 1, 0x1800), (16, true));
        assert_eq!(shuffle_source(ShuffleMode::Up, 16, 1, 0x1800), (16, false));
    }
}
