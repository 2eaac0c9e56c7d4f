//! `tcgen05.cp` and `tcgen05.shift`: shared memory to Tensor Memory, and rows down by one.
//!
//! PTX ISA 9.0, 9.7.16.9. The source is a K-major matrix behind a shared-memory descriptor, 32 or
//! 16 bytes a row; row `r` goes to lane `r` of the address, and the multicast forms give several
//! partitions the same rows (the figures agree with CUTLASS's `SM100_UTCCP_*`,
//! `copy_traits_sm100.hpp`). `.4x256b` refreshes one lane of each partition.

use super::Rules;
use super::descriptor::{Major, SharedMatrix};
use super::element::Element;
use super::tmem::{LANES, TensorMemory, split};
use super::wgmma::Failure;

/// Which lanes a row of the source goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// `.128x256b`, `.128x128b`: each row its own lane.
    Rows128,
    /// `.4x256b`: row `i` to the addressed lane of partition `i`.
    Rows4,
    /// `.64x128b.warpx2::02_13`: partitions 0 and 2 get rows 0 to 31, 1 and 3 rows 32 to 63.
    Pairs02_13,
    /// `.64x128b.warpx2::01_23`: partitions 0 and 1 get rows 0 to 31, 2 and 3 rows 32 to 63.
    Pairs01_23,
    /// `.32x128b.warpx4`: all partitions get all rows.
    All,
}

/// The lanes, relative to the address, that row `row` goes to.
pub fn lanes(spread: Spread, row: u32) -> [Option<u32>; 4] {
    match spread {
        Spread::Rows128 => [Some(row), None, None, None],
        Spread::Rows4 => [Some(32 * row), None, None, None],
        Spread::Pairs02_13 => [Some(row), Some(row + 64), None, None],
        Spread::Pairs01_23 => {
            let first = row % 32 + 64 * (row / 32);
            [Some(first), Some(first + 32), None, None]
        }
        Spread::All => [0, 1, 2, 3].map(|partition| Some(row + 32 * partition)),
    }
}

/// A decoded `tcgen05.cp`.
#[derive(Clone, Copy, Debug)]
pub struct TensorCopy {
    ctas: usize,
    spread: Spread,
    rows: u32,
    /// 16-byte chunks of a row.
    chunks: u32,
    /// How the bytes of a chunk are expanded: a type that [`Element::chunk`] expands, or bytes as
    /// they are.
    source: Element,
    rules: Rules,
}

