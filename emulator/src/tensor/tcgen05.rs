//! `tcgen05.mma`: products of matrices in shared and Tensor Memory, one or two CTAs wide.
//!
//! PTX ISA 9.0, 9.7.16.10. D lies in Tensor Memory, one element to a 32-bit column, row by lane:
//! rows 0 to 127 in lanes 0 to 127 (layout D; layout A for the 256 rows of a pair); 64 rows in 16
//! of each partition's 32 lanes (layout F), starting at lane 0 or 16; and for the 128 rows of a
//! pair each CTA's 64 rows in lanes 0 to 63 with the upper half of the columns in lanes 64 to 127
//! (layout B). In a pair, each CTA's shared memory holds its half of the rows of A and of the
//! columns of B. Block scales lie in Tensor Memory, a copy in each partition: the index modulo 32
//! is the lane, its quotient the column, the id and the block the byte. Sparse A, `.ws`, `.ashift`
//! and K = 96 are refused.

mod product;

use product::{Part, Product};

use super::Rules;
use super::descriptor::{SharedMatrix, Tile};
use super::instruction::{Instruction, Kind};
use super::tmem::{TensorMemory, split};
use super::wgmma::Failure;

/// Lane of row `row` of a CTA's part of D: `m` rows in all of its lanes, from lane `base`.
pub fn row_lane(row: u32, m: u32, base: u32) -> u32 {
    if m == 64 { base + row % 16 + 32 * (row / 16) } else { base + row }
}

/// (lane in a partition, column, byte) of the scale of a row or column and a block.
pub fn scale_place(index: u32, id: u32, block: u32) -> (u32, u32, u32) {
    (index % 32, index / 32, id + block)
}

/// A decoded `tcgen05.mma`.
#[derive(Clone, Copy, Debug)]
pub struct TensorMma {
    kind: Kind,
    ctas: usize,
    /// Blocks along k; 0 without block scale.
    vec: usize,
    rules: Rules,
}

/// Operand A.
#[derive(Clone, Copy, Debug)]
pub enum OperandA {
    /// A descriptor of shared memory.
    Shared(u64),
    /// An address in Tensor Memory.
    Tensor(u32),
}

/// The operands of one `tcgen05.mma`.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// `d-tmem`.
    pub d: u32,
    /// `a-desc` or `a-tmem`.
    pub a: OperandA,
    /// `b-desc`.
    pub b: u64,
    /// `idesc`.
    pub instruction: u32,
    /// `scale-A-tmem` and `scale-B-tmem`, of the block-scaled kinds.
    pub scales: Option<[u32; 2]>,
    /// `disable-output-lane`: a set bit keeps a lane; bit 0 of word 0 is lane 0, words 4 to 7 are
    /// the second CTA's.
    pub disabled_lanes: [u32; 8],
    /// `enable-input-d`.
    pub accumulate: bool,
    /// `scale-input-d`: D is divided by two to this power before it is added.
    pub scale_input_d: u32,
}

