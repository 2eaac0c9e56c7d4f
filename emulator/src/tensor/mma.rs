//! `mma.sync`: the warp-wide matrix product of PTX ISA 9.0, 9.7.14.5.14, for every shape and type
//! but the `m8n8k4` of `f16` (a Volta form).

mod syntax;

use super::element::Element;
use super::scale::{ScaleOperand, ScaleType};
use super::{Lanes, Rules};
use crate::convert::double::compute_f64;
use crate::convert::exact::Operation;
use crate::convert::{Format, Overflow, Rounding};

/// Type of C or D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulator {
    /// Two to a register.
    F16,
    /// One to a register.
    F32,
    /// One to a register.
    F64,
    /// One to a register.
    S32,
}

/// How the bits of a `b1` product are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BitOperation {
    And,
    Xor,
}

/// Block scaling: the scale's type and the number of blocks along k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scaling {
    kind: ScaleType,
    vec: usize,
}

/// A decoded `mma.sync`.
#[derive(Clone, Debug)]
pub struct Mma {
    m: usize,
    k: usize,
    a: Element,
    b: Element,
    c: Accumulator,
    d: Accumulator,
    satfinite: bool,
    rounding: Rounding,
    bits: Option<BitOperation>,
    scaling: Option<Scaling>,
    rules: Rules,
    /// `row * k + k` of each element of A, in the order lane, register, element.
    places_a: Box<[u16]>,
    /// `k * 8 + column` of each element of B, likewise.
    places_b: Box<[u16]>,
    /// `row * 8 + column` of each accumulator element, in the order element, lane.
    places_d: Box<[u8]>,
}

/// The scale operands of a block-scaled `mma`.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    /// Scales of A.
    pub a: ScaleOperand<'a>,
    /// Scales of B.
    pub b: ScaleOperand<'a>,
}

/// Columns of B, C and D in every shape.
const N: usize = 8;