impl TensorCopy {
    /// Parses the qualifiers after `tcgen05`, from `cp` on.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let ["cp", group, shape, rest @ ..] = qualifiers else {
            return Err("tcgen05.cp needs .cta_group and a shape".into());
        };
        let ctas = group_of(group)?;
        let (spread, rows, chunks, rest) = match (*shape, rest) {
            ("128x256b", rest) => (Spread::Rows128, 128, 2, rest),
            ("128x128b", rest) => (Spread::Rows128, 128, 1, rest),
            ("4x256b", rest) => (Spread::Rows4, 4, 2, rest),
            ("64x128b", ["warpx2::02_13", rest @ ..]) => (Spread::Pairs02_13, 64, 1, rest),
            ("64x128b", ["warpx2::01_23", rest @ ..]) => (Spread::Pairs01_23, 64, 1, rest),
            ("32x128b", ["warpx4", rest @ ..]) => (Spread::All, 32, 1, rest),
            _ => {
                return Err(format!(
                    "tcgen05.cp: the ISA does not list .{shape} with this multicast"
                ));
            }
        };
        let source = match rest {
            [] => Element::U8,
            ["b8x16", "b6x16_p32"] => Element::E3m2,
            ["b8x16", "b4x16_p64"] => Element::E2m1Byte,
            _ => return Err(format!("tcgen05.cp does not take .{}", rest.join("."))),
        };
        Ok(Self { ctas, spread, rows, chunks, source, rules: *rules })
    }

    /// 1 or 2: the CTAs whose Tensor Memory is written.
    pub fn ctas(&self) -> usize {
        self.ctas
    }

    /// Bytes read from the shared memory of a CTA.
    pub fn bytes(&self) -> u32 {
        self.rows * self.chunks * 16
    }

    /// Copies within one CTA (a pair does it in both). `read(address)` returns 16 bytes of shared
    /// memory.
    ///
    /// # Errors
    /// Bad operands, or what `read` returns.
    pub fn apply<E>(
        &self,
        memory: &mut TensorMemory,
        address: u32,
        descriptor: u64,
        mut read: impl FnMut(u32) -> Result<[u8; 16], E>,
    ) -> Result<(), Failure<E>> {
        let matrix = SharedMatrix::tcgen05(descriptor, &self.rules).map_err(Failure::Operand)?;
        let (lane, column) = split(address);
        memory.check(column, 4 * self.chunks).map_err(Failure::Operand)?;
        let limit = if self.spread == Spread::Rows4 { 32 } else { 1 };
        if lane >= limit {
            return Err(Failure::Operand(format!(
                "tcgen05.cp to lane {lane}: this shape starts below lane {limit}"
            )));
        }
        for row in 0..self.rows {
            for chunk in 0..self.chunks {
                let k = 16 * chunk as usize;
                let (at, _) = matrix.address(row as usize, k, 8, Major::K, &self.rules);
                let bytes =
                    self.source.chunk(u128::from_le_bytes(read(at).map_err(Failure::Memory)?));
                for to in (self.rules.copy_lanes)(self.spread, row).into_iter().flatten() {
                    for word in 0..4 {
                        memory.write(
                            lane + to,
                            column + 4 * chunk + word,
                            (bytes >> (32 * word)) as u32,
                        );
                    }
                }
            }
        }
        Ok(())
    }
}

fn group_of(qualifier: &str) -> Result<usize, String> {
    match qualifier {
        "cta_group::1" => Ok(1),
        "cta_group::2" => Ok(2),
        other => Err(format!("tcgen05 needs .cta_group, not .{other}")),
    }
}

/// Parses `tcgen05.shift{.cta_group}.down` (the ISA writes both orders), from `shift` on: 1 or 2
/// CTAs.
///
/// # Errors
/// A sentence naming what the ISA does not allow.
pub fn parse_shift(qualifiers: &[&str]) -> Result<usize, String> {
    match qualifiers {
        ["shift", group, "down"] | ["shift", "down", group] => group_of(group),
        _ => Err("tcgen05.shift needs .cta_group and .down".into()),
    }
}

