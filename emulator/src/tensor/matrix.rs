//! `ldmatrix`, `stmatrix` and `movmatrix`: 8x8 matrices of 16-bit elements and their 8-, 6- and
//! 4-bit relatives.
//!
//! PTX ISA 9.0, 9.7.14.5.15 to 9.7.14.5.17. Each matrix row is 16 bytes of shared memory at an
//! address of its own, which one lane supplies; the machine fetches it through a closure. The byte
//! forms (`m16n16.trans`, `m8n16`, and `stmatrix.m16n8.trans`) are given as figures only; their
//! maps were read from the figures' description and agree with CUTLASS's `SM100_U8x8_LDSM_T`,
//! `SM100_SU4_DU8x16_x1_LDSM_N` and `SM100_U8x4_STSM_T` (`copy_traits_sm100.hpp`).

use super::{Lanes, Rules};

/// (row, column) of 16-bit element `e` (0 or 1) of a lane's register: a quad holds a row.
pub fn place_b16(lane: usize, element: usize) -> (usize, usize) {
    (lane / 4, 2 * (lane % 4) + element)
}

/// (row, column) of byte `b` of a lane's register in an 8x16 matrix: a quad holds a row.
pub fn place_m8n16(lane: usize, byte: usize) -> (usize, usize) {
    (lane / 4, 4 * (lane % 4) + byte)
}

/// (stored row, stored column) of byte `b` of register `r` of a lane, for a 16x16 matrix loaded
/// transposed.
pub fn place_m16n16(lane: usize, register: usize, byte: usize) -> (usize, usize) {
    (4 * (lane % 4) + byte, lane / 4 + 8 * register)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    M8n8,
    M8n16,
    M16n16,
    M16n8,
}

/// How a 16-byte row is expanded to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Bytes,
    /// `.b6x16_p32`: sixteen 6-bit elements in 12 bytes, each to the low six bits of a byte.
    B6,
    /// `.b4x16_p64`: sixteen 4-bit elements in 8 bytes, each to the central four bits of a byte.
    B4,
}

/// A decoded `ldmatrix` or `stmatrix`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    shape: Shape,
    count: usize,
    trans: bool,
    source: Source,
    rules: Rules,
}

/// A row of a matrix in shared memory.
pub type Row = [u8; 16];

