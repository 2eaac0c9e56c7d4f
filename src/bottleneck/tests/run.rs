//! A host as a run measured it.

use serde_json::json;

use super::super::experts_check::check_experts;
use super::*;
use crate::record::{State, fixture};
use crate::workload::{DEEPSEEK_R1, Mix};

fn experts(name: &str, t_fix_us: f64, rate: f64, tokens: f64) -> crate::record::MetricRecord {
    let mut metric = fixture::ok(name, 1.0);
    for (key, value) in [
        ("t_fix_us", t_fix_us),
        ("large_expert_gb_per_second", rate),
        ("tokens_per_second", tokens),
        ("eta", 0.1),
    ] {
        metric.details.insert(key.into(), json!(value));
    }
    metric
}

fn run() -> crate::record::store::Run {
    let mut latency = fixture::ok("launch/graph-node/gpu0", 1500.0);
    latency.unit = crate::record::Unit::Nanoseconds;
    let mut vram = fixture::ok("vram/read/gpu0", 1600.0);
    vram.conditions.insert("before".into(), json!({"gpu": {"memory_total_bytes": 96e9}}));
    let mut run = fixture::run(vec![fixture::bench(
        "all",
        vec![
            fixture::ok("dram/read/all-cores", 400.0),
            fixture::in_state(
                fixture::ok("storage/read/expert-random", 9.0),
                State::Invalid,
                "wrong",
            ),
            fixture::ok("gemm/cpu/bf16/m1n7168k2048", 9.0),
            fixture::ok("gemm/cpu/bf16/m512n7168k2048", 7.0),
            fixture::in_state(
                fixture::ok("pcie/h2d/pinned/gpu0/node-local/256MiB", 50.0),
                State::Noisy,
                "noise",
            ),
            vram,
            latency,
            experts("experts/cpu/mxfp4/deepseek-r1", 90.0, 300.0, 20.0),
            experts("experts/cpu/mxfp4/qwen3-235b-a22b", 70.0, 290.0, 25.0),
            fixture::skipped("vram/read/gpu1", "no such device"),
        ],
    )]);
    run.host = Some(fixture::host(&[]));
    run
}

#[test]
fn figures_of_a_run_are_measured_and_name_their_metric() {
    let host = Host::of_run(&run());
    let gpu = host.gpu.as_ref().unwrap();
    let of =
        |figure: &Option<Figure>| figure.as_ref().map(|f| (f.value, f.origin, f.source.clone()));
    let measured = |value, source: &str| Some((value, Origin::Measured, source.to_owned()));
    assert_eq!(of(&host.dram.read), measured(400.0, "dram/read/all-cores"));
    assert_eq!(of(&host.cpu_tflops), measured(7.0, "gemm/cpu/bf16/m512n7168k2048"));
    assert_eq!(of(&gpu.pcie), measured(50.0, "pcie/h2d/pinned/gpu0/node-local/256MiB (noisy)"));
    assert_eq!(of(&gpu.empty_kernel_us), measured(1.5, "launch/graph-node/gpu0"));
    assert_eq!(of(&gpu.capacity), measured(96.0, "NVML"));
    assert_eq!((gpu.count, host.nvme_read.as_ref()), (1, None), "invalid and skipped tell nothing");
    // The line's slope over what DRAM reads, not the eta that has t_fix in it.
    let reads = host.experts_at(4.0).unwrap();
    assert_eq!((reads.eta.value, reads.t_fix_us.as_ref().unwrap().value), (0.75, 90.0));
    let mix = Mix::parse("mxfp4", &DEEPSEEK_R1).unwrap();
    let step = decode(
        &DEEPSEEK_R1,
        &mix,
        &host,
        &Setup { routed: Where::Dram, ..Setup::default() },
        Constants::fitted(),
    );
    let dram = step.part(Part::Dram).unwrap();
    assert!((dram.seconds.likely - 20.435e9 * 17.0 / 32.0 / 300e9).abs() < 1e-4);
    assert_eq!(dram.origin, Origin::Measured);
}

#[test]
fn one_model_of_the_experts_bench_is_projected_from_the_other() {
    let checked = check_experts(&run());
    assert_eq!(checked.len(), 2);
    let r1 = &checked[0];
    assert_eq!(
        (r1.metric.as_str(), r1.from.as_str()),
        ("experts/cpu/mxfp4/deepseek-r1", "experts/cpu/mxfp4/qwen3-235b-a22b")
    );
    let seconds = 58.0 * 70e-6 + 20.435e9 * 17.0 / 32.0 / 290e9;
    assert!((r1.projected * seconds - 1.0).abs() < 1e-3 && r1.measured == 20.0);
    assert!((r1.error - (r1.projected / 20.0 - 1.0)).abs() < 1e-12);
}

#[test]
fn an_empty_run_is_answered_with_what_to_measure() {
    let host = Host::of_run(&fixture::run(vec![]));
    let mix = Mix::parse("mxfp4", &DEEPSEEK_R1).unwrap();
    let question = Question {
        name: "deepseek-r1",
        model: &DEEPSEEK_R1,
        mix: &mix,
        host: &host,
        setup: Setup::default(),
        target: None,
        sweeps: &[],
    };
    let error = Analysis::new(&question).unwrap_err().to_string();
    assert!(error.contains("dram.read_gb_s"), "{error}");
}
