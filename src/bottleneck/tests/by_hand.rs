//! Parts against sums by hand, and what must hold for every host.

use proptest::prelude::*;

use super::super::sweep::{Axis, sweep};
use super::super::target::target;
use super::*;
use crate::workload::{DEEPSEEK_R1, GPT_OSS_120B, LLAMA_3_1_70B, MODELS, Mix, Model};

const CONSTANTS: Constants = Constants {
    eta: 0.5,
    kernel_us: 10.0,
    attention_flops_per_byte: 10.0,
    spread: 1.5,
    launch_spread: 3.0,
};

fn near(ours: f64, expected: f64) {
    assert!((ours / expected - 1.0).abs() < 1e-3, "{ours} is not {expected}");
}

fn project(model: &Model, format: &str, host: &Host, setup: Setup) -> Projection {
    decode(model, &Mix::parse(format, model).unwrap(), host, &setup, &CONSTANTS)
}

fn seconds(projection: &Projection, part: Part) -> f64 {
    projection.part(part).map_or(0.0, |time| time.seconds.likely)
}

#[test]
fn hybrid_decode_adds_up() {
    let setup = Setup { routed: Where::Dram, context: 1000, ..Setup::default() };
    let step = project(&DEEPSEEK_R1, "8", &host(), setup);
    // Weights that every token reads at 1000 GB/s; routed ones at half of 300 GB/s.
    near(seconds(&step, Part::Vram), 16.19e9 / 1000e9);
    near(seconds(&step, Part::Dram), 20.435e9 / 150e9);
    // 128 heads x (576 + 512) x 2 operations, 61 layers, 1000 tokens, at 10 FLOP a byte of 1000 GB/s.
    near(seconds(&step, Part::GpuCompute), 128.0 * 1088.0 * 2.0 * 61.0 * 1000.0 / 10e12);
    near(seconds(&step, Part::Launch), 1094.0 * 2e-6 + 116.0 * 8e-6);
    near(seconds(&step, Part::Pcie), 58.0 * 7168.0 * 4.0 / 50e9);
    let sum: f64 = step.parts.iter().map(|part| part.seconds.likely).sum();
    near(step.seconds.likely, sum);
    assert_eq!((step.binding, step.second), (Some(Part::Dram), Some(Part::Vram)));
    near(step.gap.unwrap(), seconds(&step, Part::Dram) / seconds(&step, Part::Vram));
    // No measurement may read faster than 300 GB/s.
    near(step.bound_tokens_per_second.unwrap(), 300e9 / 20.435e9);
    assert_eq!(step.bound_by, Some(Part::Dram));
    assert_eq!(step.missing, ["cpu.tflops: arithmetic on the host is left out"]);
}

#[test]
fn what_the_experts_bench_measured_replaces_the_constants() {
    let mut host = host();
    let figure = |value| Figure::new(value, Origin::Measured, "bench");
    let reads = |bits, eta| host::ExpertReads {
        bits: Some(bits),
        eta: figure(eta),
        t_fix_us: Some(figure(100.0)),
    };
    host.experts = vec![reads(16.0, 0.9), reads(4.0, 0.6)];
    let setup = Setup { routed: Where::Dram, ..Setup::default() };
    let step = project(&DEEPSEEK_R1, "4.5", &host, setup);
    near(seconds(&step, Part::Dram), 20.435e9 * 4.5 / 8.0 / (0.6 * 300e9));
    near(seconds(&step, Part::Launch), 1094.0 * 2e-6 + 116.0 * 8e-6 + 58.0 * 100e-6);
    let dram = step.part(Part::Dram).unwrap();
    assert_eq!(dram.origin, Origin::Measured);
    near(dram.seconds.high / dram.seconds.likely, constants::MEASURED_SPREAD);
}

#[test]
fn experts_fill_vram_then_dram_then_disk() {
    let setup = Setup::default();
    let place = |format: &str, host: &Host| {
        let mix = Mix::parse(format, &DEEPSEEK_R1).unwrap();
        Placement::new(host, &setup.load(&DEEPSEEK_R1, &mix, host))
    };
    let fits = place("q4_k_m", &host());
    assert!(fits.vram > 0.15 && fits.nvme == 0.0 && fits.does_not_fit.is_none(), "{fits:?}");
    near(fits.vram + fits.dram, 1.0);
    near(fits.vram_gb.0, 96.0);
    let large = place("bf16", &host());
    assert!(large.nvme > 0.5 && large.vram > 0.0, "{large:?}");
    near(large.dram_gb.0, 512.0);
    let step = project(&DEEPSEEK_R1, "bf16", &host(), setup);
    assert!(
        step.missing.iter().any(|note| note.starts_with("nvme.read_gb_s")),
        "{:?}",
        step.missing
    );
    let small = Host {
        gpu: Some(Gpu {
            capacity: Some(Figure::new(8.0, Origin::Measured, "")),
            ..host().gpu.unwrap()
        }),
        ..host()
    };
    let refused = place("q4_k_m", &small).does_not_fit.unwrap();
    assert!(refused.contains("VRAM") && refused.contains("8.0 GB there"), "{refused}");
}