impl TensorMma {
    /// Parses the qualifiers after `tcgen05`, from `mma` on.
    ///
    /// # Errors
    /// A sentence naming what the ISA does not allow or the emulator does not model.
    pub fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Self, String> {
        let ["mma", group, kind, rest @ ..] = qualifiers else {
            return Err(
                "tcgen05.mma needs .cta_group and .kind (.sp and .ws are not modelled)".into()
            );
        };
        let ctas = match *group {
            "cta_group::1" => 1,
            "cta_group::2" => 2,
            other => return Err(format!("tcgen05.mma needs .cta_group, not .{other}")),
        };
        let kind = kind
            .strip_prefix("kind::")
            .and_then(Kind::parse)
            .ok_or_else(|| format!("tcgen05.mma does not know .{kind}"))?;
        let (scaled, rest) = match rest {
            ["block_scale", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        if scaled != kind.is_scaled() {
            return Err(
                "tcgen05.mma: .block_scale goes with the kinds mxf8f6f4, mxf4 and mxf4nvf4".into(),
            );
        }
        let (size, rest) = match rest {
            [size, rest @ ..] if size.starts_with("scale_vec::") || size.starts_with("block") => {
                (Some(*size), rest)
            }
            rest => (None, rest),
        };
        let vec = match (kind, size) {
            _ if !scaled && size.is_none() => 0,
            (Kind::Mxf8f6f4, None | Some("scale_vec::1X" | "block32")) => 1,
            (Kind::Mxf4, None | Some("scale_vec::2X" | "block32")) => 2,
            (Kind::Mxf4nvf4, Some("scale_vec::2X" | "block32")) => 2,
            (Kind::Mxf4nvf4, Some("scale_vec::4X" | "block16")) => 4,
            _ => return Err("tcgen05.mma: no such scale vector size for this kind".into()),
        };
        // The collector buffer is a cache of A: a correct kernel computes the same without it.
        let collector = [
            "collector::a::fill",
            "collector::a::use",
            "collector::a::lastuse",
            "collector::a::discard",
        ];
        match rest {
            [] => {}
            [usage] if collector.contains(usage) => {}
            _ => return Err(format!("tcgen05.mma does not take .{}", rest.join("."))),
        }
        Ok(Self { kind, ctas, vec, rules: *rules })
    }

    /// 1 or 2: the CTAs whose Tensor Memory takes part.
    pub fn ctas(&self) -> usize {
        self.ctas
    }

    /// The kind, which decides which operands there are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Multiply-adds of one instruction with this descriptor; 0 if it is invalid.
    pub fn multiply_adds(&self, instruction: u32) -> u64 {
        Instruction::decode(instruction, self.kind, self.ctas, &self.rules.instruction)
            .map_or(0, |i| (i.m * i.n * self.kind.k()) as u64)
    }

    /// Computes. `memories` are the Tensor Memories of the CTA, or of both of the pair with the
    /// even one first; `read(cta, address)` returns 16 bytes of a CTA's shared memory.
    ///
    /// # Errors
    /// Bad operands, or what `read` returns.
    pub fn apply<E>(
        &self,
        memories: &mut [&mut TensorMemory],
        operands: &Operands,
        mut read: impl FnMut(usize, u32) -> Result<[u8; 16], E>,
    ) -> Result<(), Failure<E>> {
        let fields = &self.rules.instruction;
        let instruction = Instruction::decode(operands.instruction, self.kind, self.ctas, fields)
            .map_err(Failure::Operand)?;
        self.check(memories, operands, &instruction).map_err(Failure::Operand)?;
        let columns = self.read_b(&instruction, operands.b, &mut read)?;
        for (cta, memory) in memories.iter_mut().enumerate() {
            let part = Part::new(&instruction, self.ctas, operands.d);
            let rows = self.read_a(&part, &instruction, operands.a, memory, |at| read(cta, at))?;
            let product = Product {
                part,
                instruction: &instruction,
                operands,
                disabled_lanes: &operands.disabled_lanes[4 * cta..][..4],
                vec: self.vec,
                k: self.kind.k(),
                rules: &self.rules,
            };
            product.multiply(memory, &rows, &columns);
        }
        Ok(())
    }

    fn check(
        &self,
        memories: &[&mut TensorMemory],
        operands: &Operands,
        instruction: &Instruction,
    ) -> Result<(), String> {
        if memories.len() != self.ctas {
            return Err(format!(
                "tcgen05.mma.cta_group::{} with {} CTAs",
                self.ctas,
                memories.len()
            ));
        }
        if operands.scales.is_some() != self.kind.is_scaled() {
            return Err("tcgen05.mma: scale operands go with .block_scale".into());
        }
        if operands.scale_input_d > 15
            || (operands.scale_input_d > 0 && !matches!(self.kind, Kind::F16 | Kind::Tf32))
        {
            return Err(
                "tcgen05.mma: scale-input-d is 0 to 15, for kind::f16 and kind::tf32".into()
            );
        }
        let part = Part::new(instruction, self.ctas, operands.d);
        let aligned = part.lane == 0 || (part.m == 64 && part.halves == 1 && part.lane == 16);
        if !aligned {
            return Err(format!("tcgen05.mma: D at lane {} (0, or 16 for 64 rows)", part.lane));
        }
        let ids_ok = |id: u32| match self.vec {
            2 => id == 0 || id == 2,
            4 => id == 0,
            _ => true,
        };
        if !ids_ok(instruction.scale_a) || !ids_ok(instruction.scale_b) {
            return Err(
                "tcgen05.mma: scale factor ids are 0 or 2 with two scales a row, 0 with four"
                    .into(),
            );
        }
        // UE4M3 scales are of kind::mxf4nvf4 with four a row (Table 55).
        if (1..4).contains(&self.vec) && !instruction.scale_ue8m0 {
            return Err("tcgen05.mma: this kind and scale vector size take UE8M0 scales".into());
        }
        for memory in memories {
            memory.check(part.column, part.columns as u32)?;
            if let Some([a, b]) = operands.scales {
                memory.check(split(a).1, part.rows.div_ceil(32) as u32)?;
                memory.check(split(b).1, part.columns.div_ceil(32) as u32)?;
            }
        }
        Ok(())
    }

    /// All columns of B, `k` rows of `n`; each CTA holds its share of the columns.
    fn read_b<E>(
        &self,
        instruction: &Instruction,
        descriptor: u64,
        read: &mut impl FnMut(usize, u32) -> Result<[u8; 16], E>,
    ) -> Result<Vec<f64>, Failure<E>> {
        let (n, k) = (instruction.n, self.kind.k());
        let matrix = SharedMatrix::tcgen05(descriptor, &self.rules).map_err(Failure::Operand)?;
        let sign = if instruction.negate_b { -1.0 } else { 1.0 };
        let mut columns = vec![0f64; k * n];
        let share = n / self.ctas;
        for cta in 0..self.ctas {
            let put = |column: usize, at: usize, value: f64| {
                columns[at * n + cta * share + column] = sign * value
            };
            let tile = Tile { mn: 0..share, k, element: instruction.b, major: instruction.major_b };
            matrix
                .read(tile, &self.rules, |address| read(cta, address), put)
                .map_err(Failure::Memory)?;
        }
        Ok(columns)
    }

    /// This CTA's rows of A.
    fn read_a<E>(
        &self,
        part: &Part,
        instruction: &Instruction,
        a: OperandA,
        memory: &TensorMemory,
        read: impl FnMut(u32) -> Result<[u8; 16], E>,
    ) -> Result<Vec<f64>, Failure<E>> {
        let k = self.kind.k();
        let sign = if instruction.negate_a { -1.0 } else { 1.0 };
        let mut rows = vec![0f64; part.rows * k];
        match a {
            OperandA::Shared(descriptor) => {
                let matrix =
                    SharedMatrix::tcgen05(descriptor, &self.rules).map_err(Failure::Operand)?;
                let put = |row: usize, at: usize, value: f64| rows[row * k + at] = sign * value;
                let tile = Tile {
                    mn: 0..part.rows,
                    k,
                    element: instruction.a,
                    major: instruction.major_a,
                };
                matrix.read(tile, &self.rules, read, put).map_err(Failure::Memory)?;
            }
            OperandA::Tensor(address) => {
                let (lane, column) = split(address);
                let per_word = instruction.a.per_register();
                let words = (k / per_word) as u32;
                memory.check(column, words).map_err(Failure::Operand)?;
                if lane != part.lane {
                    return Err(Failure::Operand(format!(
                        "tcgen05.mma: A at lane {lane}, D at lane {}",
                        part.lane
                    )));
                }
                for (row, values) in rows.chunks_exact_mut(k).enumerate() {
                    let lane = (self.rules.row_lane)(row as u32, part.m, lane);
                    for word in 0..words {
                        let put =
                            |e, value: f64| values[word as usize * per_word + e] = sign * value;
                        instruction.a.unpack(memory.read(lane, column + word).into(), put);
                    }
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
