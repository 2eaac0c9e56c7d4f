//! Which loop shows the peak of a format on an architecture.

use crate::cuda::kernels::{self, Build, Kernel};
use crate::number::Format;

/// Threads of a block of every loop.
pub const THREADS: usize = 256;
/// Times that the operands are multiplied before the sums start anew, on real devices.
pub const TURNS: u32 = 32;
/// The same on the emulated device.
pub const EMULATED_TURNS: u32 = 2;

/// The kind of tensor instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Of a warp, operands in registers.
    Mma,
    /// Of a warpgroup, operands in shared memory.
    Wgmma,
}

/// One loop: a kind of instruction on operands of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loop {
    /// Format of both operands.
    pub format: Format,
    /// Kind of instruction.
    pub instruction: Instruction,
}

impl Loop {
    /// The loop that shows the most of what `architecture` can do in `format`.
    ///
    /// # Errors
    /// Why there is none, as the record says it.
    pub fn best(format: Format, architecture: &str) -> Result<Self, String> {
        let instruction = match (format, architecture) {
            (Format::Bf16 | Format::Int8 | Format::Fp8E4m3, "sm_90a") => Instruction::Wgmma,
            (_, "sm_100a" | "sm_103a") => {
                return Err(format!(
                    "the full rate of {architecture} needs tcgen05, for which there is no loop yet"
                ));
            }
            _ => Instruction::Mma,
        };
        let best = Self { format, instruction };
        best.native(architecture).then_some(best).ok_or_else(|| {
            format!("no native {} tensor instruction on {architecture}", format.name())
        })
    }

    /// The loop of warp instructions where it is not the best one: what kernels written with `mma.sync` can reach there.
    pub fn warps(format: Format, architecture: &str) -> Option<Self> {
        let warps = Self { format, instruction: Instruction::Mma };
        (warps.native(architecture) && Self::best(format, architecture) != Ok(warps))
            .then_some(warps)
    }

    /// Whether the chip has a unit for this instruction. On sm_90 and sm_100 `mma.sync` of fp8 assembles, to
    /// conversions and f16 products.
    fn native(self, architecture: &str) -> bool {
        let ampere = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_103a", "sm_120a"];
        match (self.instruction, self.format) {
            (Instruction::Wgmma, _) => architecture == "sm_90a",
            (_, Format::Bf16 | Format::Int8) => ampere.contains(&architecture),
            (_, Format::Fp8E4m3) => ["sm_89", "sm_120a"].contains(&architecture),
            (_, Format::Mxfp4) => architecture == "sm_120a",
            (_, Format::Fp8E5m2) => false,
        }
    }

    /// The kernel, with `turns` compiled in.
    pub fn build(self, turns: u32) -> Build {
        self.kernel().with([("TURNS", turns)])
    }

    fn kernel(self) -> Kernel {
        match (self.instruction, self.format) {
            (Instruction::Mma, Format::Bf16) => kernels::PEAK_BF16,
            (Instruction::Mma, Format::Int8) => kernels::PEAK_INT8,
            (Instruction::Mma, Format::Mxfp4) => kernels::PEAK_MXFP4,
            (Instruction::Mma, _) => kernels::PEAK_FP8,
            (Instruction::Wgmma, Format::Bf16) => kernels::PEAK_BF16_WGMMA,
            (Instruction::Wgmma, Format::Int8) => kernels::PEAK_INT8_WGMMA,
            (Instruction::Wgmma, _) => kernels::PEAK_FP8_WGMMA,
        }
    }

    /// Name of the instruction as in PTX.
    pub const fn mnemonic(self) -> &'static str {
        match (self.instruction, self.format) {
            (Instruction::Mma, Format::Mxfp4) => "mma.sync.mxf4",
            (Instruction::Mma, _) => "mma.sync",
            (Instruction::Wgmma, _) => "wgmma",
        }
    }

    /// Sums of one thread.
    pub const fn sums(self) -> usize {
        match self.instruction {
            Instruction::Mma => 32,
            Instruction::Wgmma => 128,
        }
    }

    /// Bytes of k of an operand's row.
    pub const fn row_bytes(self) -> usize {
        match self.instruction {
            Instruction::Mma => 32,
            Instruction::Wgmma => 128,
        }
    }

    /// Elements of k of an operand's row.
    pub const fn k(self) -> usize {
        self.row_bytes() * 8 / self.format.element_bits()
    }

    /// Instructions that add to one sum in one turn.
    pub const fn steps(self) -> usize {
        self.row_bytes() / 32
    }

    /// Blocks on one multiprocessor: `__launch_bounds__` of the kernels.
    pub const fn blocks_per_multiprocessor(self) -> u32 {
        match self.instruction {
            Instruction::Mma => 2,
            Instruction::Wgmma => 1,
        }
    }

    /// Operations of one block in one turn.
    pub const fn operations(self) -> u64 {
        (THREADS * self.sums() * self.k() * 2) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_loop_of_each_architecture() {
        let best = |format, architecture| Loop::best(format, architecture).map(Loop::mnemonic);
        assert_eq!(best(Format::Bf16, "sm_80"), Ok("mma.sync"));
        assert_eq!(best(Format::Bf16, "sm_90a"), Ok("wgmma"));
        assert_eq!(best(Format::Fp8E4m3, "sm_89"), Ok("mma.sync"));
        assert_eq!(best(Format::Mxfp4, "sm_120a"), Ok("mma.sync.mxf4"));
        for (format, architecture) in
            [(Format::Fp8E4m3, "sm_86"), (Format::Mxfp4, "sm_90a"), (Format::Mxfp4, "sm_89")]
        {
            assert!(best(format, architecture).expect_err("none").contains("no native"));
        }
        assert!(best(Format::Bf16, "sm_100a").expect_err("none").contains("tcgen05"));
    }

    #[test]
    fn warp_instructions_are_a_second_loop_only_where_there_is_a_better_one() {
        assert_eq!(Loop::warps(Format::Bf16, "sm_80"), None);
        assert!(Loop::warps(Format::Bf16, "sm_90a").is_some());
        assert!(Loop::warps(Format::Int8, "sm_100a").is_some());
        assert_eq!(Loop::warps(Format::Fp8E4m3, "sm_90a"), None, "f16 in disguise");
    }

    #[test]
    fn operations_of_a_turn() {
        // 8 warps x 8 instructions of 16 x 8 x 16; 2 warpgroups x 4 of 64 x 256 x 32.
        let of = |instruction, format| Loop { format, instruction }.operations();
        assert_eq!(of(Instruction::Mma, Format::Bf16), 8 * 8 * 16 * 8 * 16 * 2);
        assert_eq!(of(Instruction::Mma, Format::Mxfp4), 8 * 8 * 16 * 8 * 64 * 2);
        assert_eq!(of(Instruction::Wgmma, Format::Int8), 2 * 4 * 64 * 256 * 32 * 2);
    }
}
