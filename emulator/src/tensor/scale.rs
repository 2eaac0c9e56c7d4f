//! Block scales of `mma.sync`: which lane and byte holds the scale of a row, a column and a block
//! of k.
//!
//! PTX ISA 9.0, 9.7.14.3. The thread selector picks, in each quad of lanes, the pair (A) or the
//! lane (B) that provides scales; the byte selector picks where in their register the first block's
//! scale lies. The rows a pair provides are not those of its accumulators: they are CUTLASS's
//! `SFALayout` (`mma_traits_sm120.hpp`), with row `m` in lane `4 * (m % 8) + m / 8` of the selected
//! pair.

use super::Lanes;
use crate::convert::Format;
use crate::convert::format::decode_ue8m0;

/// (lane, byte) of the scale of a row or column and a block along k.
pub type Place = fn(index: usize, block: usize, byte_id: usize, thread_id: usize) -> (usize, usize);

/// Scale of row `m` of A.
pub fn place_a(m: usize, block: usize, byte_id: usize, thread_id: usize) -> (usize, usize) {
    (4 * (m % 8) + 2 * thread_id + m / 8, byte_id + block)
}

/// Scale of column `n` of B.
pub fn place_b(n: usize, block: usize, byte_id: usize, thread_id: usize) -> (usize, usize) {
    (4 * n + thread_id, byte_id + block)
}

/// Type of a block scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleType {
    /// A power of two.
    Ue8m0,
    /// E4M3 without sign.
    Ue4m3,
}

impl ScaleType {
    /// The factor a code stands for.
    pub fn value(self, code: u8) -> f64 {
        match self {
            Self::Ue8m0 => decode_ue8m0(code),
            Self::Ue4m3 => Format::UE4M3.decode(u32::from(code)),
        }
    }
}

/// One operand's scales: the register of the warp and the selectors.
#[derive(Clone, Copy, Debug)]
pub struct ScaleOperand<'a> {
    /// `scale-a-data` or `scale-b-data`.
    pub data: &'a Lanes,
    /// `byte-id`.
    pub byte_id: u16,
    /// `thread-id`.
    pub thread_id: u16,
}

impl ScaleOperand<'_> {
    /// Refuses selectors that Table 37 does not list for `vec` blocks along k.
    pub(super) fn check(&self, vec: usize, threads: u16, name: char) -> Result<(), String> {
        let bytes: &[u16] = match vec {
            1 => &[0, 1, 2, 3],
            2 => &[0, 2],
            _ => &[0],
        };
        if !bytes.contains(&self.byte_id) {
            return Err(format!(
                "byte-id-{name} {} with scale_vec::{vec}X; valid are {bytes:?}",
                self.byte_id
            ));
        }
        if self.thread_id >= threads {
            return Err(format!(
                "thread-id-{name} {}; valid are 0 to {}",
                self.thread_id,
                threads - 1
            ));
        }
        Ok(())
    }

    pub(super) fn value(&self, place: Place, kind: ScaleType, index: usize, block: usize) -> f64 {
        let (lane, byte) = place(index, block, self.byte_id.into(), self.thread_id.into());
        kind.value((self.data[lane % 32] >> (8 * (byte % 4))) as u8)
    }
}