impl Mma {
    /// Parses the qualifiers after `mma`; the shape may stand before or after the kind.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        syntax::parse(qualifiers, rules)
    }

    /// Registers of operand `a` (64-bit ones for `f64`).
    pub fn a_registers(&self) -> usize {
        self.m * self.k / 32 / self.a.per_register()
    }

    /// Registers of operand `b`.
    pub fn b_registers(&self) -> usize {
        N * self.k / 32 / self.b.per_register()
    }

    /// Registers of operand `c`.
    pub fn c_registers(&self) -> usize {
        self.accumulators(self.c)
    }

    /// Registers of operand `d`.
    pub fn d_registers(&self) -> usize {
        self.accumulators(self.d)
    }

    fn accumulators(&self, kind: Accumulator) -> usize {
        self.m * N / 32 / if kind == Accumulator::F16 { 2 } else { 1 }
    }

    /// Whether the instruction has scale operands.
    pub fn is_scaled(&self) -> bool {
        self.scaling.is_some()
    }

    /// Multiply-adds of one instruction.
    pub fn multiply_adds(&self) -> u64 {
        (self.m * N * self.k) as u64
    }

    /// `d = a * b + c` over the registers of a warp.
    ///
    /// # Errors
    /// A wrong number of registers, missing scales, or selectors that the ISA does not list.
    pub fn apply(
        &self,
        a: &[Lanes],
        b: &[Lanes],
        c: &[Lanes],
        scales: Option<Scales>,
        d: &mut [Lanes],
    ) -> Result<(), String> {
        let counts = [a.len(), b.len(), c.len(), d.len()];
        let wanted =
            [self.a_registers(), self.b_registers(), self.c_registers(), self.d_registers()];
        if counts != wanted {
            return Err(format!("mma takes {wanted:?} registers for a, b, c, d, not {counts:?}"));
        }
        // Small buffers for the common shapes: clearing large ones would cost as much as the
        // product.
        if self.k <= 32 {
            self.multiply::<{ 16 * 32 }, { 32 * N }>(a, b, c, scales, d)
        } else {
            self.multiply::<{ 16 * 256 }, { 256 * N }>(a, b, c, scales, d)
        }
    }

    fn multiply<const A: usize, const B: usize>(
        &self,
        a: &[Lanes],
        b: &[Lanes],
        c: &[Lanes],
        scales: Option<Scales>,
        d: &mut [Lanes],
    ) -> Result<(), String> {
        let (mut matrix_a, mut matrix_b) = ([0f64; A], [0f64; B]);
        scatter(a, self.a, &self.places_a, &mut matrix_a);
        scatter(b, self.b, &self.places_b, &mut matrix_b);
        match (self.scaling, scales) {
            (Some(scaling), Some(scales)) => {
                self.scale(scaling, scales, &mut matrix_a, &mut matrix_b)?
            }
            (None, None) => {}
            _ => return Err("block_scale and scale operands go together".into()),
        }
        let (matrix_a, matrix_b) = (&matrix_a[..self.m * self.k], &matrix_b[..self.k * N]);
        if self.a == Element::F64 {
            self.multiply_f64(matrix_a, matrix_b, c, d);
            return Ok(());
        }
        let mut sums = [[0f64; N]; 16];
        for (row, sums) in matrix_a.chunks_exact(self.k).zip(&mut sums) {
            *sums = match self.bits {
                Some(operation) => bit_row(row, matrix_b, operation),
                None => dot_row(row, matrix_b),
            };
        }
        for (at, &place) in self.places_d.iter().enumerate() {
            let (i, lane) = (at / 32, at % 32);
            let sum = sums[usize::from(place) / N][usize::from(place) % N];
            let ((from, low), (to, shift)) = (slot(self.c, i), slot(self.d, i));
            let code = self.finish(sum, c[from][lane] >> low);
            // The lower half of a pair comes first and clears the register.
            let kept = if shift == 0 { 0 } else { d[to][lane] };
            d[to][lane] = kept | code << shift;
        }
        Ok(())
    }

    /// `f64` products are chains of fused multiply-adds along ascending k, starting from C.
    fn multiply_f64(&self, a: &[f64], b: &[f64], c: &[Lanes], d: &mut [Lanes]) {
        for (at, &place) in self.places_d.iter().enumerate() {
            let (i, lane) = (at / 32, at % 32);
            let (m, n) = (usize::from(place) / N, usize::from(place) % N);
            let start = f64::from_bits(c[i][lane]);
            let fma = |sum, k: usize| {
                compute_f64(Operation::Fma, [a[m * self.k + k], b[k * N + n], sum], self.rounding)
            };
            d[i][lane] = (0..self.k).fold(start, fma).to_bits();
        }
    }

    /// Adds the accumulator to an exact sum of products and rounds.
    fn finish(&self, sum: f64, c: u64) -> u64 {
        let total = match self.c {
            Accumulator::S32 => {
                let exact = sum as i64 + i64::from(c as u32 as i32);
                let kept = if self.satfinite {
                    exact.clamp(i32::MIN.into(), i32::MAX.into())
                } else {
                    exact
                };
                return u64::from(kept as u32);
            }
            Accumulator::F16 => sum + Element::F16.value(c),
            _ => sum + f64::from(f32::from_bits(c as u32)),
        };
        match self.d {
            Accumulator::F16 => {
                Format::F16.encode(total, Rounding::NearestEven, Overflow::Infinity).into()
            }
            _ => f32_code(total),
        }
    }

    /// Multiplies the operands by their block scales; the products stay exact.
    fn scale(
        &self,
        scaling: Scaling,
        scales: Scales,
        a: &mut [f64],
        b: &mut [f64],
    ) -> Result<(), String> {
        scales.a.check(scaling.vec, 2, 'a')?;
        scales.b.check(scaling.vec, 4, 'b')?;
        let size = self.k / scaling.vec;
        for block in 0..scaling.vec {
            for m in 0..self.m {
                let factor = scales.a.value(self.rules.scale_a, scaling.kind, m, block);
                a[m * self.k + block * size..][..size].iter_mut().for_each(|x| *x *= factor);
            }
            for n in 0..N {
                let factor = scales.b.value(self.rules.scale_b, scaling.kind, n, block);
                (block * size..(block + 1) * size).for_each(|k| b[k * N + n] *= factor);
            }
        }
        Ok(())
    }
}

/// The code of the nearest `f32`; NaN becomes PTX's canonical one.
pub(super) fn f32_code(value: f64) -> u64 {
    if value.is_nan() { 0x7fff_ffff } else { (value as f32).to_bits().into() }
}

/// Register and bit offset of accumulator element `i`.
fn slot(kind: Accumulator, i: usize) -> (usize, usize) {
    if kind == Accumulator::F16 { (i / 2, 16 * (i % 2)) } else { (i, 0) }
}

/// Puts each element of a fragment at its place in the matrix.
fn scatter(registers: &[Lanes], element: Element, places: &[u16], matrix: &mut [f64]) {
    let n = element.per_register();
    for (r, register) in registers.iter().enumerate() {
        for (lane, &word) in register.iter().enumerate() {
            let places = &places[(lane * registers.len() + r) * n..][..n];
            element.unpack(word, |e, value| matrix[usize::from(places[e])] = value);
        }
    }
}

/// One row of A times B, exact products summed along ascending k.
fn dot_row(row: &[f64], b: &[f64]) -> [f64; N] {
    let mut sums = [0f64; N];
    for (&x, column) in row.iter().zip(b.chunks_exact(N)) {
        for (sum, &y) in sums.iter_mut().zip(column) {
            *sum += x * y;
        }
    }
    sums
}

fn bit_row(row: &[f64], b: &[f64], operation: BitOperation) -> [f64; N] {
    std::array::from_fn(|n| {
        let hits = (0..row.len()).filter(|&k| match operation {
            BitOperation::And => row[k] * b[k * N + n] != 0.0,
            BitOperation::Xor => row[k] != b[k * N + n],
        });
        hits.count() as f64
    })
}

#[cfg(test)]
mod tests;
