//! `wgmma.mma_async`: the product of a warpgroup, computed for one of its four warps at a time.
//!
//! PTX ISA 9.0, 9.7.15.5. Warp `w` of the group holds rows `16 w` to `16 w + 15` of A (in
//! registers) and of D: each as an `m16n8` fragment of `mma.sync`, D repeated along N. A warp
//! therefore needs nothing of the others, and the machine may run the four in any order. When the
//! result becomes visible is the machine's business.

use super::descriptor::{Major, SharedMatrix, Tile};
use super::element::Element;
use super::mma::{Accumulator, f32_code};
use super::{Lanes, Rules};
use crate::convert::{Format, Overflow, Rounding};

/// A decoded `wgmma.mma_async`.
#[derive(Clone, Copy, Debug)]
pub struct Wgmma {
    n: usize,
    k: usize,
    a: Element,
    b: Element,
    d: Accumulator,
    satfinite: bool,
    rules: Rules,
}

/// The immediates and the predicate of one `wgmma.mma_async`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `scale-d`: whether D is added to.
    pub accumulate: bool,
    /// `imm-scale-a` is -1.
    pub negate_a: bool,
    /// `imm-scale-b` is -1.
    pub negate_b: bool,
    /// `imm-trans-a`: A is M-major in shared memory.
    pub transpose_a: bool,
    /// `imm-trans-b`: B is N-major.
    pub transpose_b: bool,
}

/// Operand A.
#[derive(Clone, Copy, Debug)]
pub enum OperandA<'a> {
    /// Four registers of this warp.
    Registers(&'a [Lanes]),
    /// `a-desc`.
    Descriptor(u64),
}

/// A failed operation: what the operands break, or what the memory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// An operand the ISA does not allow.
    Operand(String),
    /// Shared memory could not be read.
    Memory(E),
}

/// Rows of a warp.
const ROWS: usize = 16;

impl Wgmma {
    /// Parses the qualifiers after `wgmma`, from `mma_async` on.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow.
    pub fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let ["mma_async", "sync", "aligned", shape, rest @ ..] = qualifiers else {
            return Err(
                "wgmma.mma_async needs .sync.aligned and a shape (.sp is not modelled)".into()
            );
        };
        let (satfinite, rest) = match rest {
            ["satfinite", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [d, a, b, rest @ ..] = rest else {
            return Err("wgmma.mma_async needs the types of d, a and b".into());
        };
        let (n, k) = shape
            .strip_prefix("m64n")
            .and_then(|text| text.split_once('k'))
            .and_then(|(n, k)| Some((n.parse::<usize>().ok()?, k.parse::<usize>().ok()?)))
            .ok_or_else(|| format!("wgmma does not know the shape .{shape}"))?;
        let element = |name: &str| {
            Element::parse(name).ok_or_else(|| format!("wgmma does not multiply .{name}"))
        };
        let (a, b) = (element(a)?, element(b)?);
        let fp8 = |x| matches!(x, Element::E4m3 | Element::E5m2);
        let bytes = |x| matches!(x, Element::S8 | Element::U8);
        let (d, listed) = match (*d, a, b) {
            ("f16", Element::F16, Element::F16) => (Accumulator::F16, k == 16),
            ("f32", Element::F16, Element::F16) | ("f32", Element::Bf16, Element::Bf16) => {
                (Accumulator::F32, k == 16)
            }
            ("f32", Element::Tf32, Element::Tf32) => (Accumulator::F32, k == 8),
            ("f16", a, b) if fp8(a) && fp8(b) => (Accumulator::F16, k == 32),
            ("f32", a, b) if fp8(a) && fp8(b) => (Accumulator::F32, k == 32),
            ("s32", a, b) if bytes(a) && bytes(b) => (Accumulator::S32, k == 32),
            ("s32", Element::B1, Element::B1) => {
                (Accumulator::S32, k == 256 && *rest == ["and", "popc"])
            }
            _ => return Err("wgmma: the ISA does not list these types".into()),
        };
        let rest_ok = rest.is_empty() || a == Element::B1;
        let wide = n.is_multiple_of(8) && (8..=256).contains(&n);
        // Integer shapes go in steps of 16 above 32.
        let n_ok = wide && (d != Accumulator::S32 || n <= 32 && n != 40 || n.is_multiple_of(16));
        if !listed || !rest_ok || !n_ok || (satfinite && !bytes(a)) {
            return Err(format!("wgmma: the ISA does not list .{shape} for these types"));
        }
        Ok(Self { n, k, a, b, d, satfinite, rules: *rules })
    }

    /// Registers of D in each thread.
    pub fn d_registers(&self) -> usize {
        self.n / if self.d == Accumulator::F16 { 4 } else { 2 }
    }

    /// Registers of A in each thread, where A is in registers.
    pub fn a_registers(&self) -> usize {
        4
    }

    /// Whether `imm-trans-b` (and, with a descriptor, `imm-trans-a`) operands are there: for `f16`
    /// and `bf16`.
    pub fn has_transpose(&self) -> bool {
        matches!(self.a, Element::F16 | Element::Bf16)
    }

    /// Whether `imm-scale-a` and `imm-scale-b` operands are there: for floating-point types.
    pub fn has_negate(&self) -> bool {
        !self.a.is_integer()
    }

    /// Multiply-adds of the whole warpgroup.
    pub fn multiply_adds(&self) -> u64 {
        (64 * self.n * self.k) as u64
    }

    /// Computes the 16 rows of `warp` (0 to 3 in its group): `d = a * b (+ d)`. `read(address)`
    /// returns 16 bytes of shared memory at an address of the CTA's window.
    ///
    /// # Errors
    /// Bad operands, or what `read` returns.
    pub fn apply<E>(
        &self,
        warp: usize,
        a: OperandA,
        b_descriptor: u64,
        options: Options,
        d: &mut [Lanes],
        mut read: impl FnMut(u32) -> Result<[u8; 16], E>,
    ) -> Result<(), Failure<E>> {
        if d.len() != self.d_registers() {
            let message =
                format!("wgmma takes {} registers for d, not {}", self.d_registers(), d.len());
            return Err(Failure::Operand(message));
        }
        let (n, k) = (self.n, self.k);
        let mut rows = vec![0f64; ROWS * k];
        match a {
            OperandA::Registers(registers) => {
                self.read_fragment(registers, &mut rows).map_err(Failure::Operand)?
            }
            OperandA::Descriptor(descriptor) => {
                let matrix =
                    SharedMatrix::wgmma(descriptor, &self.rules).map_err(Failure::Operand)?;
                let put = |m: usize, at: usize, value| rows[m * k + at] = value;
                let mn = ROWS * warp..ROWS * (warp + 1);
                let tile = Tile { mn, k, element: self.a, major: major(options.transpose_a) };
                matrix.read(tile, &self.rules, &mut read, put).map_err(Failure::Memory)?;
            }
        }
        let mut columns = vec![0f64; k * n];
        let matrix = SharedMatrix::wgmma(b_descriptor, &self.rules).map_err(Failure::Operand)?;
        let put = |column: usize, at: usize, value| columns[at * n + column] = value;
        let tile = Tile { mn: 0..n, k, element: self.b, major: major(options.transpose_b) };
        matrix.read(tile, &self.rules, &mut read, put).map_err(Failure::Memory)?;

        let negate = options.negate_a != options.negate_b;
        let mut sums = vec![0f64; ROWS * n];
        for (row, sums) in rows.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
            dot_row(row, &columns, sums);
            if negate {
                sums.iter_mut().for_each(|x| *x = -*x);
            }
        }
        for tile in 0..n / 8 {
            for (lane, i) in (0..32).flat_map(|lane| (0..4).map(move |i| (lane, i))) {
                let (row, column) = (self.rules.accumulator)(lane, i);
                let sum = sums[row % ROWS * n + tile * 8 + column % 8];
                let at = tile * 4 + i;
                let (register, shift) =
                    if self.d == Accumulator::F16 { (at / 2, at % 2 * 16) } else { (at, 0) };
                let slot = &mut d[register][lane];
                let code = self.finish(sum, options.accumulate.then_some(*slot >> shift));
                let kept =
                    if self.d == Accumulator::F16 { *slot & (0xffff_0000 >> shift) } else { 0 };
                *slot = kept | code << shift;
            }
        }
        Ok(())
    }