#[test]
fn the_out_of_memory_boundary_is_where_the_next_token_does_not_fit() {
    let host = host();
    let mix = Mix::parse("bf16", &LLAMA_3_1_70B).unwrap();
    let two = super::super::sweep::with_gpus(&host, 2);
    let setup = Setup::default();
    let load = placement::Load { batch: 2, ..setup.load(&LLAMA_3_1_70B, &mix, &two) };
    let longest = Placement::longest_context(&two, &load).unwrap();
    let at = |context| Placement::new(&two, &placement::Load { context, ..load }).does_not_fit;
    assert!(at(longest).is_none() && at(longest + 1).is_some(), "{longest}");
    // 2 x 96 GB less 141.1 GB of weights less 4 GB, at 327,680 B a token of two sequences.
    near(longest as f64, (192e9 - LLAMA_3_1_70B.all_bytes(&mix) - 4e9) / 2.0 / 327_680.0);
}

#[test]
fn dense_models_on_a_gpu_read_everything_from_vram() {
    let step = project(&LLAMA_3_1_70B, "q4_k_m", &host(), Setup::default());
    let weights = LLAMA_3_1_70B.parameters() as f64 - 8192.0 * 128_256.0;
    near(seconds(&step, Part::Vram), weights * 4.85 / 8.0 / 1000e9);
    assert_eq!((seconds(&step, Part::Dram), seconds(&step, Part::Pcie)), (0.0, 0.0));
    assert_eq!(step.binding, Some(Part::Vram));
    let two = project(
        &LLAMA_3_1_70B,
        "q4_k_m",
        &host(),
        Setup { tensor_parallel: 2, ..Setup::default() },
    );
    near(seconds(&two, Part::Vram) * 2.0, seconds(&step, Part::Vram));
    near(seconds(&two, Part::Link), 160.0 * 10e-6);
    assert!(two.missing.iter().any(|note| note.starts_with("gpu.peer_gb_s")), "{:?}", two.missing);
}

#[test]
fn arithmetic_binds_a_large_batch() {
    let mut host = host();
    host.gpu.as_mut().unwrap().tflops = Some(Figure::new(20.0, Origin::Measured, "slow"));
    let step = project(
        &LLAMA_3_1_70B,
        "q4_k_m",
        &host,
        Setup { batch: 64, context: 1, ..Setup::default() },
    );
    assert_eq!(step.binding, Some(Part::GpuCompute));
    assert_eq!(seconds(&step, Part::Vram), 0.0, "hidden behind the products");
    assert!(step.part(Part::Vram).unwrap().busy_s > 0.0);
}

#[test]
fn a_target_says_what_it_takes() {
    let setup = Setup { routed: Where::Dram, ..Setup::default() };
    let (host, mix) = (host(), Mix::parse("8", &DEEPSEEK_R1).unwrap());
    let now = decode(&DEEPSEEK_R1, &mix, &host, &setup, &CONSTANTS);
    let answer = target(8.0, &now, (&DEEPSEEK_R1, &mix), (&host, &setup), &CONSTANTS);
    assert!(!answer.reached && !answer.above_bound);
    let dram = answer.parts.iter().find(|part| part.part == Part::Dram).unwrap();
    let (name, was, needs) = dram.input.unwrap();
    assert_eq!((name, was), ("DRAM read, GB/s", 300.0));
    // With that much DRAM the target is met exactly.
    let mut faster = host.clone();
    faster.dram.read = Some(Figure::new(needs, Origin::Measured, ""));
    near(decode(&DEEPSEEK_R1, &mix, &faster, &setup, &CONSTANTS).tokens_per_second.likely, 8.0);
    assert!(
        answer.changes.iter().any(|change| change.reaches && change.what.starts_with("q4_k_m"))
    );
    let vram = answer.parts.iter().find(|part| part.part == Part::Vram).unwrap();
    assert_eq!((vram.allowed, vram.factor), (None, None), "DRAM alone takes longer than 125 ms");
}