/// `tcgen05.shift.down`: 32 bytes of each row replace those of the row before it; the last row of
/// the warp stays.
///
/// # Errors
/// A lane that is not a multiple of 32, or columns that are not allocated.
pub fn shift(memory: &mut TensorMemory, address: u32) -> Result<(), String> {
    let (lane, column) = split(address);
    if !lane.is_multiple_of(32) || lane >= LANES {
        return Err(format!("tcgen05.shift at lane {lane}: it must be a multiple of 32"));
    }
    memory.check(column, 8)?;
    for row in lane..lane + 31 {
        for at in column..column + 8 {
            let below = memory.read(row + 1, at);
            memory.write(row, at, below);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::ISA;

    /// No swizzle, LBO 4096, SBO 128: row r, chunk c at `c * 4096 + r * 16`; bytes of the word
    /// count rows and chunks.
    fn run(text: &str, address: u32) -> TensorMemory {
        let copy = TensorCopy::parse(&text.split('.').collect::<Vec<_>>(), &ISA)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        let descriptor = 4096 >> 4 << 16 | 128 >> 4 << 32 | 1 << 46;
        let mut memory = TensorMemory::default();
        memory.allocate(32).expect("a valid size").expect("free");
        let read = |at: u32| {
            let (row, chunk) = (at % 4096 / 16, at / 4096);
            let word = |w: u32| (chunk << 16 | row << 4 | w).to_le_bytes();
            Ok::<_, ()>(std::array::from_fn(|i| word(i as u32 / 4)[i % 4]))
        };
        copy.apply(&mut memory, address, descriptor, read).expect("valid operands");
        memory
    }

    #[test]
    fn rows_go_to_the_lanes_of_their_shape() {
        let word = |chunk: u32, row: u32, w: u32| chunk << 16 | row << 4 | w;
        let memory = run("cp.cta_group::1.128x256b", 4);
        assert_eq!([memory.read(0, 4), memory.read(127, 11)], [word(0, 0, 0), word(1, 127, 3)]);
        let memory = run("cp.cta_group::1.128x128b", 0);
        assert_eq!(memory.read(100, 2), word(0, 100, 2));
        let memory = run("cp.cta_group::1.32x128b.warpx4", 0);
        (0..4).for_each(|p| assert_eq!(memory.read(32 * p + 7, 1), word(0, 7, 1)));
        let memory = run("cp.cta_group::2.64x128b.warpx2::02_13", 0);
        assert_eq!(
            [5, 37, 69, 101].map(|lane| memory.read(lane, 0)),
            [5, 37, 5, 37].map(|row| word(0, row, 0))
        );
        let memory = run("cp.cta_group::1.64x128b.warpx2::01_23", 0);
        assert_eq!(
            [5, 37, 69, 101].map(|lane| memory.read(lane, 0)),
            [5, 5, 37, 37].map(|row| word(0, row, 0))
        );
        let memory = run("cp.cta_group::1.4x256b", 3 << 16);
        assert_eq!(
            [3, 35, 99].map(|lane| memory.read(lane, 5)),
            [0, 1, 3].map(|row| word(1, row, 1))
        );
    }

    #[test]
    fn narrow_types_are_expanded() {
        let copy =
            TensorCopy::parse(&["cp", "cta_group::1", "128x128b", "b8x16", "b4x16_p64"], &ISA)
                .expect("valid");
        let mut memory = TensorMemory::default();
        memory.allocate(32).expect("a valid size").expect("free");
        let row = 0xfedc_ba98_7654_3210u128.to_le_bytes();
        copy.apply(&mut memory, 0, 1 << 46, |_| Ok::<_, ()>(row)).expect("valid operands");
        assert_eq!(memory.read(9, 0), 0x0c08_0400);
    }

    #[test]
    fn shift_moves_rows_of_one_warp() {
        let mut memory = TensorMemory::default();
        memory.allocate(32).expect("a valid size").expect("free");
        (0..128).for_each(|lane| {
            (0..32).for_each(|column| memory.write(lane, column, lane << 8 | column))
        });
        assert_eq!(parse_shift(&["shift", "down", "cta_group::1"]), Ok(1));
        shift(&mut memory, 32 << 16 | 2).expect("valid");
        assert_eq!([memory.read(32, 2), memory.read(62, 9)], [33 << 8 | 2, 63 << 8 | 9]);
        assert_eq!(
            [memory.read(63, 2), memory.read(31, 2), memory.read(40, 10)],
            [63 << 8 | 2, 31 << 8 | 2, 40 << 8 | 10]
        );
        assert!(shift(&mut memory, 16 << 16).is_err() && shift(&mut memory, 28).is_err());
    }

    #[test]
    fn refuses_what_the_isa_does_not_list() {
        for text in [
            "cp.128x128b",
            "cp.cta_group::1.64x128b",
            "cp.cta_group::1.32x128b.warpx2::02_13",
            "cp.cta_group::1.128x128b.warpx4",
            "cp.cta_group::1.128x128b.b8x16",
        ] {
            assert!(
                TensorCopy::parse(&text.split('.').collect::<Vec<_>>(), &ISA).is_err(),
                "{text}"
            );
        }
    }
}