impl Matrix {
    /// Parses the qualifiers after `ldmatrix`.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse_load(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let (shape, count, trans, rest) = head("ldmatrix", qualifiers)?;
        let (shape, source) = match (shape, trans, rest) {
            ("m8n8", _, ["b16"]) => (Shape::M8n8, Source::Bytes),
            ("m16n16", true, ["b8"]) => (Shape::M16n16, Source::Bytes),
            ("m16n16", true, ["b8x16", "b6x16_p32"]) => (Shape::M16n16, Source::B6),
            ("m16n16", true, ["b8x16", "b4x16_p64"]) => (Shape::M16n16, Source::B4),
            ("m8n16", false, ["b8x16", "b6x16_p32"]) => (Shape::M8n16, Source::B6),
            ("m8n16", false, ["b8x16", "b4x16_p64"]) => (Shape::M8n16, Source::B4),
            _ => return Err("ldmatrix: the ISA does not list this shape and type".into()),
        };
        if shape == Shape::M16n16 && count == 4 {
            return Err("ldmatrix.m16n16 takes .x1 or .x2".into());
        }
        Ok(Self { shape, count, trans, source, rules: *rules })
    }

    /// Parses the qualifiers after `stmatrix`.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse_store(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let (shape, count, trans, rest) = head("stmatrix", qualifiers)?;
        let shape = match (shape, trans, rest) {
            ("m8n8", _, ["b16"]) => Shape::M8n8,
            ("m16n8", true, ["b8"]) => Shape::M16n8,
            _ => return Err("stmatrix: the ISA does not list this shape and type".into()),
        };
        Ok(Self { shape, count, trans, source: Source::Bytes, rules: *rules })
    }

    /// 32-bit registers of the register operand.
    pub fn registers(&self) -> usize {
        if self.shape == Shape::M16n16 { 2 * self.count } else { self.count }
    }

    /// Lanes 0 to this one (exclusive) supply row addresses; the others' are ignored.
    pub fn rows(&self) -> usize {
        self.count * self.rows_each()
    }

    fn rows_each(&self) -> usize {
        if self.shape == Shape::M16n16 { 16 } else { 8 }
    }

    /// Loads: `row(lane)` returns the 16 bytes at the address of that lane.
    ///
    /// # Errors
    /// What `row` returns.
    pub fn load<E>(
        &self,
        mut row: impl FnMut(usize) -> Result<Row, E>,
        registers: &mut [Lanes],
    ) -> Result<(), E> {
        for matrix in 0..self.count {
            let mut rows = [[0u8; 16]; 16];
            for (i, slot) in rows.iter_mut().enumerate().take(self.rows_each()) {
                *slot = self.expand(row(matrix * self.rows_each() + i)?);
            }
            for (lane, r, byte) in self.bytes() {
                let (at, column) = self.place(lane, r, byte);
                let register = &mut registers[matrix * self.registers() / self.count + r][lane];
                let kept = if byte == 0 { 0 } else { *register & ((1 << (8 * byte)) - 1) };
                *register = kept | u64::from(rows[at % 16][column % 16]) << (8 * byte);
            }
        }
        Ok(())
    }

    /// Stores: `row(lane, bytes)` writes the 16 bytes at the address of that lane.
    ///
    /// # Errors
    /// What `row` returns.
    pub fn store<E>(
        &self,
        registers: &[Lanes],
        mut row: impl FnMut(usize, Row) -> Result<(), E>,
    ) -> Result<(), E> {
        for (matrix, register) in registers.iter().enumerate().take(self.count) {
            let mut rows = [[0u8; 16]; 8];
            for (lane, r, byte) in self.bytes() {
                let (at, column) = self.place(lane, r, byte);
                rows[at % 8][column % 16] = (register[lane] >> (8 * byte)) as u8;
            }
            for (i, bytes) in rows.into_iter().enumerate() {
                row(8 * matrix + i, bytes)?;
            }
        }
        Ok(())
    }

    /// Lane, register of the matrix and byte of the register, bytes innermost.
    fn bytes(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let each = self.registers() / self.count;
        (0..32).flat_map(move |lane| {
            (0..each).flat_map(move |r| (0..4).map(move |byte| (lane, r, byte)))
        })
    }

    /// Stored row and byte column of a byte of a register.
    fn place(&self, lane: usize, register: usize, byte: usize) -> (usize, usize) {
        match self.shape {
            Shape::M8n8 => {
                let (row, column) = (self.rules.matrix_b16)(lane, byte / 2);
                let (row, column) = if self.trans { (column, row) } else { (row, column) };
                (row, 2 * column + byte % 2)
            }
            Shape::M8n16 => (self.rules.matrix_m8n16)(lane, byte),
            Shape::M16n16 => (self.rules.matrix_m16n16)(lane, register, byte),
            // The register holds a 16x8 matrix like half an accumulator; its columns are the stored
            // rows.
            Shape::M16n8 => (2 * (lane % 4) + byte % 2, lane / 4 + 8 * (byte / 2)),
        }
    }

    fn expand(&self, row: Row) -> Row {
        let word = u128::from_le_bytes(row);
        match self.source {
            Source::Bytes => row,
            Source::B6 => std::array::from_fn(|i| (word >> (6 * i)) as u8 & 0x3f),
            Source::B4 => std::array::from_fn(|i| ((word >> (4 * i)) as u8 & 0xf) << 2),
        }
    }
}

type Head<'q, 'a> = (&'a str, usize, bool, &'q [&'a str]);

fn head<'q, 'a>(name: &str, qualifiers: &'q [&'a str]) -> Result<Head<'q, 'a>, String> {
    let ["sync", "aligned", shape, count, rest @ ..] = qualifiers else {
        return Err(format!("{name} needs .sync.aligned, a shape and a count"));
    };
    let count = match *count {
        "x1" => 1,
        "x2" => 2,
        "x4" => 4,
        other => return Err(format!("{name} does not know .{other}")),
    };
    let (trans, rest) = match rest {
        ["trans", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let rest = match rest {
        ["shared" | "shared::cta", rest @ ..] => rest,
        rest => rest,
    };
    Ok((shape, count, trans, rest))
}

/// `movmatrix.sync.aligned.m8n8.trans.b16`: the transpose of an 8x8 matrix held across a warp.
pub fn transpose(source: &Lanes, rules: &Rules) -> Lanes {
    let mut elements = [[0u64; 8]; 8];
    for (lane, register) in source.iter().enumerate() {
        for e in 0..2 {
            let (row, column) = (rules.matrix_b16)(lane, e);
            elements[row][column] = register >> (16 * e) & 0xffff;
        }
    }
    std::array::from_fn(|lane| {
        let element = |e| {
            let (row, column) = (rules.matrix_b16)(lane, e);
            elements[column][row]
        };
        element(0) | element(1) << 16
    })
}

#[cfg(test)]
mod tests;
