//! Which GEMM kernel must exist for which format and architecture, and that each of its tiles compiles to the instruction
//! that it names, in PTX and in machine code, with all sums in registers and little else in its main loop.

mod cubin;

use cubin::audit;
use hostdyno::cuda::gemm::{Dequant, Mma, Numbers, Path};
use hostdyno::cuda::nvrtc::{self, Compiled};
use hostdyno::number::Format;
use hostdyno::workload::Gemm;

/// The instruction, and tensor instructions over all instructions in the main loop of the best 128 x 128 tile at least;
/// `None` where the chip has no instruction for the format.
///
/// The densities are those of other kernels for such a tile, taken with the same method: of Triton 3.9, and for fp8 on
/// sm_89 and mxfp4 of CUTLASS; mxfp8 is held to mxfp4's, whose scales it has. Int8 of Triton on sm_80, and fp8 of Triton on sm_89, spill (0.08): there the bf16 kernel's
/// is asked for, since both multiply as many bytes an instruction.
const TABLE: [(&str, [Expected; 5]); 6] = [
    ("sm_80", [Some((BF16, 0.45)), Some((INT8, 0.45)), None, None, None]),
    ("sm_86", [Some((BF16, 0.45)), Some((INT8, 0.45)), None, None, None]),
    ("sm_89", [Some((BF16, 0.45)), Some((INT8, 0.45)), Some((FP8, 0.31)), None, None]),
    ("sm_90a", [Some((BF16, 0.45)), Some((INT8, 0.45)), None, None, None]),
    ("sm_100a", [Some((BF16, 0.45)), Some((INT8, 0.45)), None, None, None]),
    (
        "sm_120a",
        [
            Some((BF16, 0.55)),
            Some((INT8, 0.53)),
            Some((FP8, 0.53)),
            Some((MXFP4, 0.29)),
            Some((MXFP8, 0.29)),
        ],
    ),
];

/// Instruction and least density.
type Expected = Option<(Instruction, f64)>;
/// In PTX, and how it starts in machine code.
type Instruction = (&'static str, &'static str);
const BF16: Instruction = ("m16n8k16.row.col.f32.bf16.bf16.f32", "HMMA.16816.F32.BF16");
const INT8: Instruction = ("m16n8k32.row.col.s32.s8.s8.s32", "IMMA.16832.S8.S8");
const FP8: Instruction = ("m16n8k32.row.col.f32.e4m3.e4m3.f32", "QMMA.16832.F32.E4M3.E4M3");
const MXFP4: Instruction = (
    "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0",
    "OMMA.SF.16864.F32.E2M1.E2M1.E8",
);

const MXFP8: Instruction = (
    "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0",
    "QMMA.SF.16832.F32.E4M3.E4M3.E8",
);

/// The formats of [`TABLE`].
fn formats() -> impl Iterator<Item = Numbers> {
    Format::MAIN.into_iter().map(Numbers::from).chain([Numbers::MXFP8])
}

/// Compiles every candidate for `few` or many rows; of sm_86 and sm_100a, whose instructions are those of a sibling, the
/// first of 128 x 128, or the first.
fn compile(few: bool) {
    for (architecture, instructions) in TABLE {
        for (format, instruction) in formats().zip(instructions) {
            let problem = Gemm::new(if few { 16 } else { 4096 }, 4096, 4096);
            let candidates = Mma::candidates(architecture, 108, problem, format);
            let Some(((ptx_name, mnemonic), least)) = instruction else {
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
            let square = |mma: &Mma| (mma.tile.m, mma.tile.n) == (128, 128);
            if matches!(architecture, "sm_86" | "sm_100a") {
                let first = tiles.iter().position(square).unwrap_or(0);
                tiles = vec![tiles[first]];
            }
            let mut densities = Vec::new();
            for mma in tiles {
                let compiled = nvrtc::compile(&mma.tile.build(format), architecture);
                let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
                let name = format!("{} on {architecture}", mma.name());
                assert!(ptx.contains(&format!("mma.sync.aligned.{ptx_name}")), "{name}");
                assert!(ptx.contains("ldmatrix") && ptx.contains("cp.async.cg"), "{name}");
                let main = audit(&cubin, mma.tile.threads(), &name);
                assert!(main.is_all(mnemonic), "{name}: {main:?}");
                densities.extend(square(&mma).then(|| main.density()));
            }
            let best = densities.iter().copied().fold(0.0, f64::max);
            assert!(few || best >= least, "{format} on {architecture}: {densities:?} < {least}");
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

/// Where many rows share what is expanded, a product is at least every fifth instruction: sm_80's unit takes one in eight
/// cycles of a quarter of a multiprocessor (2048 operations a cycle of 16 x 8 x 16 x 2), the others' no more often than
/// that, except sm_90a's, of which `mma.sync` reaches some 60 %: one in seven.
const EXPANDED: f64 = 0.2;

#[test]
fn tiles_that_expand_weights_compile_without_spilling() {
    for (architecture, ..) in TABLE {
        for format in [Format::Fp8E4m3, Format::Mxfp4] {
            let candidates = |rows| {
                let problem = Gemm::new(rows, 4096, 4096);
                Dequant::candidates(architecture, 108, problem, format).expect("on every chip")
            };
            let mut tiles: Vec<_> =
                [4096, 16, 8].into_iter().flat_map(candidates).map(|of| of.tile).collect();
            tiles.dedup();
            assert!(tiles.len() >= 7, "{architecture} {format}");
            if matches!(architecture, "sm_86" | "sm_100a" | "sm_120a") {
                tiles.truncate(1);
            }
            let mut best = 0.0_f64;
            for tile in tiles {
                let name = Dequant { tile, format, parts: 1 }.name();
                let compiled = nvrtc::compile(&tile.build(format), architecture);
                let Compiled { ptx, cubin } = compiled.unwrap_or_else(|error| panic!("{error}"));
                assert!(ptx.contains("ld.shared.v4.u32") && ptx.contains("cp.async.cg"), "{name}");
                let main = audit(&cubin, tile.threads(), &format!("{name} on {architecture}"));
                assert!(main.is_all(BF16.1), "{name}: {main:?}");
                best = best.max(main.density());
            }
            assert!(best >= EXPANDED, "{format} on {architecture}: {best}");
        }
    }
}