    fn read_fragment(&self, registers: &[Lanes], rows: &mut [f64]) -> Result<(), String> {
        if registers.len() != self.a_registers() {
            return Err(format!("wgmma takes 4 registers for a, not {}", registers.len()));
        }
        let per_register = self.a.per_register();
        for (r, register) in registers.iter().enumerate() {
            for (lane, &word) in register.iter().enumerate() {
                self.a.unpack(word, |e, value| {
                    let (row, k) = (self.rules.fragment_a)(lane, r, e, per_register);
                    rows[row % ROWS * self.k + k % self.k] = value;
                });
            }
        }
        Ok(())
    }

    fn finish(&self, sum: f64, accumulator: Option<u64>) -> u64 {
        match self.d {
            Accumulator::S32 => {
                let exact = sum as i64 + accumulator.map_or(0, |c| i64::from(c as u32 as i32));
                let kept = if self.satfinite {
                    exact.clamp(i32::MIN.into(), i32::MAX.into())
                } else {
                    exact
                };
                u64::from(kept as u32)
            }
            Accumulator::F16 => {
                let total = sum + accumulator.map_or(0.0, |c| Element::F16.value(c));
                Format::F16.encode(total, Rounding::NearestEven, Overflow::Infinity).into()
            }
            _ => f32_code(sum + accumulator.map_or(0.0, |c| f32::from_bits(c as u32).into())),
        }
    }
}

fn major(transposed: bool) -> Major {
    if transposed { Major::Mn } else { Major::K }
}

/// One row of A times B (k rows of `sums.len()` columns), exact products summed along ascending k.
fn dot_row(row: &[f64], b: &[f64], sums: &mut [f64]) {
    for (&x, column) in row.iter().zip(b.chunks_exact(sums.len())) {
        for (sum, &y) in sums.iter_mut().zip(column) {
            *sum += x * y;
        }
    }
}

#[cfg(test)]
mod tests;
