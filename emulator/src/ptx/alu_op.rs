//! Pre-decoded instructions from registers to registers.

use super::instruction::{Map1, Map2, Map3, Test2};
use super::operand::{Pred, PredSource, Reg, Source};

/// Arithmetic, logic, moves: each lane by itself, registers only.
pub enum Alu {
    /// `to = f(a)`
    Map1 { float: bool, f: Map1, to: Reg, a: Source },
    /// `to = f(a, b)`
    Map2 { float: bool, f: Map2, to: Reg, a: Source, b: Source },
    /// `to = f(a, b, c)`
    Map3 { float: bool, f: Map3, to: Reg, a: Source, b: Source, c: Source },
    /// `to = a`
    Move { to: Reg, a: Source },
    /// `to = f(a, b) op p`, `complement = !f(a, b) op p`
    Compare {
        f: Test2,
        a: Source,
        b: Source,
        combine: Option<(BoolOp, PredSource)>,
        to: Option<Pred>,
        complement: Option<Pred>,
    },
    /// As `Compare`, with the result as a number: `yes` where it holds, else 0.
    Set { f: Test2, a: Source, b: Source, combine: Option<(BoolOp, PredSource)>, to: Reg, yes: u64 },
    /// `to, second = low and high comparisons` of packed halves.
    ComparePacked {
        low: Test2,
        high: Test2,
        a: Source,
        b: Source,
        combine: Option<(BoolOp, PredSource)>,
        to: Option<Pred>,
        second: Option<Pred>,
    },
    /// `to = p ? a : b`
    Select { to: Reg, a: Source, b: Source, p: PredSource },
    /// `to = table[2a + b]` on predicates.
    Logic { table: u8, to: Pred, a: PredSource, b: PredSource },
    /// `to = parts`, the first lowest, each of `bits` bits.
    Pack { to: Reg, parts: Vec<Source>, bits: u32 },
    /// `parts = from`, the first lowest, each of `bits` bits.
    Unpack { to: Vec<Option<Reg>>, from: Source, bits: u32 },
    /// `lop3` with a predicate: `to = f(a, b, c)`, `p = (to != 0) op q`.
    MapTest {
        f: Map3,
        to: Option<Reg>,
        a: Source,
        b: Source,
        c: Source,
        p: Pred,
        op: BoolOp,
        q: PredSource,
    },
    /// `bfi`: the low `length` bits of a, in b from bit `at` on.
    InsertBits { bits: u32, to: Reg, a: Source, b: Source, at: Source, length: Source },
    /// `add.cc`, `madc.hi` and kin: `a * b + c` or `a + b`, with the carry flag in and out.
    Carry {
        kind: CarryKind,
        bits: u32,
        to: Reg,
        a: Source,
        b: Source,
        c: Source,
        carry_in: bool,
        carry_out: bool,
    },
}

/// What a carry instruction adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the instructions")]
pub enum CarryKind {
    Add,
    Sub,
    MadLow,
    /// High half; signed if the flag is set.
    MadHigh(bool),
}

/// How a comparison is combined with a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the qualifiers")]
pub enum BoolOp {
    And,
    Or,
    Xor,
}

impl BoolOp {
    /// On one bit a lane.
    #[must_use]
    pub fn apply(self, a: u32, b: u32) -> u32 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
        }
    }
}
