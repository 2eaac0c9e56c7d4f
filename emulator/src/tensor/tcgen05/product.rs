//! One CTA's part of a `tcgen05.mma`: scales, the product itself, and the write to Tensor Memory.

use super::Operands;
use crate::convert::{Format, Overflow, Rounding};
use crate::tensor::Rules;
use crate::tensor::element::Element;
use crate::tensor::instruction::Instruction;
use crate::tensor::mma::{Accumulator, f32_code};
use crate::tensor::scale::ScaleType;
use crate::tensor::tmem::{TensorMemory, split};

/// One CTA's part of D.
pub(super) struct Part {
    /// Rows it computes.
    pub rows: usize,
    /// Rows as the lane rule counts them.
    pub m: u32,
    /// Column halves that lie in different lanes.
    pub halves: usize,
    /// Columns in each half.
    pub columns: usize,
    /// First lane and column.
    pub lane: u32,
    pub column: u32,
}

impl Part {
    pub(super) fn new(instruction: &Instruction, ctas: usize, d: u32) -> Self {
        let (lane, column) = split(d);
        let rows = instruction.m / ctas;
        // Layout B: 64 rows of each CTA of a pair, in consecutive lanes.
        let halves = if ctas == 2 && instruction.m == 128 { 2 } else { 1 };
        let m = if halves == 2 { 128 } else { rows as u32 };
        Self { rows, m, halves, columns: instruction.n / halves, lane, column }
    }
}

fn finish(instruction: &Instruction, sum: f64, previous: Option<u32>, scale_input_d: u32) -> u32 {
    let shrink = |x: f64| x * 0.5f64.powi(scale_input_d as i32);
    match instruction.d {
        Accumulator::S32 => {
            let exact = sum as i64 + previous.map_or(0, |c| i64::from(c as i32));
            let kept = if instruction.saturate {
                exact.clamp(i32::MIN.into(), i32::MAX.into())
            } else {
                exact
            };
            kept as u32
        }
        Accumulator::F16 => {
            let total = sum + previous.map_or(0.0, |c| shrink(Element::F16.value(c.into())));
            Format::F16.encode(total, Rounding::NearestEven, Overflow::Infinity)
        }
        _ => f32_code(sum + previous.map_or(0.0, |c| shrink(f32::from_bits(c).into()))) as u32,
    }
}

/// The product of one CTA's rows of A with all columns of B.
pub(super) struct Product<'a> {
    pub part: Part,
    pub instruction: &'a Instruction,
    pub operands: &'a Operands,
    /// One word a partition.
    pub disabled_lanes: &'a [u32],
    /// Scale blocks along k.
    pub vec: usize,
    pub k: usize,
    pub rules: &'a Rules,
}

impl Product<'_> {
    /// Computes `rows` (k to a row) times `columns` (k rows of n) into the part of D.
    pub(super) fn multiply(&self, memory: &mut TensorMemory, rows: &[f64], columns: &[f64]) {
        let Self { part, instruction, operands, k, vec, .. } = self;
        let (k, n) = (*k, instruction.n);
        let scales = operands.scales.map(|[a, b]| {
            [self.scales(a, instruction.scale_a), self.scales(b, instruction.scale_b)]
        });
        let mut scaled = columns.to_vec();
        let (mut row, mut sums) = (vec![0f64; k], vec![0f64; part.columns]);
        let mut partition = u32::MAX;
        for (half, index) in (0..part.halves).flat_map(|h| (0..part.rows).map(move |i| (h, i))) {
            let lane = (self.rules.row_lane)(index as u32, part.m, part.lane) + 64 * half as u32;
            if self.disabled_lanes[lane as usize / 32 % 4] >> (lane % 32) & 1 == 1 {
                continue;
            }
            row.copy_from_slice(&rows[index * k..][..k]);
            if let Some([scale_a, scale_b]) = &scales {
                // The scales of B are those of the lane's partition.
                if lane / 32 != partition {
                    partition = lane / 32;
                    for (at, value) in scaled.iter_mut().enumerate() {
                        let (block, column) = (at / n * vec / k, at % n % part.columns);
                        *value = columns[at] * scale_b.value(memory, lane, column, block);
                    }
                }
                for (at, value) in row.iter_mut().enumerate() {
                    *value *= scale_a.value(memory, lane, index, at * vec / k);
                }
            }
            sums.fill(0.0);
            let start = half * part.columns;
            for (&x, b) in row.iter().zip(scaled.chunks_exact(n)) {
                sums.iter_mut().zip(&b[start..]).for_each(|(sum, y)| *sum += x * y);
            }
            for (column, &sum) in (part.column..).zip(&sums) {
                let previous = operands.accumulate.then(|| memory.read(lane, column));
                let word = finish(instruction, sum, previous, operands.scale_input_d);
                memory.write(lane, column, word);
            }
        }
    }

    fn scales(&self, address: u32, id: u32) -> Scales {
        let ue8m0 = self.instruction.scale_ue8m0;
        let kind = if ue8m0 { ScaleType::Ue8m0 } else { ScaleType::Ue4m3 };
        Scales { address, id, kind, place: self.rules.tensor_scale }
    }
}

/// The scales of one operand in Tensor Memory.
struct Scales {
    address: u32,
    id: u32,
    kind: ScaleType,
    place: fn(u32, u32, u32) -> (u32, u32, u32),
}

impl Scales {
    /// The scale of a row or column and a block, from the copy in the partition of `lane`.
    fn value(&self, memory: &TensorMemory, lane: u32, index: usize, block: usize) -> f64 {
        let (base_lane, base_column) = split(self.address);
        let (row, column, byte) = (self.place)(index as u32, self.id, block as u32);
        let word = memory.read(base_lane + lane / 32 * 32 + row, base_column + column);
        self.kind.value((word >> (8 * (byte % 4))) as u8)
    }
}
