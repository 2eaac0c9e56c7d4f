//! Which attention must have a kernel on which architecture, and that each plan compiles to the instruction that it
//! names, in PTX and in machine code, with all sums in registers.

mod cubin;

use cubin::audit;
use hostdyno::cuda::attention::{Chip, Plan};
use hostdyno::cuda::nvrtc::{self, Compiled};
use hostdyno::number::Format;
use hostdyno::workload::{Attention, DEEPSEEK_R1, GPT_OSS_120B, LLAMA_3_1_70B};

/// Multiprocessors and KiB of shared memory a block, of one chip of each architecture.
const CHIPS: [(&str, u32, usize); 6] = [
    ("sm_80", 108, 163),
    ("sm_86", 84, 99),
    ("sm_89", 142, 99),
    ("sm_90a", 132, 227),
    ("sm_100a", 148, 227),
    ("sm_120a", 188, 99),
];
/// The product that every kernel uses so far, in PTX and in machine code.
const PRODUCT: (&str, &str) =
    ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "HMMA.16816.F32.BF16");

/// Compiles `problem` on every architecture; its main loop has at least the density that is told for it.
fn compile(problem: Attention, format: Format, densities: &[(&str, f64)]) {
    for (architecture, multiprocessors, shared) in CHIPS {
        let chip = Chip { architecture, multiprocessors, shared_bytes: shared << 10 };
        let name = format!("{problem} in {format} on {architecture}");
        let plan = Plan::new(&problem, format, chip).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(plan.shared_bytes as usize <= chip.shared_bytes, "{name}");
        let compiled = nvrtc::compile(&plan.build, architecture);
        let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(ptx.contains(PRODUCT.0) && ptx.contains("cp.async.cg"), "{name}");
        let blocks = plan.build.constants.iter().find(|(constant, _)| *constant == "BLOCKS");
        let main = audit(&cubin, plan.threads * blocks.map_or(1, |(_, blocks)| *blocks), &name);
        assert!(main.is_all(PRODUCT.1), "{name}: {main:?}");
        let least = densities.iter().find(|(of, _)| *of == architecture).map_or(0.0, |(_, d)| *d);
        assert!(main.density() >= least, "{name}: {main:?} is less dense than {least}");
    }
}

#[test]
fn decode_compiles_without_spilling() {
    for problem in [LLAMA_3_1_70B.decode(8192), GPT_OSS_120B.decode(8192)] {
        for format in Format::MAIN {
            compile(problem, format, &[]);
        }
    }
}

#[test]
fn latent_decode_compiles_without_spilling() {
    for format in Format::MAIN {
        compile(DEEPSEEK_R1.decode(8192), format, &[]);
    }
}

#[test]
fn prefill_compiles_without_spilling() {
    // What Triton 3.9 reaches for the same dimensions, taken with the same method.
    let triton = [("sm_80", 0.28), ("sm_86", 0.28), ("sm_89", 0.28), ("sm_120a", 0.29)];
    compile(LLAMA_3_1_70B.prefill(1024, 1024), Format::Bf16, &triton);
    compile(GPT_OSS_120B.prefill(1024, 1024), Format::Bf16, &[]);
    compile(DEEPSEEK_R1.prefill(1024, 1024), Format::Bf16, &triton);
}
