//! Which attention must have a kernel on which architecture, and that each plan compiles to the instruction that it
//! names, with all sums in registers.

mod cubin;

use cubin::stack_bytes;
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
/// The product that every kernel uses so far.
const PRODUCT: &str = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32";

/// Compiles `problem` on every architecture. `spills`: where how many bytes may lie in local memory.
fn compile(problem: Attention, format: Format, spills: &[(&str, u32)]) {
    for (architecture, multiprocessors, shared) in CHIPS {
        let chip = Chip { architecture, multiprocessors, shared_bytes: shared << 10 };
        let name = format!("{problem} in {format} on {architecture}");
        let plan = Plan::new(&problem, format, chip).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(plan.shared_bytes as usize <= chip.shared_bytes, "{name}");
        let compiled = nvrtc::compile(&plan.build, architecture);
        let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(ptx.contains(PRODUCT) && ptx.contains("cp.async.cg"), "{name}");
        let known = spills.iter().find(|(of, _)| *of == architecture).map_or(0, |(_, n)| *n);
        assert!(stack_bytes(&cubin) <= known, "{name} spills {}", stack_bytes(&cubin));
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
    // The tile that is fastest on an H100 spills 16 bytes a thread on sm_100a, which the plan accepts.
    compile(LLAMA_3_1_70B.prefill(1024, 1024), Format::Bf16, &[("sm_100a", 16)]);
    compile(GPT_OSS_120B.prefill(1024, 1024), Format::Bf16, &[]);
    compile(DEEPSEEK_R1.prefill(1024, 1024), Format::Bf16, &[]);
}