#[test]
fn sweeps_know_where_memory_ends() {
    let (host, mix) = (host(), Mix::parse("q4_k_m", &LLAMA_3_1_70B).unwrap());
    let setup = Setup { context: 32_768, ..Setup::default() };
    let batches = sweep(Axis::Batch, &LLAMA_3_1_70B, &mix, &host, &setup, &CONSTANTS);
    // 96 - 42.8 - 2 GB hold four caches of 10.7 GB.
    assert_eq!((batches.boundary.as_deref(), batches.rows.len()), (Some("4"), 7));
    assert!(batches.rows[3].does_not_fit.as_ref().unwrap().contains("VRAM"));
    let contexts = sweep(Axis::Context, &LLAMA_3_1_70B, &mix, &host, &setup, &CONSTANTS);
    assert_eq!(contexts.rows.last().unwrap().label, "131072");
    let formats = sweep(Axis::Format, &DEEPSEEK_R1, &mix, &host, &Setup::default(), &CONSTANTS);
    assert_eq!(formats.rows.len(), super::super::sweep::FORMATS.len(), "every name is known");
}

#[test]
fn prompts_upload_experts_or_compute_them_where_they_are() {
    let setup = Setup { routed: Where::Dram, ..Setup::default() };
    let mix = Mix::parse("q4_k_m", &DEEPSEEK_R1).unwrap();
    let step = prefill::prefill(&DEEPSEEK_R1, &mix, &host(), &setup, &CONSTANTS);
    // One micro-batch of 4096 uses every expert: 396 GB at 50 GB/s.
    near(seconds(&step, Part::Pcie), 653.909e9 * 4.85 / 8.0 / 50e9);
    let mut strong = host();
    strong.cpu_tflops = Some(Figure::new(100.0, Origin::Measured, ""));
    let step = prefill::prefill(&DEEPSEEK_R1, &mix, &strong, &setup, &CONSTANTS);
    assert_eq!(seconds(&step, Part::Pcie), 0.0);
    // Reading takes longer than the products, which it hides.
    near(seconds(&step, Part::Dram), 653.909e9 * 4.85 / 8.0 / 150e9);
    near(step.part(Part::CpuCompute).unwrap().busy_s, 40.87e9 * 4096.0 / 100e12);
}

proptest! {
    /// More of anything is never slower, bands are in order, and nothing is above its bound.
    #[test]
    fn projections_are_monotonic_and_below_their_bounds(
        model in 0..MODELS.len(), dram in 10.0..2000.0, vram in 100.0..8000.0, bits in 1.0..16.0,
        batch in 1_usize..65, context in 0_usize..40_000, faster in 1.0..4.0,
        place in prop::sample::select(vec![Where::Auto, Where::Vram, Where::Dram, Where::Nvme]),
        sockets in 1_usize..5, policy in prop::sample::select(Policy::ALL.to_vec()), gpu in any::<bool>(),
    ) {
        let model = &MODELS[model];
        let mix = Mix::of_mean("mix", bits, model);
        let mut slow = host();
        slow.sockets = sockets;
        slow.dram.read = Some(Figure::new(dram, Origin::Theoretical, ""));
        slow.dram.remote_read = Some(Figure::new(dram / 4.0, Origin::Measured, ""));
        slow.gpu = slow.gpu.filter(|_| gpu);
        if let Some(gpu) = &mut slow.gpu {
            gpu.vram_read = Some(Figure::new(vram, Origin::Theoretical, ""));
        }
        let mut fast = slow.clone();
        fast.dram.read.as_mut().unwrap().value *= faster;
        if let Some(gpu) = &mut fast.gpu {
            gpu.vram_read.as_mut().unwrap().value *= faster;
        }
        let setup = Setup { batch, context, routed: place, policy, ..Setup::default() };
        let of = |host: &Host| decode(model, &mix, host, &setup, Constants::fitted());
        let (step, better) = (of(&slow), of(&fast));
        prop_assert!(better.seconds.likely <= step.seconds.likely * (1.0 + 1e-9));
        prop_assert!(step.seconds.low <= step.seconds.likely && step.seconds.likely <= step.seconds.high);
        prop_assert!(step.parts.iter().all(|p| p.seconds.likely >= 0.0 && p.busy_s >= p.seconds.likely - 1e-12));
        if let Some(bound) = step.bound_tokens_per_second {
            prop_assert!(step.tokens_per_second.likely <= bound * (1.0 + 1e-9));
        }
    }
}

#[test]
fn a_window_keeps_long_contexts_cheap() {
    let at = |model: &Model, context| {
        seconds(
            &project(model, "mxfp4", &host(), Setup { context, ..Setup::default() }),
            Part::GpuCompute,
        )
    };
    let growth = at(&GPT_OSS_120B, 65_536) / at(&GPT_OSS_120B, 32_768);
    assert!((1.9..2.0).contains(&growth), "{growth}");
}
