//! Which GEMM kernel must exist for which format and architecture, and that each of its tiles compiles to the instruction
//! that it names, with all sums in registers.

mod cubin;

use cubin::stack_bytes;
use hostdyno::cuda::gemm::{Mma, Path};
use hostdyno::cuda::nvrtc::{self, Compiled};
use hostdyno::number::Format;
use hostdyno::workload::Gemm;

/// The instruction in PTX, or `None` where the chip has none for the format.
const TABLE: [(&str, [Option<&str>; 4]); 6] = [
    ("sm_80", [Some(BF16), Some(INT8), None, None]),
    ("sm_86", [Some(BF16), Some(INT8), None, None]),
    ("sm_89", [Some(BF16), Some(INT8), Some(FP8), None]),
    ("sm_90a", [Some(BF16), Some(INT8), None, None]),
    ("sm_100a", [Some(BF16), Some(INT8), None, None]),
    ("sm_120a", [Some(BF16), Some(INT8), Some(FP8), Some(MXFP4)]),
];
const BF16: &str = "m16n8k16.row.col.f32.bf16.bf16.f32";
const INT8: &str = "m16n8k32.row.col.s32.s8.s8.s32";
const FP8: &str = "m16n8k32.row.col.f32.e4m3.e4m3.f32";
const MXFP4: &str = "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0";

/// Compiles every candidate for `few` or many rows; of sm_86 and sm_100a, whose instructions are those of a sibling, the
/// first.
fn compile(few: bool) {
    for (architecture, instructions) in TABLE {
        for (format, instruction) in Format::MAIN.into_iter().zip(instructions) {
            let problem = Gemm::new(if few { 16 } else { 4096 }, 4096, 4096);
            let candidates = Mma::candidates(architecture, 108, problem, format);
            let Some(instruction) = instruction else {
                assert!(candidates.is_err(), "{architecture} has no {format}");
                continue;
            };
            let mut tiles: Vec<_> = candidates
                .expect("listed")
                .into_iter()
                .map(|mma| Mma { parts: 1, ..mma })
                .collect();
            tiles.dedup();
            assert!(tiles.len() >= 2, "{architecture} {format}");
            if matches!(architecture, "sm_86" | "sm_100a") {
                tiles.truncate(1);
            }
            for mma in tiles {
                let compiled = nvrtc::compile(&mma.tile.build(format), architecture);
                let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
                let name = format!("{} on {architecture}", mma.name());
                assert!(ptx.contains(&format!("mma.sync.aligned.{instruction}")), "{name}");
                assert!(ptx.contains("ldmatrix") && ptx.contains("cp.async.cg"), "{name}");
                assert_eq!(stack_bytes(&cubin), 0, "{name} spills");
            }
        }
    }
}

#[test]
fn tiles_for_many_rows_compile_without_spilling() {
    compile(false);
}

#[test]
fn tiles_for_few_rows_compile_without_spilling() {
    compile(true);
}
